"""The end of a command: its report, warnings, and a line about the result."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meddl.cli.inputs import series_of
from meddl.cli.terminal import TerminalProgress, inputs_of

_OUTPUTS = ("output", "transform_file", "inverse_file", "jacobian_file", "confidence_map", "mean_file", "difference",
            "summary", "errors", "uncertainty", "residual", "matched", "structures", "lesion_table", "lesion_map",
            "filled")


def finish(arguments: argparse.Namespace, progress: TerminalProgress, report: dict[str, Any], summary: str, *,
           config: Any = None, models: tuple[str, ...] = (), figures: Callable[[], list] | None = None) -> None:
    """Write the report, if asked for, and say what was done.

    Args:
        config: the configuration of the run.
        models: identifiers of the models that ran.
        figures: makes the pictures of a report in HTML, `meddl.reports.page.Figure`.
    """
    outputs = [path for path in (getattr(arguments, name, None) for name in _OUTPUTS) if path]
    if arguments.report is not None:
        progress(1.0, "Writing the report")
        content = _record(arguments, {**report, "warnings": [*progress.doubts, *report.get("warnings", ())]},
                          config, models, outputs)
        write_report(arguments.report, content, figures or list)
    progress.clear()
    for text in (*report.get("warnings", ()), *report.get("changed_by_options", ())):
        progress.warn(text)
    for stage, seconds in report.get("seconds", {}).items():
        progress.detail(f"{stage}: {seconds:.2f} s")
    where = f"{', '.join(map(str, outputs))}: " if outputs else ""
    spent = f", {report['seconds']['total']:.1f} s on {report['device']}" if "seconds" in report else ""
    progress.say(f"{where}{summary}{spent}")


def finish_many(arguments: argparse.Namespace, progress: TerminalProgress, summary, config: Any,
                models: tuple[str, ...]) -> None:
    """Write the report of a job of many cases, if asked for, and say what became of them."""
    if arguments.report is not None:
        from meddl.reports.cohort import cohort_record, thumbnails

        content = cohort_record(_record(arguments, summary.report, config, models, [arguments.output], ()), summary,
                                with_names=arguments.report_inputs)
        write_report(arguments.report, content, lambda: thumbnails(summary, content, progress))
    progress.clear()
    for file, why in summary.unused:
        progress.warn(f"not used: {file} ({why})")
    for row in summary.rows:
        frame = "" if row.frame is None else f" frame {row.frame}"
        if progress.live and not progress.verbose:  # else each case had its line as it ended
            for text in row.warnings if row.state == "done" else ():
                progress.warn(f"{row.case}{frame}: {text}")
        if row.state == "failed" and (progress.live or progress.quiet):
            print(f"meddl: {row.case} failed: {row.error}", file=sys.stderr)
    counts = ", ".join(f"{count} {state}" for state, count in summary.counts.items() if count)
    device = f" on {summary.report['device']}" if summary.report["device"] else ""
    progress.say(f"{arguments.output}: {counts}, {summary.report['seconds']['total']:.1f} s{device}; "
                 f"{arguments.output / 'summary.csv'}")


def case_lines(progress: TerminalProgress) -> Callable[[tuple], None] | None:
    """Writes a line for each case of a job as it ends, where there is no terminal or the user wants to see all."""
    if progress.quiet or progress.live and not progress.verbose:
        return None

    def write(rows: tuple) -> None:
        first = rows[0]
        if first.state == "failed":
            text = f"{first.case} failed: {first.error}"
        else:
            warnings = [text for row in rows for text in row.warnings]
            text = f"{first.case}: {first.state}, {sum(row.seconds for row in rows):.1f} s"
            text += f"; warning: {' '.join(warnings)}" if warnings else ""
        print(f"meddl: {text}", file=sys.stderr, flush=True)

    return write


def write_report(path: Path, content: dict[str, Any], figures: Callable[[], list]) -> None:
    """The record as JSON, or as a page with its figures, whole or not at all."""
    from meddl.io.files import replacing

    if path.suffix.lower() == ".html":
        from meddl.reports.page import page

        text = page(content, figures())
    else:
        text = json.dumps(content, indent=1, default=_plain) + "\n"
    with replacing(path, path.suffix) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """A number or array of numpy, or a path, as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    return value.tolist() if hasattr(value, "tolist") else float(value)


def _record(arguments: argparse.Namespace, report: dict[str, Any], config: Any, models: tuple[str, ...],
            outputs: list[Path], inputs: tuple | None = None) -> dict[str, Any]:
    """The record of the run; `inputs` where they are not those of the command line."""
    from meddl.reports.record import Run, names_of, record_run

    if inputs is None:
        inputs = tuple((role, path, series_of(arguments, f"{role}_" if f"{role}_series" in vars(arguments) else ""))
                       for role, path in inputs_of(arguments))
    options = {name: getattr(arguments, name) for name in arguments.report_options}
    run = Run(arguments.command, config, options, inputs, models, report.get("device", "cpu"))
    content = record_run(run, report)
    return {**content, **names_of(run, outputs, arguments.command_line)} if arguments.report_inputs else content

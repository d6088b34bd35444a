"""Terminal output of a command: progress, warnings, errors, and a summary line."""

import argparse
import json
import sys
import time
from pathlib import Path

import meddl
from meddl.core.errors import InputError, printable

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


class TerminalProgress:
    """Shows progress in the last line of a terminal; does nothing where the stream is a file or a pipe."""

    def __init__(self, stream):
        self.stream = stream
        self.live = stream.isatty()
        self.shown = False
        self.last = 0.0
        self.doubts: list[str] = []  # of the files that were read

    def __call__(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if self.live and (now - self.last > 0.1 or fraction >= 1):
            self.last, self.shown = now, True
            self.stream.write(f"\r\x1b[2K{fraction:4.0%} {message}")
            self.stream.flush()

    def doubt(self, text: str) -> None:
        """Warn of what a file states, once; the report will say it too."""
        if text not in self.doubts:
            self.clear()
            self.doubts.append(text)
            warn(text)

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            self.stream.write("\r\x1b[2K")
            self.stream.flush()
            self.shown = False


def fail(progress: TerminalProgress, message: str, status: int = EXIT_ERROR) -> int:
    """Write an error in one line; returns the exit status."""
    progress.clear()
    print(f"meddl: {printable(' '.join(message.split()))}", file=sys.stderr)
    return status


def warn(text: str) -> None:
    """Write a warning in one line."""
    print(f"meddl: warning: {printable(text)}", file=sys.stderr)


def check_output(path: Path | None, suffixes: tuple[str, ...]) -> None:
    """Refuse before the work what could not be written after it."""
    if path is None:
        return
    if not path.name.lower().endswith(suffixes):
        raise InputError(f"'{path.name}' cannot be written; its name ends with one of {', '.join(suffixes)}.")
    folder = path.expanduser().parent
    if not folder.is_dir():
        raise InputError(f"The folder '{folder}' does not exist. Create it, or choose another place.")


def check_new_folder(path: Path) -> None:
    """Refuse before the work a folder that could not be filled after it: only a new or empty one can."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"'{path}' is not an empty folder. Give the name of a new one.")
    check_output(path, ("",))


def finish_many(arguments: argparse.Namespace, progress: TerminalProgress, summary) -> None:
    """Write the report of a job of many cases, if asked for, and say what became of them."""
    progress.clear()
    if arguments.report is not None:
        from meddl.io.files import replacing

        with replacing(arguments.report, ".json") as temporary:
            temporary.write_text(summary.as_json(), encoding="utf-8")
    for file, why in summary.unused:
        warn(f"not used: {file} ({why})")
    for row in summary.rows:
        frame = "" if row.frame is None else f" frame {row.frame}"
        for text in row.warnings if row.state == "done" else ():
            warn(f"{row.case}{frame}: {text}")
        if row.state == "failed":
            print(f"meddl: {row.case} failed: {row.error}", file=sys.stderr)
    counts = ", ".join(f"{count} {state}" for state, count in summary.counts.items() if count)
    device = f" on {summary.report['device']}" if summary.report["device"] else ""
    print(f"{arguments.output}: {counts}, {summary.report['seconds']['total']:.1f} s{device}; "
          f"{arguments.output / 'summary.csv'}")


def finish(arguments: argparse.Namespace, progress: TerminalProgress, report: dict, summary: str) -> None:
    """Write the report, if asked for, and say what was done."""
    progress.clear()
    names = ("output", "transform_file", "inverse_file", "jacobian_file")
    outputs = [str(path) for path in (getattr(arguments, name, None) for name in names) if path]
    if arguments.report is not None:
        from meddl.io.files import replacing

        content = {"meddl": meddl.__version__, "outputs": outputs, **report,
                   "warnings": [*progress.doubts, *report.get("warnings", ())]}
        with replacing(arguments.report, ".json") as temporary:
            temporary.write_text(json.dumps(content, indent=1, default=float) + "\n", encoding="utf-8")
    for text in (*report.get("warnings", ()), *report.get("changed_by_options", ())):
        warn(text)
    where = f"{', '.join(outputs)}: " if outputs else ""
    spent = f", {report['seconds']['total']:.1f} s on {report['device']}" if "seconds" in report else ""
    print(f"{where}{summary}{spent}")

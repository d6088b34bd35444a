"""What commands that run over whole folders share: options, what is refused, the run and its end."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from meddl.cli.reporting import case_lines, finish_many
from meddl.cli.terminal import TerminalProgress, check_output
from meddl.core.config import ENGINES
from meddl.core.errors import InputError

EXIT_SOME_FAILED = 1


def add_folder_options(parser: argparse.ArgumentParser, suffixes: Sequence[str]):
    """The options of a run over a folder; returns their group."""
    many = parser.add_argument_group(
        "folders", "OUT then also holds summary.csv and summary.json. A stopped job resumes where it was; "
        "with --overwrite it computes everything again.")
    many.add_argument("--suffix", choices=suffixes, default=suffixes[0],
                      help=f"of the files in OUT (default: {suffixes[0]})")
    many.add_argument("--workers", metavar="N", type=int,
                      help="cases in parallel (default: 1; with Ray one for each GPU, else for each machine)")
    many.add_argument("--engine", choices=ENGINES, default=ENGINES[0],
                      help="processes of this machine, or a Ray cluster, whose machines all see INPUT and OUT")
    many.add_argument("--address", help="of the Ray cluster (default: the one that this machine belongs to)")
    return many


def names_folder(output: Path | None) -> bool:
    """Whether results are to go to a folder, which is there or has no suffix."""
    from meddl.io.files import suffix_of

    return output is not None and not suffix_of(output) and (output.is_dir() or not output.suffix)


def refuse_folder_options(arguments: argparse.Namespace) -> None:
    """Refuse options of folders for a single result.

    Raises:
        InputError: one is given.
    """
    refuse(arguments, {"workers": "--workers", "address": "--address"},
           f"is for folders; '{arguments.output.name if arguments.output else 'OUT'}' is the name of a file")


def refuse(arguments: argparse.Namespace, options: dict[str, str], why: str) -> None:
    """Refuse options, by the names of their values.

    Raises:
        InputError: one is given.
    """
    for name, option in options.items():
        value = getattr(arguments, name)
        if value is not None and value is not False and value != []:  # 0 is a value
            raise InputError(f"{option} {why}.")


def run_folder(arguments: argparse.Namespace, progress: TerminalProgress, verb: Callable, config: Any,
               models: tuple[str, ...] | None = None, **choices: Any) -> int:
    """Run a verb of jobs, such as `meddl.segment_many`, and say what became of the cases; returns the exit status.

    Args:
        verb: called with the configuration as `config`, the options of folders, and `choices`.
        models: identifiers of the models that run; None: what the rows of the table say.
    """
    if arguments.report is not None:
        check_output(arguments.report, (".json", ".html"))  # it is renewed with each run, as the summary is
    summary = verb(
        output=arguments.output, config=config, suffix=arguments.suffix, overwrite=arguments.overwrite,
        engine=arguments.engine, address=arguments.address, workers=arguments.workers, threads=arguments.threads,
        device=arguments.device, on_case=case_lines(progress), on_progress=None if progress.verbose else progress,
        **choices)
    if models is None:
        models = tuple(dict.fromkeys(str(row.figures["model"]).split()[0] for row in summary.rows
                                     if "model" in row.figures))
    finish_many(arguments, progress, summary, config, models)
    return EXIT_SOME_FAILED if summary.failed else 0

"""Terminal output of a command: progress, warnings, errors, tables, a summary line; what is refused before the work."""

import argparse
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from meddl.core.errors import InputError, printable

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
_GAP = "  "  # between the columns of a table


class TerminalProgress:
    """What the user sees of a run: progress in the last line of a terminal (none in a file or pipe), warnings on
    standard error, results on standard output.

    Attributes:
        quiet: show errors alone.
        verbose: write each stage in a line of its own, with the seconds since the begin.
    """

    def __init__(self, stream):
        self.stream = stream
        self.quiet = self.verbose = False
        self.live = stream.isatty()
        self.doubts: list[str] = []  # of the files that were read
        self._shown, self._last = False, 0.0
        self._begin, self._stage = time.monotonic(), ""

    def __call__(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if self.verbose:
            if message != self._stage:
                self._stage = message
                self.detail(message)
        elif self.live and not self.quiet and (now - self._last > 0.1 or fraction >= 1):
            self._last, self._shown = now, True
            self.stream.write(f"\r\x1b[2K{fraction:4.0%} {message}")
            self.stream.flush()

    def doubt(self, text: str) -> None:
        """Warn of what a file states, once; the report will say it too."""
        if text not in self.doubts:
            self.doubts.append(text)
            self.warn(text)

    def warn(self, text: str) -> None:
        """Write a warning in one line."""
        if not self.quiet:
            self.clear()
            print(f"meddl: warning: {printable(text)}", file=sys.stderr)

    def detail(self, text: str) -> None:
        """Write a line with the seconds since the begin, where the user wants to see all."""
        if self.verbose:
            self.clear()
            print(f"meddl: {time.monotonic() - self._begin:7.1f} s  {printable(text)}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Write a result to standard output."""
        if not self.quiet:
            self.clear()
            print(text)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self.stream.write("\r\x1b[2K")
            self.stream.flush()
            self._shown = False


def fail(progress: TerminalProgress, message: str, status: int = EXIT_ERROR) -> int:
    """Write an error in one line; returns the exit status."""
    progress.clear()
    print(f"meddl: {printable(' '.join(message.split()))}", file=sys.stderr)
    return status


def warn(text: str) -> None:
    """Write a warning in one line."""
    print(f"meddl: warning: {printable(text)}", file=sys.stderr)


def check_outputs(arguments: argparse.Namespace, outputs: Iterable[tuple[Path | None, tuple[str, ...]]]) -> None:
    """Refuse before the work what could not, or must not, be written after it.

    Args:
        outputs: each file, or None, and the suffixes that it may have.

    Raises:
        InputError: another suffix, no folder, two results in one file, an input as an output (by whatever name), or a
            file that exists while `--overwrite` was not given.
    """
    given = [(path, suffixes) for path, suffixes in (
        *outputs, (getattr(arguments, "report", None), (".json", ".html"))) if path is not None]
    places = [path.expanduser().resolve() for path, _ in given]
    if len(set(places)) < len(places):
        raise InputError("Two results would go to the same file. Give each a name of its own.")
    read = {path.expanduser().resolve() for _, path in inputs_of(arguments)}
    for (path, suffixes), place in zip(given, places, strict=True):
        check_output(path, suffixes)
        if place in read:
            raise InputError(f"'{path}' is an input. Choose another name for the result.")
        if place.exists() and not arguments.overwrite:
            raise InputError(f"'{path}' exists. Choose another name, or give --overwrite to replace it.")


def inputs_of(arguments: argparse.Namespace) -> list[tuple[str, Path]]:
    """(role, path) of each file that the command reads."""
    found = []
    for name in getattr(arguments, "report_roles", ("input",)):
        value = getattr(arguments, name)
        values = value if isinstance(value, list) else [value]
        for number, one in enumerate(values, start=1):
            path = Path(one.partition("=")[2]) if name == "channel" else None if one is None else Path(one)
            role = name.replace("_", " ").replace("input", "volume")
            if path is not None and (name != "roi" or path.exists()):
                found.append((role if len(values) == 1 else f"{role} {number}", path))
    return found


def check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a name of no known suffix, or a place where no file can be written."""
    from meddl.io.files import check_place

    if not path.name.lower().endswith(suffixes):
        raise InputError(f"'{path.name}' cannot be written; its name ends with one of {', '.join(suffixes)}.")
    check_place(path)


def check_new_folder(path: Path) -> None:
    """Refuse before the work a folder that could not be filled after it: only a new or empty one can."""
    from meddl.io.files import check_folder_of

    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"'{path}' is not an empty folder. Give the name of a new one.")
    check_folder_of(path.expanduser())


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), shrink: int | None = None,
          width: int | None = None) -> str:
    """Rows under a header, in columns.

    Args:
        right: columns that are set to the right, as numbers are.
        shrink: the column that is cut short where a line would be longer than the terminal.
        width: of the terminal, in characters; default: the real one, unlimited where the output is no terminal.
    """
    lines = [tuple(map(str, row)) for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    if width is None:
        width = shutil.get_terminal_size((10_000, 0)).columns
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    if shrink is not None and over > 0:
        widths[shrink] = max(widths[shrink] - over, len(header[shrink]), 12)
    made = []
    for line in lines:
        cells = [_cut(text, size).rjust(size) if column in right else _cut(text, size).ljust(size)
                 for column, (text, size) in enumerate(zip(line, widths, strict=True))]
        made.append(_GAP.join(cells).rstrip())
    return "\n".join((made[0], *(["-" * min(len(_GAP.join("x" * size for size in widths)), width)]), *made[1:]))


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[:max(size - 1, 0)] + "…"

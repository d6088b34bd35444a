"""Tables in a terminal."""

import shutil
from collections.abc import Sequence

_GAP = "  "


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

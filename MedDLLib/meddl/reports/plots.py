"""Small plots as inline SVG: bars, values within their usual ranges, and boxes of a cohort."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

_ROW, _LABEL, _WIDTH, _VALUE = 22, 230, 470, 70
_PLOT = _WIDTH - _LABEL - _VALUE


def bars(values: Mapping[str, float], unit: str) -> str:
    """A bar for each value, with its number."""
    top = max([*values.values(), 1e-12])
    rows = []
    for number, (name, value) in enumerate(values.items()):
        length = max(0.0, value) / top * _PLOT
        rows.append(f'{_name(number, name)}<rect class="bar" x="{_LABEL}" y="{_top(number) + 4}" '
                    f'width="{length:.1f}" height="{_ROW - 8}"/>'
                    f'{_text(_LABEL + length + 6, number, f"{value:.3g} {unit}")}')
    return _svg(rows, len(values))


def ranges(values: Mapping[str, float], usual: Mapping[str, Sequence[float]]) -> str:
    """A point for each value from 0 to 1, on the band of its usual range; below it in another color."""
    rows = []
    for number, (name, value) in enumerate(values.items()):
        middle = _top(number) + _ROW / 2
        parts = [_name(number, name), f'<line class="axis" x1="{_LABEL}" x2="{_LABEL + _PLOT}" y1="{middle}" '
                 f'y2="{middle}"/>']
        low = False
        if name in usual:
            start, stop = usual[name]
            low = value < start
            parts.append(f'<rect class="usual" x="{_LABEL + start * _PLOT:.1f}" y="{middle - 6}" '
                         f'width="{max(2.0, (stop - start) * _PLOT):.1f}" height="12"/>')
        parts.append(f'<circle class="{"low" if low else "point"}" cx="{_LABEL + value * _PLOT:.1f}" cy="{middle}" '
                     f'r="4.5"/>{_text(_LABEL + _PLOT + 10, number, f"{value:.2f}")}')
        rows.append("".join(parts))
    return _svg(rows, len(values))


def boxes(values: Mapping[str, Sequence[float]], unit: str) -> str:
    """A box plot for each list: quartiles, median, range, each list over its own scale, and its median as a number."""
    rows = []
    for number, (name, listed) in enumerate(values.items()):
        low, first, median, third, high = np.percentile(listed, (0, 25, 50, 75, 100))
        width = max(high - low, 1e-12)
        start, left, mark, right, stop = (_LABEL + (one - low) / width * (_PLOT - 12) + 6
                                          for one in (low, first, median, third, high))
        middle = _top(number) + _ROW / 2
        rows.append(f'{_name(number, name)}<line class="axis" x1="{start:.1f}" x2="{stop:.1f}" y1="{middle}" '
                    f'y2="{middle}"/><rect class="usual" x="{left:.1f}" y="{middle - 6}" '
                    f'width="{max(1.0, right - left):.1f}" height="12"/><line class="median" x1="{mark:.1f}" '
                    f'x2="{mark:.1f}" y1="{middle - 8}" y2="{middle + 8}"/>'
                    + "".join(f'<circle class="dot" cx="{_LABEL + (one - low) / width * (_PLOT - 12) + 6:.1f}" '
                              f'cy="{middle}" r="2"/>' for one in listed)
                    + _text(_LABEL + _PLOT + 6, number, f"{median:.3g} {unit}"))
    return _svg(rows, len(values))


def _top(number: int) -> float:
    return number * _ROW


def _name(number: int, name: str) -> str:
    shown = name if len(name) <= 30 else name[:29] + "…"
    return (f'<text class="name" x="{_LABEL - 8}" y="{_top(number) + _ROW / 2 + 4}" text-anchor="end">'
            f'{escape(shown)}</text>')


def _text(x: float, number: int, text: str) -> str:
    return f'<text x="{x:.1f}" y="{_top(number) + _ROW / 2 + 4}">{escape(text)}</text>'


def _svg(rows: Sequence[str], count: int) -> str:
    height = max(1, count) * _ROW
    return (f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img">'
            f'{"".join(rows)}</svg>')

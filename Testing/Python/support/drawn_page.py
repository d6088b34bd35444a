"""Pictures for the documents: a section of a panel, and a page of HTML with tables of figures beside pictures."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from panel_layout import lay_out
from PIL import Image
from PySide6.QtGui import QColor, QImage, QPainter, QTextDocument

COLORS = 128  # of a picture, so that its file stays small
STYLE = """
    body { font-size: 10pt; color: #202020; }
    h3 { margin: 8px 0 4px 0; font-size: 11pt; }
    th { text-align: left; font-weight: bold; }
    th, td { white-space: nowrap; }
    .gone { color: #b03020; }
    .same { color: #707070; }
"""


def draw_section(module, section, path: Path, width: int) -> None:
    """Write a PNG of an open section of a loaded module's panel, which is `width` pixels wide."""
    lay_out(module.representation, width)
    if not section.button.grab().save(str(path)):
        raise OSError(f"The picture could not be written to {path}")


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], kinds: Iterable[str] = ()) -> str:
    """A table, its cells as plain text; `kinds` are the style classes of its rows, if they have any."""
    def row(cells: Sequence[str], tag: str, kind: str = "") -> str:
        return f"<tr>{''.join(f'<{tag} class={kind!r}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    rows = list(rows)
    kinds = list(kinds) or [""] * len(rows)
    return ("<table cellspacing='0' cellpadding='3'>" + row(header, "th")
            + "".join(row(cells, "td", kind) for cells, kind in zip(rows, kinds, strict=True)) + "</table>")


def draw_page(html: str, path: Path, width: int) -> None:
    """Write a PNG of a page, `width` pixels wide, on white."""
    document = QTextDocument()
    document.setDefaultStyleSheet(STYLE)
    document.setHtml(f"<body>{html}</body>")
    document.setTextWidth(width)
    image = QImage(width, int(document.documentLayout().documentSize().height()), QImage.Format.Format_RGB888)
    image.fill(QColor("white"))
    painter = QPainter(image)
    document.drawContents(painter)
    painter.end()
    if not image.save(str(path)):
        raise OSError(f"The picture could not be written to {path}")
    Image.open(path).quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)

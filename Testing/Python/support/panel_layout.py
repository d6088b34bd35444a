"""What does not fit in a panel, and what cannot be read in it: found by walking its widgets as they are drawn."""

from collections import Counter
from contextlib import contextmanager
from itertools import combinations

from PySide6 import QtGui, QtWidgets
from PySide6.QtCore import Qt

import host
from meddl_slicer.panels.widgets import make_placeholders_readable

LEAST_CONTRAST = 4.5  # WCAG 2.1, level AA
SLACK = 1  # pixels of rounding
SPARE = 20  # pixels below the contents of a widget: about a line of text
# The colors of Slicer's own two themes that text is drawn with and on.
THEMES = {
    "light": {"Window": "#ffffff", "WindowText": "#000000", "Base": "#ffffff", "AlternateBase": "#e4e4fe",
              "Text": "#000000", "PlaceholderText": "#808080", "Button": "#fcfcfc", "ButtonText": "#000000",
              "Light": "#c8c8c8", "Midlight": "#e6e6e6", "Dark": "#aaaaaa", "Mid": "#c8c8c8", "Highlight": "#308cc6",
              "HighlightedText": "#ffffff", "Link": "#0000ff"},
    "dark": {"Window": "#323232", "WindowText": "#ffffff", "Base": "#1e1e1e", "AlternateBase": "#323232",
             "Text": "#ffffff", "PlaceholderText": "#c0c0c0", "Button": "#323232", "ButtonText": "#ffffff",
             "Light": "#828284", "Midlight": "#5a5a5b", "Dark": "#232323", "Mid": "#2b2b2b", "Highlight": "#3ca4ff",
             "HighlightedText": "#ffffff", "Link": "#3ca4ff"},
}


@contextmanager
def theme(name):
    """Everything is drawn with these colors."""
    before = QtWidgets.QApplication.palette()
    palette = QtGui.QPalette()
    for role, color in THEMES[name].items():
        palette.setColor(QtGui.QPalette.ColorRole[role], QtGui.QColor(color))
    QtWidgets.QApplication.setPalette(palette)
    try:
        yield
    finally:
        QtWidgets.QApplication.setPalette(before)


def recolor(module):
    """Let a panel take the colors of the present theme, as it does each time it is entered."""
    make_placeholders_readable(module.widget._uiWidget)
    if hasattr(module.widget, "_list"):
        module.widget._list.recolor()
        module.widget.ui.modelSummaryLabel.text = ""
        module.widget.showParameters()
    host.process_events(0.01)


def lay_out(panel, width):
    """Show a panel at this width in a window that is higher than most; it is scrolled where it needs more."""
    window = panel.window()
    window.resize(width, 1200)
    panel.setFixedWidth(width)
    window.show()
    for _ in range(3):  # wrapped texts ask for their height once their width is known
        host.process_events(0.01)


def faults(panel) -> list[str]:
    """Sentences about what is cut, overlaps or is stretched; none where all is well. The same in every theme."""
    found = [*_overlaps(panel), *_stretched(panel)]
    for name, widget in _seen(panel):
        right = widget.mapTo(panel, widget.rect.topRight()).x()
        if right > panel.width and not _scrolled(widget):
            found.append(f"{name} sticks out of the panel by {right - panel.width} px")
        found += [f"{name}: {problem}" for problem in _cut(widget)]
    return found


def faint_texts(panel) -> list[str]:
    """Sentences about texts that are hard to read in the present theme. They are the same at every width."""
    drawn = panel.grab().toImage()
    return [f"{name}: {problem}" for name, widget in _seen(panel) for problem in _faint(widget, panel, drawn)]


def _seen(panel):
    for widget in panel.findChildren(QtWidgets.QWidget):
        if widget.isVisibleTo(panel) and widget.width:
            yield _name(widget), widget


def _name(widget) -> str:
    return f"{type(widget).__name__} '{widget.objectName or _text(widget)[:30]}'"


def _overlaps(panel) -> list[str]:
    """Neighbors, children of one widget, that cover a part of each other."""
    found = []
    for parent in (panel, *panel.findChildren(QtWidgets.QWidget)):
        children = [(child, child.geometry) for child in parent.children() if isinstance(child, QtWidgets.QWidget)
                    and child.isVisibleTo(panel) and not child.isWindow()]
        for (one, here), (other, there) in combinations(children, 2):
            both = here.intersected(there)
            if not both.isEmpty():
                found.append(f"{_name(one)} and {_name(other)} overlap by {both.width()} x {both.height()} px")
    return found


def _stretched(panel) -> list[str]:
    """Sections higher than their contents, tables and texts with room below them."""
    found = []
    for name, widget in _seen(panel):
        if type(widget).__name__ == "ctkCollapsibleButton" and not widget.collapsed:
            layout = widget.layout()
            needed = (layout.totalHeightForWidth(widget.width) if layout.hasHeightForWidth()
                      else layout.totalSizeHint().height())
            spare, what = widget.height - needed, "is stretched"
        elif isinstance(widget, QtWidgets.QTableWidget):
            rows = sum(widget.rowHeight(row) for row in range(widget.rowCount))
            spare, what = widget.viewport().height - rows, "has room below its rows"
        elif isinstance(widget, QtWidgets.QTextBrowser):
            spare = widget.viewport().height - round(widget.document.size.height())
            what = "has room below its text"
        else:
            continue
        if spare > SPARE:
            found.append(f"{name} {what}: {spare} px")
    return found


def _scrolled(widget) -> bool:
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QtWidgets.QAbstractScrollArea):
            return True
        parent = parent.parentWidget()
    return False


def _text(widget) -> str:
    if isinstance(widget, (QtWidgets.QLabel, QtWidgets.QAbstractButton)):
        return widget.text
    return ""


def _plain(text: str) -> str:
    document = QtGui.QTextDocument()
    document.setHtml(text) if "<" in text else document.setPlainText(text)
    return document.toPlainText()


def _cut(widget) -> list[str]:
    if isinstance(widget, QtWidgets.QLabel):
        return _cut_label(widget)
    if isinstance(widget, QtWidgets.QAbstractButton):
        return _too_narrow(widget, _plain(widget.text).replace("&", ""), widget.width - _beside_text(widget))
    if isinstance(widget, QtWidgets.QHeaderView):
        return _cut_header(widget)
    if isinstance(widget, QtWidgets.QTableWidget):
        return _cut_cells(widget)
    if isinstance(widget, QtWidgets.QComboBox):
        if _shortened(widget):
            return []
        option = QtWidgets.QStyleOptionComboBox()
        widget.initStyleOption(option)
        room = widget.style().subControlRect(QtWidgets.QStyle.CC_ComboBox, option,
                                             QtWidgets.QStyle.SC_ComboBoxEditField, widget).width()
        return _too_narrow(widget, widget.currentText, room)
    if isinstance(widget, QtWidgets.QLineEdit):
        return _too_narrow(widget, widget.text or widget.placeholderText, widget.contentsRect().width() - 4)
    return []


def _shortened(combo) -> bool:
    """Whether a combo box shortens what does not fit, and tells the whole of it in its tooltip."""
    return (getattr(combo, "elideMode", Qt.ElideNone) != Qt.ElideNone
            and combo.currentText in combo.parentWidget().toolTip)


def _cut_label(label) -> list[str]:
    text = label.text
    if not text:
        return []
    room = label.contentsRect().width() - 2 * label.margin
    if not label.wordWrap:
        return _too_narrow(label, max(_plain(text).splitlines(), key=len, default=""), room)
    words = _plain(text).replace("\u200b", " ").split()  # which lets a word be broken
    found = _too_narrow(label, max(words, key=label.fontMetrics().horizontalAdvance, default=""), room)
    needed = label.heightForWidth(label.width)
    return found + ([f"{needed} px high, has {label.height}"] if needed > label.height + SLACK else [])


def _beside_text(button) -> int:
    style = button.style()
    if isinstance(button, (QtWidgets.QCheckBox, QtWidgets.QRadioButton)):
        return (style.pixelMetric(QtWidgets.QStyle.PM_IndicatorWidth, None, button)
                + style.pixelMetric(QtWidgets.QStyle.PM_CheckBoxLabelSpacing, None, button))
    if isinstance(button, QtWidgets.QPushButton):
        arrow = style.pixelMetric(QtWidgets.QStyle.PM_MenuButtonIndicator, None, button) if button.menu() else 0
        return arrow + 2 * style.pixelMetric(QtWidgets.QStyle.PM_DefaultFrameWidth, None, button)
    return 0


def _too_narrow(widget, text: str, room: int) -> list[str]:
    needed = widget.fontMetrics().horizontalAdvance(text)
    return [f"'{text}' needs {needed} px, has {room}"] if text and needed > room + SLACK else []


def _cut_header(header) -> list[str]:
    model = header.model()
    if model is None or not header.count():
        return []
    found = []
    for section in range(header.count()):
        text = str(model.headerData(section, header.orientation()) or "")
        for line in text.splitlines():
            found += _too_narrow(header, line, header.sectionSize(section) - 4)
    return found if header.orientation() == Qt.Horizontal or header.isVisible() else []


def _cut_cells(table) -> list[str]:
    found = []
    for row in range(table.rowCount):
        for column in range(table.columnCount):
            text = table.item(row, column).text()
            room = table.columnWidth(column) - 6
            bounds = table.fontMetrics().boundingRect(0, 0, room, 10_000, Qt.TextWordWrap, text)
            if bounds.width() > room + SLACK or bounds.height() > table.rowHeight(row) + SLACK:
                found.append(f"the cell '{text}' is cut")
    if table.horizontalScrollBar().maximum > 0:
        found.append("it has to be scrolled sideways")
    return found


def _faint(widget, panel, drawn) -> list[str]:
    """Contrast of the text on what is drawn behind it; controls that cannot be used are left out, as in WCAG."""
    if not widget.enabled:
        return []
    if isinstance(widget, QtWidgets.QLineEdit):
        role = QtGui.QPalette.Text if widget.text else QtGui.QPalette.PlaceholderText
        text = widget.text or widget.placeholderText
    elif isinstance(widget, (QtWidgets.QLabel, QtWidgets.QAbstractButton)):
        role, text = widget.foregroundRole(), _plain(_text(widget))
    else:
        return _faint_cells(widget) if isinstance(widget, (QtWidgets.QTableWidget, QtWidgets.QTreeWidget)) else []
    if not text.strip():
        return []
    origin = widget.mapTo(panel, widget.rect.topLeft())
    behind = _most_common(drawn, origin.x(), origin.y(), widget.width, min(widget.height, 40))
    if behind is None:
        return []
    color = _over(widget.palette.color(role), behind)
    ratio = contrast(color, behind)
    return [] if ratio >= LEAST_CONTRAST else [
        f"'{text[:30]}' has a contrast of {ratio:.1f} ({color.name()} on {behind.name()})"]


def _faint_cells(view) -> list[str]:
    palette, found = view.palette, set()
    items = ([view.item(row, column) for row in range(view.rowCount) for column in range(view.columnCount)]
             if isinstance(view, QtWidgets.QTableWidget)
             else [view.topLevelItem(index) for index in range(view.topLevelItemCount)])
    for item in items:
        brushes = ((item.foreground(), item.background()) if isinstance(view, QtWidgets.QTableWidget)
                   else (item.foreground(0), item.background(0)))
        color, behind = (brush.color() if brush.style() != Qt.NoBrush else palette.color(role) for brush, role in zip(
            brushes, (QtGui.QPalette.Text, QtGui.QPalette.Base), strict=True))
        color = _over(color, behind)
        if contrast(color, behind) < LEAST_CONTRAST:
            found.add(f"an item is drawn in {color.name()} on {behind.name()}")
    return sorted(found)


def _most_common(image, left, top, width, height):
    colors = Counter(image.pixel(x, y) for y in range(max(top, 0), min(top + height, image.height()), 2)
                     for x in range(max(left, 0), min(left + width, image.width()), 2))
    return QtGui.QColor(colors.most_common(1)[0][0]) if colors else None


def _over(color, behind):
    """A color that lets a part of another one through."""
    share = color.alphaF()
    return QtGui.QColor(*(round(share * getattr(color, part)() + (1 - share) * getattr(behind, part)())
                          for part in ("red", "green", "blue")))


def contrast(one, other) -> float:
    """The contrast ratio of WCAG 2.1, 1 to 21."""
    bright, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(color) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(color.redF()) + 0.7152 * linear(color.greenF()) + 0.0722 * linear(color.blueF())

"""A colored note in a panel: what speaks against a run before it, and what to mind of the last one."""

from collections.abc import Iterable
from html import escape

import qt

# Colors of letters, background and border: dark on bright, readable in light and dark themes alike.
WARNING = "#4d3800", "#ffe9a8", "#d39e00"
FAILURE = "#6b0000", "#ffd6d1", "#c0392b"

_GAP = "<p style='margin:0; font-size:4px'>&nbsp;</p>"  # between two notes
_LONG = 20  # letters of a word


def note_style(colors: tuple[str, str, str]) -> str:
    """The style sheet of a QLabel that is a colored note: WARNING or FAILURE."""
    text, background, border = colors
    return (f"QLabel {{ color: {text}; background-color: {background}; border: 1px solid {border}; "
            "border-radius: 3px; padding: 5px; }")


class Banner:
    """Notes in sections, each shown until it is replaced; hidden while there are none.

    Args:
        layout: a QVBoxLayout of the panel.
        before: the widget in it above which the banner stands; None: at the end.
    """

    def __init__(self, layout, before=None):
        self._notes = {}
        self._label = qt.QLabel()
        self._label.objectName = "bannerLabel"
        self._label.wordWrap = True
        self._label.textFormat = qt.Qt.RichText
        self._label.textInteractionFlags = qt.Qt.TextSelectableByMouse
        self._label.setStyleSheet(note_style(WARNING))
        self._label.visible = False
        if before is None:
            layout.addWidget(self._label)
        else:
            layout.insertWidget(layout.indexOf(before), self._label)

    @property
    def label(self):
        """The QLabel."""
        return self._label

    def show(self, section: str, title: str, notes: Iterable[str]) -> None:
        """Replace what a section says.

        Args:
            title: above the notes.
            notes: a sentence or more each; none: the section goes.
        """
        notes = tuple(notes)
        if self._notes.get(section, ("", ())) == (title, notes):
            return
        self._notes.pop(section, None)
        if notes:
            self._notes[section] = (title, notes)
        self._label.text = _GAP.join(map(_paragraph, self._notes.values()))
        self._label.visible = bool(self._notes)

    def clear(self, section: str) -> None:
        """Take a section away."""
        self.show(section, "", ())


def _paragraph(note: tuple[str, tuple[str, ...]]) -> str:
    title, texts = note
    return f"<p style='margin:0'><b>\u26a0 {_html(title)}</b><br>{'<br>'.join(map(_html, texts))}</p>"


def _html(text: str) -> str:
    """Long names, as files have them, may be broken behind an underscore."""
    words = (word.replace("_", "_\u200b") if len(word) > _LONG else word for word in text.split(" "))
    return escape(" ".join(words))

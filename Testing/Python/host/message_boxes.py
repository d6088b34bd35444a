"""Dialogs that would wait for a person: recorded instead, and answered as the test says.

``host.dialogs`` is the list of what was shown; ``host.answer(...)`` queues the answer to the next one. With no
answer queued, a dialog with one button gets that button, any other one is refused (Cancel, No or Close).
"""

from contextlib import nullcontext
from dataclasses import dataclass, field

import slicer
from PySide6 import QtWidgets


@dataclass(frozen=True)
class Dialog:
    """One dialog: ``kind`` is "information", "warning", "critical", "question", "file", "input" or "dialog".

    ``wait_cursor``: whether the mouse showed a wait cursor over it.
    """

    kind: str
    text: str
    title: str = ""
    detailed_text: str = ""
    informative_text: str = ""
    answer: object = None
    wait_cursor: bool = field(default_factory=lambda: QtWidgets.QApplication.overrideCursor() is not None)


dialogs = []
_answers = []

_KINDS = {
    QtWidgets.QMessageBox.NoIcon: "information",
    QtWidgets.QMessageBox.Information: "information",
    QtWidgets.QMessageBox.Warning: "warning",
    QtWidgets.QMessageBox.Critical: "critical",
    QtWidgets.QMessageBox.Question: "question",
}
_REFUSALS = ("Cancel", "No", "Close", "Abort", "Discard", "Ignore")


def answer(*values):
    """Queue answers for the next dialogs: "Yes", "Ok", "Cancel" ...; a path for a file dialog; a function."""
    _answers.extend(values)


def clear():
    """Forget recorded dialogs and queued answers."""
    dialogs.clear()
    _answers.clear()


def errors():
    """The recorded error dialogs, in order."""
    return [dialog for dialog in dialogs if dialog.kind == "critical"]


def under_wait_cursor():
    """The recorded dialogs over which the mouse showed a wait cursor."""
    return [dialog for dialog in dialogs if dialog.wait_cursor]


def _next_answer(default):
    return _answers.pop(0) if _answers else default


def _button(box_class, value):
    return getattr(box_class, value) if isinstance(value, str) else value


def run_message_box(box):
    """What exec of a QMessageBox does here: record, then return the standard button of the answer."""
    standard = box_buttons(box.standardButtons)
    value = _next_answer(None)
    if callable(value) and not isinstance(value, str):
        value = value(box)
    if value is None:
        value = refusal(standard)
    button = _button(QtWidgets.QMessageBox, value)
    dialogs.append(
        Dialog(
            kind=_KINDS.get(box.icon, "information"),
            text=box.text,
            title=box.windowTitle.strip(),
            detailed_text=box.detailedText,
            informative_text=box.informativeText,
            answer=button.name,
        )
    )
    return button


def box_buttons(buttons):
    """Names of the standard buttons in a flag value."""
    box = QtWidgets.QMessageBox
    return [b.name for b in box.StandardButton if b not in (box.NoButton,) and buttons & b and b.value]


def refusal(names):
    """The cautious answer among button names."""
    if len(names) <= 1:
        return names[0] if names else "Ok"
    return next((name for name in _REFUSALS if name in names), names[-1])


def _static_box(kind):
    def show(parent, title, text, buttons=QtWidgets.QMessageBox.Ok, default=QtWidgets.QMessageBox.NoButton):
        value = _next_answer(None) or refusal(box_buttons(buttons))
        button = _button(QtWidgets.QMessageBox, value)
        dialogs.append(Dialog(kind=kind, text=text, title=title, answer=button.name))
        return button

    return staticmethod(show)


def _file_dialog(many):
    def show(parent=None, caption="", directory="", filter="", *rest):
        value = _next_answer([] if many else "")
        dialogs.append(Dialog(kind="file", text=caption, answer=value))
        return [str(v) for v in value] if many else str(value)

    return staticmethod(show)


def _input_dialog(parent=None, title="", label="", *rest, **kwargs):
    value = _next_answer(None)
    dialogs.append(Dialog(kind="input", text=label, title=title, answer=value))
    return "" if value is None else value


def _run_dialog(dialog, *args):
    value = _next_answer("Cancel")
    if callable(value) and not isinstance(value, str):
        value = value(dialog)
    accepted = value in ("Ok", "Yes", True, QtWidgets.QDialog.Accepted)
    dialogs.append(Dialog(kind="dialog", text="", title=dialog.windowTitle, answer="Ok" if accepted else "Cancel"))
    if accepted:
        dialog.accept()
    else:
        dialog.reject()
    return int(QtWidgets.QDialog.Accepted if accepted else QtWidgets.QDialog.Rejected)


def install():
    """Replace what waits for a person in the Qt dialog classes."""
    if hasattr(slicer.util, "_temporaryNormalCursor"):  # Slicer 5.12 does not take the wait cursor off by itself
        slicer.util._temporaryNormalCursor = nullcontext
    box = QtWidgets.QMessageBox
    for name in ("exec", "exec_"):
        setattr(box, name, run_message_box)
        setattr(QtWidgets.QDialog, name, _run_dialog)
        setattr(QtWidgets.QMenu, name, lambda menu, *args: None)
    for kind in ("information", "warning", "critical", "question"):
        setattr(box, kind, _static_box(kind))
    file_dialog = QtWidgets.QFileDialog
    file_dialog.getOpenFileName = _file_dialog(False)
    file_dialog.getSaveFileName = _file_dialog(False)
    file_dialog.getExistingDirectory = _file_dialog(False)
    file_dialog.getOpenFileNames = _file_dialog(True)
    for name in ("getText", "getItem", "getInt", "getDouble", "getMultiLineText"):
        setattr(QtWidgets.QInputDialog, name, staticmethod(_input_dialog))

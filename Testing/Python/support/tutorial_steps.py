"""The steps of a tutorial, read from its page and done on the panels: controls are found by their visible text."""

import re
from typing import NamedTuple

import ctk
import qt
import slicer
from bridge_scene import opened, process_events
from places import REPOSITORY

import host
from meddl_slicer.sections.section import Section

TUTORIALS = REPOSITORY / "docs" / "tutorials"
MODULES = {"MedDL Segmentation": "MedDLSeg", "MedDL Registration": "MedDLRegister",
           "MedDL Super-Resolution": "MedDLSuperRes"}
EDITOR = "SegmentEditor"
LONGEST_RUN = 900.0  # seconds
# What a sentence asks for, the most special first; any other bold name has to be seen on the panel.
_ACTIONS = re.compile(
    r"open the module \*\*(?P<module>.+?)\*\*|open the section \*\*(?P<section>.+?)\*\*"
    r"|click the sample \*\*(?P<sample>.+?)\*\*"
    r"|in \*\*(?P<choose>.+?)\*\* choose `(?P<value>.+?)`|the list of \*\*(?P<list>.+?)\*\* has `(?P<item>.+?)` chosen"
    r"|in \*\*(?P<enter>.+?)\*\* enter `(?P<entry>.+?)`|paint the segment `(?P<paint>.+?)`"
    r"|correct the segment `(?P<correct>.+?)`"
    r"|check \*\*(?P<check>.+?)\*\*|press \*\*(?P<press>.+?)\*\*"
    r"|slider between \*\*(?P<left>.+?)\*\* and \*\*(?P<right>.+?)\*\*|\*\*(?P<see>.+?)\*\*", re.IGNORECASE)


class Step(NamedTuple):
    """What to do (the first name of its match in _ACTIONS), with which control, and a value or second control."""

    action: str
    control: str
    value: str | None


def items_of(page: str) -> list[list[Step]]:
    """The steps of each numbered item of a tutorial's page, by its name without `.md`."""
    text = (TUTORIALS / f"{page}.md").read_text(encoding="utf-8")
    section = text.partition("\n## Steps\n")[2].partition("\n## ")[0]
    return [[_step(match) for match in _ACTIONS.finditer(re.sub(r"\s+", " ", item))]
            for item in re.split(r"^\d+\. ", section, flags=re.MULTILINE)[1:]]


def _step(match: re.Match) -> Step:
    (action, control), *more = [(name, words) for name, words in match.groupdict().items() if words is not None]
    return Step(action, control, more[0][1] if more else None)


def steps_of(page: str) -> list[Step]:
    """The steps of a tutorial's page, one after another."""
    return [step for item in items_of(page) for step in item]


class Reader:
    """Somebody who does what the page says, with the panel that the page has opened.

    Args:
        paint, correct: paint or correct a segment of a segmentation node over a volume node: called with both and the
            segment's name.
    """

    def __init__(self, paint=None, correct=None) -> None:
        self.widget = None
        self.paint, self.correct = paint, correct

    @property
    def panel(self):
        """The open module's panel."""
        return self.widget.parent

    def do(self, step: Step) -> None:
        """Do a step.

        Raises:
            LookupError: the control or the choice is not to be seen, or cannot be used.
        """
        getattr(self, f"_{step.action}")(step.control, *([] if step.value is None else [step.value]))

    def _module(self, title: str) -> None:
        if title in MODULES:
            self.widget = opened(MODULES[title]).widget
            assert getattr(slicer.modules, MODULES[title].lower()).title == title
        else:
            slicer.util.selectModule(title.replace(" ", ""))

    def _section(self, title: str) -> None:
        self._control(title, ctk.ctkCollapsibleButton).collapsed = False

    def _sample(self, name: str) -> None:
        from SampleData import SampleDataLogic, SampleDataWidget

        panel = qt.QWidget()
        layout = qt.QVBoxLayout(panel)
        SampleDataWidget.setCategoriesFromSampleDataSources(layout, slicer.modules.sampleDataSources, SampleDataLogic())
        buttons = [button for button in panel.findChildren(qt.QAbstractButton) if button.text == name]
        if len(buttons) != 1:
            raise LookupError(f"Sample Data shows {len(buttons)} buttons '{name}'.")
        buttons[0].click()
        panel.delete()

    def _choose(self, label: str, value: str) -> None:
        field = self._field(label)
        combo = field if isinstance(field, qt.QComboBox) else field.findChild("QComboBox")
        row = combo.findText(value)
        if row < 0:
            raise LookupError(f"'{label}' does not offer '{value}'.")
        combo.setCurrentIndex(row)
        assert combo.currentText == value

    def _enter(self, label: str, entry: str) -> None:
        field = self._field(label)
        if isinstance(field, qt.QLineEdit):
            field.text = entry
            field.editingFinished.emit()
        else:
            field.value = type(field.value)(entry)

    def _paint(self, name: str) -> None:
        editor = self.widget.editor
        self.paint(editor.segmentationNode(), editor.sourceVolumeNode(), name)

    def _correct(self, name: str) -> None:
        editor = self.widget.editor
        self.correct(editor.segmentationNode(), editor.sourceVolumeNode(), name)

    def _list(self, label: str, item: str) -> None:
        self._control(label)
        (tree,) = [one for one in self.panel.findChildren(qt.QTreeWidget) if one.isVisibleTo(self.panel)]
        if tree.currentItem().text(1) != item:  # beside its star
            raise LookupError(f"'{tree.currentItem().text(1)}' is chosen, not '{item}'.")

    def _check(self, text: str) -> None:
        box = self._control(text, qt.QCheckBox)
        if not box.checked:
            box.click()
        assert box.checked

    def _press(self, text: str) -> None:
        self._control(text, qt.QAbstractButton).click()
        process_events(seconds=0.05)
        if slicer.util.selectedModule() == EDITOR:
            self.widget = slicer.util.getModuleWidget(EDITOR)
        process_events(lambda: not self._busy(), limit=LONGEST_RUN)
        if host.errors():
            raise LookupError(f"'{text}' was answered by: {host.errors()}")

    def _busy(self) -> bool:
        """Whether the panel, one of its sections or an effect computes."""
        if slicer.util.selectedModule() == EDITOR:
            effect = self.widget.editor.activeEffect()
            preview = None if effect is None else getattr(effect.self(), "preview", None)
            return preview is not None and preview.running
        return self.widget.run.running or any(section.run.running for section in vars(self.widget).values()
                                              if isinstance(section, Section))

    def _slider(self, left: str, right: str) -> None:
        self._control(left), self._control(right)
        (slider,) = [one for one in self.panel.findChildren(qt.QSlider) if one.isVisibleTo(self.panel)]
        for value in (slider.minimum, slider.maximum):
            slider.value = value

    _left = _slider

    def _see(self, text: str) -> None:
        self._control(text)

    def _control(self, text: str, kind=None):
        """The one visible widget with this text, a colon after it aside; it can be used."""
        found = [one for one in self.panel.findChildren(kind or qt.QWidget) if _text_of(one) == text
                 and one.isVisibleTo(self.panel) and (kind is not qt.QAbstractButton or not hasattr(one, "collapsed"))]
        if len(found) != 1:
            raise LookupError(f"The panel shows {len(found)} controls '{text}'.")
        if not found[0].enabled:
            raise LookupError(f"'{text}' cannot be used: {found[0].toolTip}")
        return found[0]

    def _field(self, label: str):
        """The widget beside a label."""
        widget = self._control(label, qt.QLabel)
        layout = widget.parentWidget().layout()
        for form in [one for one in (layout, *layout.children()) if isinstance(one, qt.QFormLayout)]:
            for row in range(form.rowCount()):
                item = form.itemAt(row, qt.QFormLayout.LabelRole)
                if item is not None and item.widget() is widget:
                    return form.itemAt(row, qt.QFormLayout.FieldRole).widget()
        raise LookupError(f"There is nothing beside the label '{label}'.")


def _text_of(widget) -> str:
    text = getattr(widget, "text", None) or getattr(widget, "title", None)
    return text.removesuffix(":") if isinstance(text, str) else ""

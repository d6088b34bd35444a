"""The section *Prepare* of the super-resolution panel: a chain of steps, shown, changed, saved, and run on a volume."""

from dataclasses import fields
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.errors import InputError
from meddl.preparation.steps import (
    N4,
    STEPS,
    Normalize,
    chain_from_text,
    chain_to_text,
    load_chain,
    name_of,
)
from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.mrml.slice_layers import fade
from meddl_slicer.panels.config_form import ConfigForm
from meddl_slicer.panels.options import in_words
from meddl_slicer.sections.preparation import verb
from meddl_slicer.sections.section import LABELS, VOLUMES, Section

_NAMES = {"n4": _("N4 bias field correction"), "denoise": _("Denoise"), "equalize": _("Equalize contrast"),
          "normalize": _("Normalize intensities"), "crop": _("Crop"), "resample": _("Resample"),
          "reorient": _("Reorient"), "resize": _("Resize")}
_FIRST = (N4(), Normalize())  # of a scene in which nothing was chosen


class PrepareSection(Section):
    """Runs a volume through a chain of steps, and shows before and after over each other.

    Args:
        panel, after: as of `Section`.
    """

    def __init__(self, panel, after):
        super().__init__(panel, after, "MedDL.Prepare", _("Prepare"))
        self.addSelector("volume", _("Volume:"), VOLUMES, _("The volume to prepare; it stays as it is"),
                         _("Select a volume"))
        self.addSelector("reference", _("Reference:"), VOLUMES, _("The volume whose histogram is matched"), _("Select"))
        self.addSelector("roi", _("Region:"), ("vtkMRMLMarkupsROINode", *LABELS),
                         _("The region of interest that the volume is cropped to"), _("Select"))
        self._addList()
        self._options = qt.QWidget()
        qt.QVBoxLayout(self._options).setContentsMargins(0, 0, 0, 0)
        self.box.addWidget(self._options)
        self._forms = {}
        self.addRun(_("Prepare"), _("Run the volume through the steps"))
        self._slider = qt.QSlider()
        self._slider.orientation, self._slider.maximum = qt.Qt.Horizontal, 100
        self._slider.toolTip = _("Fade from the volume before to the one after")
        self._slider.connect("valueChanged(int)", self.onFade)
        self._row = qt.QWidget()
        row = qt.QHBoxLayout(self._row)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (qt.QLabel(_("Before")), self._slider, qt.QLabel(_("After"))):
            row.addWidget(widget)
        self.box.addWidget(self._row)
        self._faded = (None, None)
        self._row.visible = False

    @property
    def steps(self) -> tuple:
        """The chosen chain."""
        try:
            return chain_from_text(self.readText("chain")) if self.readText("chain") else _FIRST
        except InputError:  # of a later version
            return _FIRST

    def setSteps(self, steps, row: int) -> None:
        """Choose a chain, and the step whose options are shown."""
        self.keep("chain", chain_to_text(steps))
        self.keep("row", str(max(0, min(row, len(steps) - 1))))
        self.update()

    def showChoices(self) -> None:
        steps, row = self.steps, int(self.readText("row") or 0)
        row = max(0, min(row, len(steps) - 1))
        self.showRows({"volume", *verb.needed_inputs(steps)})
        blocked = self.list.blockSignals(True)
        self.list.clear()
        for number, step in enumerate(steps, start=1):
            self.list.addItem(f"{number}. {_in_a_line(step)}")
        if steps:
            self.list.setCurrentRow(row)
        self.list.blockSignals(blocked)
        for button, enabled in ((self.upButton, row > 0), (self.downButton, row < len(steps) - 1),
                                (self.removeButton, bool(steps)), (self.saveButton, bool(steps))):
            button.enabled = enabled
        self._showForm(steps[row] if steps else None)

    def whyNotReady(self) -> str | None:
        if not self.steps:
            return _("Add a step.")
        for key, text in (("reference", _("Choose the volume whose histogram is matched.")),
                          ("roi", _("Choose the region to crop to."))):
            if key in self._shown and self.node(key) is None:
                return text
        return why_not_usable(self.node("volume"))

    def startRun(self, onProgress, onDone):
        volume, output = self.node("volume"), self._faded[1]
        again = output is not None and self._faded[0] is volume and slicer.mrmlScene.IsNodePresent(output)
        return verb.prepare_node(volume, self.steps, outputNode=output if again else None,
                                 referenceNode=self.node("reference"), roiNode=self.node("roi"), wait=False,
                                 onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        self._faded = (self.node("volume"), node)
        self._row.visible = True
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        self._slider.value = 100
        self.onFade(100)

    def clear(self) -> None:
        self._faded = (None, None)
        self._row.visible = False

    def onFade(self, percent: int) -> None:
        """Show so much of the prepared volume over the one before."""
        fade(*self._faded, percent / 100)

    def onAdd(self, name: str) -> None:
        """Add a step behind the chosen one."""
        steps, row = list(self.steps), self.list.currentRow + 1
        steps.insert(row, STEPS[name]())
        self.setSteps(steps, row)

    def onRemove(self, checked: bool = False) -> None:
        """Take the chosen step out."""
        steps, row = list(self.steps), self.list.currentRow
        if 0 <= row < len(steps):
            del steps[row]
            self.setSteps(steps, row)

    def onMove(self, by: int) -> None:
        """Exchange the chosen step with the one before or behind it."""
        steps, row = list(self.steps), self.list.currentRow
        if 0 <= row < len(steps) and 0 <= row + by < len(steps):
            steps[row], steps[row + by] = steps[row + by], steps[row]
            self.setSteps(steps, row + by)

    def onLoad(self, checked: bool = False) -> None:
        """Ask for a JSON file and take its chain."""
        path = str(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Load a chain of steps"), "",
                                                  _("Chain (*.json)")) or "")
        if path:
            with slicer.util.tryWithErrorDisplay(_("The chain could not be loaded.")):
                self.setSteps(load_chain(path), 0)

    def onSave(self, checked: bool = False) -> None:
        """Ask for a file and write the chain to it."""
        path = str(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Save the chain of steps"), "chain.json",
                                                  _("Chain (*.json)")) or "")
        if path:
            with slicer.util.tryWithErrorDisplay(_("The chain could not be saved.")):
                Path(path).write_text(chain_to_text(self.steps), encoding="utf-8")

    def _addList(self) -> None:
        self.list = qt.QListWidget()
        self.list.objectName = "prepareList"
        self.list.setMaximumHeight(110)
        self.list.toolTip = _("The steps in the order in which they run")
        self.list.connect("currentRowChanged(int)", self._onRow)
        self.box.addWidget(self.list)
        self.addButton = qt.QPushButton(_("Add"))
        menu = qt.QMenu(self.addButton)
        for name, text in _NAMES.items():
            menu.addAction(text).connect("triggered()", lambda *_, name=name: self.onAdd(name))
        self.addButton.setMenu(menu)
        self.upButton, self.downButton = qt.QPushButton(_("Up")), qt.QPushButton(_("Down"))
        self.removeButton = qt.QPushButton(_("Remove"))
        self.loadButton, self.saveButton = qt.QPushButton(_("Load chain...")), qt.QPushButton(_("Save chain..."))
        for button, tip, slot in (
                (self.upButton, _("Run the step earlier"), lambda checked: self.onMove(-1)),
                (self.downButton, _("Run the step later"), lambda checked: self.onMove(1)),
                (self.removeButton, _("Take the step out"), self.onRemove),
                (self.loadButton, _("Take the steps of a JSON file"), self.onLoad),
                (self.saveButton, _("Write the steps to a JSON file, also for `meddl prepare --chain`"), self.onSave)):
            button.toolTip = tip
            button.connect("clicked(bool)", slot)
        self.addButton.toolTip = _("Add a step")
        for buttons in ((self.addButton, self.upButton, self.downButton, self.removeButton),
                        (self.loadButton, self.saveButton)):
            row = qt.QHBoxLayout()
            for button in buttons:
                row.addWidget(button)
            self.box.addLayout(row)

    def _onRow(self, row: int) -> None:
        if row >= 0:
            self.keep("row", str(row))
            self.update()

    def _showForm(self, step) -> None:
        """Show the options of a step, and no others."""
        kind = type(step)
        if step is not None and kind not in self._forms:
            page = qt.QWidget()
            form = ConfigForm(kind, lambda kind=kind: self._onOptions(kind))
            layout = qt.QFormLayout(page)
            layout.setContentsMargins(0, 0, 0, 0)
            form.addRows(layout)
            self._options.layout().addWidget(page)
            self._forms[kind] = (page, form)
        for other, (page, form) in self._forms.items():
            page.visible = other is kind
            if other is kind:
                form.setConfig(step)

    def _onOptions(self, kind) -> None:
        steps, row = list(self.steps), self.list.currentRow
        if 0 <= row < len(steps) and type(steps[row]) is kind:
            steps[row] = self._forms[kind][1].config
            self.setSteps(steps, row)


def _in_a_line(step) -> str:
    """A step with what differs from its defaults, and its method."""
    name = name_of(step)
    parts = []
    for field in fields(step):
        value = getattr(step, field.name)
        if field.name in ("method", "to") or value != field.default:
            shown = " × ".join(f"{one:g}" for one in value) if isinstance(value, tuple) else in_words(value)
            named = field.name not in ("method", "to", "codes")
            parts.append(f"{field.name.replace('_', ' ')} {shown}" if named else shown)
    return f"{_NAMES[name]}: {', '.join(parts)}" if parts else _NAMES[name]

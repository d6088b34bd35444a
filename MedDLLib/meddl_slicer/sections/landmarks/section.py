"""The section *Landmarks* of the segmentation panel: named points of a head, and AC-PC alignment."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.panels.models import choices
from meddl_slicer.sections.landmarks.train_section import TrainLandmarksSection
from meddl_slicer.sections.landmarks.verb import BOXES_ROLE, MODEL, find_landmarks_node
from meddl_slicer.sections.section import Section


class LandmarkSection(Section):
    """Finds landmarks in the panel's volume, and aligns it by AC and PC. Below it stands *Train landmarks*.

    Args:
        panel, after: as of `Section`.
        chosen: called without arguments: the panel's parameter node, or None.
    """

    def __init__(self, panel, after, chosen):
        self.training = TrainLandmarksSection(panel, after, self.onTrained)
        super().__init__(panel, after, "MedDL.Landmarks", _("Landmarks"))
        self._chosen, self._aligning, self._models = chosen, False, []
        self.modelComboBox = qt.QComboBox()
        self.modelComboBox.objectName = "landmarksModelComboBox"
        self.modelComboBox.toolTip = _("Landmarks of the brain in a head of any contrast, or those of a model that was "
                                       "trained in the section below, or installed")
        self.modelComboBox.connect("activated(int)", lambda row: self.onModel(row))
        self.form.addRow(_("Model:"), self.modelComboBox)
        self.addRun(_("Find landmarks"), _("Find the landmarks of the model in the volume chosen above"))
        self.alignButton = qt.QPushButton(_("Align by AC and PC"))
        self.alignButton.objectName = "landmarksAlignButton"
        self.box.insertWidget(self.box.indexOf(self.ui.applyButton) + 1, self.alignButton)
        self.alignButton.connect("clicked(bool)", self.onAlignButton)
        self.addReading()
        self.button.connect("contentsCollapsed(bool)", lambda collapsed: self.update())

    @property
    def model(self) -> str:
        """The identifier of the chosen model."""
        row = self.modelComboBox.currentIndex
        return self._models[row - 1].id if 0 < row <= len(self._models) else MODEL

    def whyNotReady(self) -> str | None:
        volume = self._chosen().inputVolume if self._chosen() else None
        return _("Choose a volume.") if volume is None else why_not_usable(volume)

    def showChoices(self) -> None:
        self._models = [] if self.button.collapsed else choices.list_installed("landmarks")
        self.modelComboBox.clear()
        self.modelComboBox.addItem(_("Brain: AC, PC, centers of structures"))
        for model in self._models:
            self.modelComboBox.addItem(model.name)
        kept = [number for number, model in enumerate(self._models, start=1) if model.id == self.readText("model")]
        self.modelComboBox.setCurrentIndex(kept[0] if kept else 0)
        reason = self.whyNotReady() or (None if self.model == MODEL else _(
            "AC-PC alignment is that of the landmarks of the brain."))
        self.alignButton.enabled = reason is None and not self.run.running
        self.alignButton.toolTip = reason or _("Find the landmarks, and put the volume under a transform: AC at the "
                                               "origin, PC straight behind it, the mid-sagittal plane upright")

    def onPanelChanged(self) -> None:
        """Something else is chosen in the panel."""
        self.update()

    def onModel(self, row: int) -> None:
        """The user has chosen a model."""
        self.keep("model", self.model)
        self.update()

    def onTrained(self, identifier: str) -> None:
        """A model was trained: choose it."""
        self.button.collapsed = False
        self.keep("model", identifier)
        self.update()

    def onRunButton(self, checked: bool = False) -> None:
        """Find, or stop the run in progress."""
        with slicer.util.tryWithErrorDisplay(_("The run could not be started.")):
            if self.run.running or self.model == MODEL or choices.confirm_license(self.model):
                Section.onRunButton(self)

    def onAlignButton(self, checked: bool = False) -> None:
        """Find the landmarks, and align the volume by them."""
        self._aligning = True
        self.onRunButton()
        self._aligning = False
        self.update()

    def startRun(self, onProgress, onDone):
        self.read()
        return find_landmarks_node(self._chosen().inputVolume, model=self.model, align=self._aligning,
                                   device=self._chosen().device, wait=False, onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        boxes, points = node.GetNumberOfNodeReferences(BOXES_ROLE), node.GetNumberOfControlPoints()
        if node.IsA("vtkMRMLMarkupsROINode"):
            boxes, points = boxes + 1, 0
        text = _("{count} points in '{name}'.").format(count=points, name=node.GetName()) if points else ""
        self.read(node, text, _("Boxes: {count}.").format(count=boxes) if boxes else "")
        position = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(0, position)
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *position)

    def setParameterNode(self, parameterNode) -> None:
        self.training.setParameterNode(parameterNode)
        Section.setParameterNode(self, parameterNode)

    def clear(self) -> None:
        self.read()

    def close(self) -> None:
        """Stop the runs, and hold neither widgets nor the panel any more."""
        self.training.close()
        Section.close(self)
        self._chosen = None

"""The section *Landmarks* of the segmentation panel: named points of a head, and AC-PC alignment."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.sections.landmarks.verb import find_landmarks_node
from meddl_slicer.sections.section import Section


class LandmarkSection(Section):
    """Finds landmarks in the panel's volume, and aligns it by AC and PC.

    Args:
        panel, after: as of `Section`.
        chosen: called without arguments: the panel's parameter node, or None.
    """

    def __init__(self, panel, after, chosen):
        super().__init__(panel, after, "MedDL.Landmarks", _("Landmarks"))
        self._chosen, self._aligning = chosen, False
        self.addRun(_("Find landmarks"), _("Find AC, PC and centers of structures in the volume chosen above"))
        self.alignButton = qt.QPushButton(_("Align by AC and PC"))
        self.alignButton.objectName = "landmarksAlignButton"
        self.box.insertWidget(self.box.indexOf(self.ui.applyButton) + 1, self.alignButton)
        self.alignButton.connect("clicked(bool)", self.onAlignButton)
        self.addReading()

    def whyNotReady(self) -> str | None:
        volume = self._chosen().inputVolume if self._chosen() else None
        return _("Choose a volume.") if volume is None else why_not_usable(volume)

    def showChoices(self) -> None:
        reason = self.whyNotReady()
        self.alignButton.enabled = reason is None and not self.run.running
        self.alignButton.toolTip = reason or _("Find the landmarks, and put the volume under a transform: AC at the "
                                               "origin, PC straight behind it, the mid-sagittal plane upright")

    def onPanelChanged(self) -> None:
        """Something else is chosen in the panel."""
        self.update()

    def onAlignButton(self, checked: bool = False) -> None:
        """Find the landmarks, and align the volume by them."""
        self._aligning = True
        self.onRunButton()
        self._aligning = False
        self.update()

    def startRun(self, onProgress, onDone):
        self.read()
        return find_landmarks_node(self._chosen().inputVolume, align=self._aligning, device=self._chosen().device,
                                   wait=False, onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        self.read(node, _("{count} points in '{name}'.").format(count=node.GetNumberOfControlPoints(),
                                                                name=node.GetName()))
        position = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(0, position)
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *position)

    def clear(self) -> None:
        self.read()

    def close(self) -> None:
        """Stop the run, and hold neither widgets nor the panel any more."""
        Section.close(self)
        self._chosen = None

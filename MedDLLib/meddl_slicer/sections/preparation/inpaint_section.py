"""The section *Inpaint* of the super-resolution panel: what a mask covers, filled from what is around it."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl.inpainting.config import InpaintConfig, needed_bytes
from meddl_slicer.mrml.sequences import node_in_browser
from meddl_slicer.panels.config_form import ConfigForm
from meddl_slicer.runs import verbs
from meddl_slicer.sections.preparation.inpaint_verb import inpaint_node, why_not_inpainted
from meddl_slicer.sections.section import LABELS, VOLUMES, Section

_INPUTS = (*VOLUMES, "vtkMRMLSequenceNode")
_LARGE_MASK = 0.1  # of the volume, for which the memory is stated: the mask itself is not read before a run


class InpaintSection(Section):
    """Fills what a mask covers, and shows the result under the mask of the synthesized voxels.

    Args:
        panel, after: as of `Section`.
    """

    def __init__(self, panel, after):
        super().__init__(panel, after, "MedDL.Inpaint", _("Inpaint"))
        self.addSelector("input", _("Volume:"), _INPUTS, _("The volume, or sequence of volumes, to fill; it stays as "
                         "it is"), _("Select a volume"))
        self.addSelector("mask", _("Mask:"), LABELS, _("A segmentation or label map: all that is not background is "
                         "filled, such as a lesion, an artifact, missing slices"), _("Select a mask"))
        self.addSelector("output", _("Output:"), _INPUTS, _("The node to fill; none: a new one"), _("Create new"))
        self._config = ConfigForm(InpaintConfig, self.onOptionsChanged)
        self._config.addRows(self.form)
        self.memoryLabel = qt.QLabel()
        self.memoryLabel.objectName = "inpaintMemoryLabel"
        self.memoryLabel.wordWrap = True
        self.box.addWidget(self.memoryLabel)
        self.addRun(_("Inpaint"), _("Fill the masked voxels; each is marked as synthesized"))
        self.addReading()

    def onOptionsChanged(self) -> None:
        """The user has changed an option."""
        self.keepConfig(self._config.config)
        self.update()

    def showChoices(self) -> None:
        config = self.readConfig(InpaintConfig)
        if config != self._config.config:
            self._config.setConfig(config)
        text = "" if self.whyNotReady() else self._plan(self.node("input"), config)
        self.memoryLabel.text, self.memoryLabel.visible = text, bool(text)

    def whyNotReady(self) -> str | None:
        return why_not_inpainted(self.node("input"), self.node("mask"), self.node("output"))

    def startRun(self, onProgress, onDone):
        self.read()
        return inpaint_node(self.node("input"), self.node("mask"), self._config.config,
                            outputNode=self.node("output"), wait=False, onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        self.read(node)
        shown = node_in_browser(node) if node.IsA("vtkMRMLSequenceNode") else node
        if shown is not None:
            slicer.util.setSliceViewerLayers(background=shown, label=node.GetNodeReference(verbs.INVENTED_ROLE),
                                             labelOpacity=0.3)

    def clear(self) -> None:
        self.read()

    def _plan(self, node, config: InpaintConfig) -> str:
        """What memory a run needs, beside volume and result."""
        frame = node.GetNthDataNode(0) if node.IsA("vtkMRMLSequenceNode") else node
        voxels = frame.GetImageData().GetNumberOfPoints()
        needed = needed_bytes(voxels, int(_LARGE_MASK * voxels), config)
        return _("About {memory:.1f} GB of memory for a mask of a tenth of the volume.").format(
            memory=max(0.1, needed / 1e9))

"""MedDLSeg: outline the structures of a volume with a neural network."""

import sys
from pathlib import Path
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

try:
    import meddl_slicer  # noqa: F401
except ModuleNotFoundError:  # a source checkout: only this module's own folder is on the path
    sys.path.append(str(Path(__file__).resolve().parent.parent / "MedDLLib"))

from meddl.config import SegmentConfig, field_help
from meddl_slicer import dependencies, models, runs, sample_data
from meddl_slicer.module_widget import ModuleWidget
from meddl_slicer.options import DEVICES
from meddl_slicer.widgets import show_segmentation, status_text


class MedDLSeg(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedDL Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedDL contributors"]
        self.parent.helpText = _("""
Outlines the structures of the brain in a volume of any contrast, with a neural network that runs on this computer.
Choose a volume and press Apply. For research only. See the
<a href="https://github.com/MedDL/SlicerMedDL#meddl-segmentation">documentation</a>.
""")
        self.parent.acknowledgementText = _("Please cite MedDL if it helps your work: see its home page.")
        slicer.app.connect("startupCompleted()", sample_data.register)


@parameterNodeWrapper
class MedDLSegParameterNode:
    """What a person chooses.

    inputVolume - the volume to segment.
    outputSegmentation - the segmentation to fill; none: a new one.
    model - identifier of the model.
    show3D - make surfaces and show them.
    flipAveraging, contrastAdaptation, largestComponent, confidence - as in meddl.SegmentConfig.
    device - where to run.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputSegmentation: vtkMRMLSegmentationNode
    model: str = models.DEFAULT_SEGMENTATION
    show3D: bool = False
    flipAveraging: bool = SegmentConfig.flip_averaging
    contrastAdaptation: bool = SegmentConfig.contrast_adaptation
    largestComponent: bool = SegmentConfig.largest_component
    confidence: bool = SegmentConfig.confidence
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLSegWidget(ModuleWidget):
    """The panel."""

    verb = "segment"
    outputNames = ("outputSegmentation",)
    readyTip = _("Segment the volume")

    def createLogic(self):
        return MedDLSegLogic()

    def setupPanel(self) -> None:
        self._models = []
        self.updateModels()
        self.ui.modelComboBox.connect("currentIndexChanged(int)", self.onModelChanged)
        self.ui.installModelButton.connect("clicked(bool)", self.onInstallModel)
        self.ui.removeModelButton.connect("clicked(bool)", self.onRemoveModel)
        self.ui.showModelsButton.connect("clicked(bool)", lambda checked: models.open_folder())
        texts = field_help(SegmentConfig)
        self.ui.flipAveragingCheckBox.toolTip = texts["flip_averaging"]
        self.ui.contrastAdaptationCheckBox.toolTip = texts["contrast_adaptation"]
        self.ui.largestComponentCheckBox.toolTip = texts["largest_component"]
        self.ui.confidenceCheckBox.toolTip = texts["confidence"]

    def updateModels(self) -> None:
        """List the installed models, the chosen one first selected."""
        self._models = models.installed("segmentation")
        blocked = self.ui.modelComboBox.blockSignals(True)
        self.ui.modelComboBox.clear()
        for entry in self._models:
            self.ui.modelComboBox.addItem(entry.title, entry.identifier)
        self.ui.modelComboBox.blockSignals(blocked)
        self.ui.showModelsButton.toolTip = models.folder_text()

    def onModelChanged(self, index: int) -> None:
        """The person has chosen a model."""
        if self._parameterNode and index >= 0:
            self._parameterNode.model = self.ui.modelComboBox.itemData(index)

    def onInstallModel(self, checked: bool = False) -> None:
        """Install a model from a file and choose it."""
        with slicer.util.tryWithErrorDisplay(_("The model could not be installed."), waitCursor=True):
            dependencies.ensure("MedDL")
            identifier = models.install_from_file()
            if identifier is not None:
                self.updateModels()
                self._parameterNode.model = identifier
                self._onParametersModified()

    def onRemoveModel(self, checked: bool = False) -> None:
        """Delete the chosen model."""
        with slicer.util.tryWithErrorDisplay(_("The model could not be removed.")):
            if models.remove(self._parameterNode.model):
                self.updateModels()
                self._parameterNode.model = models.DEFAULT_SEGMENTATION
                self._onParametersModified()

    def whyNotReady(self):
        if not self._models:
            return _("No segmentation model is installed. Install one under Advanced.")
        if self.ui.modelComboBox.findData(self._parameterNode.model) < 0:
            return _("The model '{model}' is not installed. Choose another one.").format(
                model=self._parameterNode.model)
        return super().whyNotReady()

    def statusLine(self) -> str:
        index = self.ui.modelComboBox.findData(self._parameterNode.model)
        self.ui.modelComboBox.currentIndex = index
        return status_text(self.verb, self.inputVoxels(), self._models[index].license if index >= 0 else None)

    def agreed(self) -> bool:
        return models.license_agreed(self._parameterNode.model)

    def startRun(self, onProgress, onDone):
        chosen = self._parameterNode
        config = SegmentConfig(flip_averaging=chosen.flipAveraging, contrast_adaptation=chosen.contrastAdaptation,
                               largest_component=chosen.largestComponent, confidence=chosen.confidence)
        return self.logic.segment(chosen.inputVolume, chosen.model, config=config, show3D=chosen.show3D,
                                  segmentationNode=chosen.outputSegmentation, device=chosen.device,
                                  wait=False, onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        show_segmentation(node, self.ui.resultsTable)
        self.ui.resultsCollapsibleButton.visible = True


class MedDLSegLogic(ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        return MedDLSegParameterNode(super().getParameterNode())

    def segment(self, volumeNode, model: str = models.DEFAULT_SEGMENTATION, *, config: SegmentConfig | None = None,
                segmentationNode=None, show3D: bool = False, device: str = "auto", wait: bool = True,
                onProgress=None, onDone=None):
        """Segment a volume node; returns the segmentation node. See `meddl_slicer.runs.segment_node`."""
        return runs.segment_node(volumeNode, model, config, segmentationNode=segmentationNode, show3D=show3D,
                                 device=device, wait=wait, onProgress=onProgress, onDone=onDone)


class MedDLSegTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer, from the Reload and Test button or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_segments_the_sample_head()

    def test_segments_the_sample_head(self):
        """The embedded head is segmented into structures that lie over it."""
        self.delayDisplay("Rendering the sample head")
        head = sample_data.load("T1")
        node = MedDLSegLogic().segment(head)
        self.assertGreater(node.GetSegmentation().GetNumberOfSegments(), 20)
        self.assertEqual(node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()), head)
        self.delayDisplay("Test passed")

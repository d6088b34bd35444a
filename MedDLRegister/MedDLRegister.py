"""MedDLRegister: carry one volume onto another."""

import sys
from pathlib import Path
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTransformNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

try:
    import meddl_slicer  # noqa: F401
except ModuleNotFoundError:  # a source checkout: only this module's own folder is on the path
    sys.path.append(str(Path(__file__).resolve().parent.parent / "MedDLLib"))

from meddl.config import RegisterConfig, field_help
from meddl_slicer import runs, sample_data
from meddl_slicer.module_widget import ModuleWidget
from meddl_slicer.options import DEVICES, choices
from meddl_slicer.transforms import is_under
from meddl_slicer.widgets import show_overlay

CHOICES = choices(RegisterConfig)


class MedDLRegister(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedDL Registration")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedDL contributors"]
        self.parent.helpText = _("""
Finds the transform that carries a moving volume onto a fixed one, also between different contrasts.
Choose both volumes and press Apply. For research only. See the
<a href="https://github.com/MedDL/SlicerMedDL#meddl-registration">documentation</a>.
""")
        self.parent.acknowledgementText = _("Please cite MedDL if it helps your work: see its home page.")
        slicer.app.connect("startupCompleted()", sample_data.register)


@parameterNodeWrapper
class MedDLRegisterParameterNode:
    """What a person chooses.

    fixedVolume, movingVolume - the volume that stays, and the one that is carried onto it.
    outputTransform - the transform to fill; none: a new one.
    warpedVolume - the volume to fill with the moving one on the fixed grid; none: a new one, if `warp`.
    warp - make a warped volume.
    transform, metric, start, searchRotations - as in meddl.RegisterConfig.
    device - where to run.
    """

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    outputTransform: vtkMRMLTransformNode
    warpedVolume: vtkMRMLScalarVolumeNode
    warp: bool = True
    transform: Annotated[str, Choice(CHOICES["transform"])] = RegisterConfig.transform
    metric: Annotated[str, Choice(CHOICES["metric"])] = RegisterConfig.metric
    start: Annotated[str, Choice(CHOICES["start"])] = RegisterConfig.start
    searchRotations: Annotated[int, WithinRange(0, 500)] = RegisterConfig.search_rotations
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLRegisterWidget(ModuleWidget):
    """The panel."""

    verb = "register"
    inputNames = ("fixedVolume", "movingVolume")
    outputNames = ("outputTransform", "warpedVolume")
    readyTip = _("Carry the moving volume onto the fixed one")

    def createLogic(self):
        return MedDLRegisterLogic()

    def setupPanel(self) -> None:
        texts = field_help(RegisterConfig)
        self.ui.transformComboBox.toolTip = texts["transform"]
        self.ui.metricComboBox.toolTip = texts["metric"]
        self.ui.startComboBox.toolTip = texts["start"]
        self.ui.searchRotationsSpinBox.toolTip = texts["search_rotations"]

    def whyNotReady(self):
        chosen = self._parameterNode
        if chosen.fixedVolume is None:
            return _("Choose a fixed volume.")
        if chosen.movingVolume is None:
            return _("Choose a moving volume.")
        if chosen.fixedVolume is chosen.movingVolume:
            return _("The fixed and the moving volume are the same. Choose two volumes.")
        if chosen.warp and chosen.warpedVolume in (chosen.fixedVolume, chosen.movingVolume):
            return _("The warped volume would overwrite an input. Choose another, or create a new one.")
        if chosen.outputTransform is not None and any(
                is_under(node, chosen.outputTransform) for node in (chosen.fixedVolume, chosen.movingVolume)):
            return _("The output transform already moves an input. Choose another, or create a new one.")
        return super().whyNotReady()

    def startRun(self, onProgress, onDone):
        chosen = self._parameterNode
        config = RegisterConfig(transform=chosen.transform, metric=chosen.metric, start=chosen.start,
                                search_rotations=chosen.searchRotations)
        return self.logic.register(chosen.fixedVolume, chosen.movingVolume, config=config,
                                   transformNode=chosen.outputTransform, warp=chosen.warp,
                                   warpedNode=chosen.warpedVolume if chosen.warp else None, device=chosen.device,
                                   wait=False, onProgress=onProgress, onDone=onDone)

    def outputsOf(self, node) -> dict:
        return {"outputTransform": node, "warpedVolume": node.GetNodeReference(runs.WARPED_ROLE)}

    def showResult(self, node) -> None:
        warped = node.GetNodeReference(runs.WARPED_ROLE)
        if self._parameterNode and warped is not None:
            show_overlay(self._parameterNode.fixedVolume, warped)


class MedDLRegisterLogic(ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        return MedDLRegisterParameterNode(super().getParameterNode())

    def register(self, fixedNode, movingNode, *, config: RegisterConfig | None = None, transformNode=None,
                 warpedNode=None, warp: bool = False, device: str = "auto", wait: bool = True,
                 onProgress=None, onDone=None):
        """Register two volume nodes; returns the transform node. See `meddl_slicer.runs.register_nodes`."""
        return runs.register_nodes(fixedNode, movingNode, config, transformNode=transformNode,
                                   warpedNode=warpedNode, warp=warp, device=device, wait=wait,
                                   onProgress=onProgress, onDone=onDone)


class MedDLRegisterTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer, from the Reload and Test button or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_finds_a_known_shift()

    def test_finds_a_known_shift(self):
        """A head of another contrast, moved by 8 mm, is carried back."""
        self.delayDisplay("Rendering two sample heads")
        fixed, moving = sample_data.load("T1"), sample_data.load("T2")
        origin = list(moving.GetOrigin())
        moving.SetOrigin(origin[0] + 8.0, origin[1], origin[2])
        node = MedDLRegisterLogic().register(fixed, moving)
        matrix = slicer.util.arrayFromTransformMatrix(node)
        self.assertAlmostEqual(matrix[0, 3], -8.0, delta=1.5)
        self.delayDisplay("Test passed")

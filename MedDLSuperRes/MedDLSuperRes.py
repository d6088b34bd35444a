"""MedDLSuperRes: thick slices in, small voxels out."""

import sys
from pathlib import Path
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode
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

from meddl.config import SuperResolveConfig, field_help
from meddl_slicer import runs, sample_data
from meddl_slicer.module_widget import ModuleWidget
from meddl_slicer.options import DEVICES
from meddl_slicer.widgets import show_volume

AXES = ["thickest", "i", "j", "k"]


class MedDLSuperRes(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedDL Super-Resolution")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Filtering")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedDL contributors"]
        self.parent.helpText = _("""
Makes the voxels of a volume with thick slices smaller, over exactly the same field of view.
Choose a volume and press Apply. For research only. See the
<a href="https://github.com/MedDL/SlicerMedDL#meddl-super-resolution">documentation</a>.
""")
        self.parent.acknowledgementText = _("Please cite MedDL if it helps your work: see its home page.")
        slicer.app.connect("startupCompleted()", sample_data.register)


@parameterNodeWrapper
class MedDLSuperResParameterNode:
    """What a person chooses.

    inputVolume - the volume with thick slices.
    outputVolume - the volume to fill; none: a new one.
    targetSpacing - voxel size to reach in mm; 0: the smallest voxel size of the input.
    axis - which array axis to sharpen.
    device - where to run.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    targetSpacing: Annotated[float, WithinRange(0.0, 10.0)] = 0.0
    axis: Annotated[str, Choice(AXES)] = AXES[0]
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLSuperResWidget(ModuleWidget):
    """The panel."""

    verb = "superResolve"
    outputNames = ("outputVolume",)
    readyTip = _("Make the voxels smaller")

    def createLogic(self):
        return MedDLSuperResLogic()

    def setupPanel(self) -> None:
        texts = field_help(SuperResolveConfig)
        self.ui.targetSpacingSpinBox.toolTip = texts["target_spacing_mm"]
        self.ui.axisComboBox.toolTip = texts["axis"]

    def whyNotReady(self):
        chosen = self._parameterNode
        if chosen.inputVolume is not None and chosen.inputVolume is chosen.outputVolume:
            return _("The output would overwrite the input. Choose another volume, or create a new one.")
        return super().whyNotReady()

    def startRun(self, onProgress, onDone):
        chosen = self._parameterNode
        axis = AXES.index(chosen.axis) - 1
        config = SuperResolveConfig(target_spacing_mm=chosen.targetSpacing or None, axis=None if axis < 0 else axis)
        return self.logic.superResolve(chosen.inputVolume, config=config, outputNode=chosen.outputVolume,
                                       device=chosen.device, wait=False, onProgress=onProgress, onDone=onDone)

    def showResult(self, node) -> None:
        show_volume(node)


class MedDLSuperResLogic(ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        return MedDLSuperResParameterNode(super().getParameterNode())

    def superResolve(self, volumeNode, *, config: SuperResolveConfig | None = None, outputNode=None,
                     device: str = "auto", wait: bool = True, onProgress=None, onDone=None):
        """Sharpen a volume node; returns the new volume node. See `meddl_slicer.runs.super_resolve_node`."""
        return runs.super_resolve_node(volumeNode, config, outputNode=outputNode, device=device, wait=wait,
                                       onProgress=onProgress, onDone=onDone)


class MedDLSuperResTest(ScriptedLoadableModuleTest):
    """Runs inside Slicer, from the Reload and Test button or ctest."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_reaches_the_asked_spacing()

    def test_reaches_the_asked_spacing(self):
        """The thick axis gets the wished voxel size, the field of view stays."""
        self.delayDisplay("Rendering the sample head")
        head = sample_data.load("T1")
        config = SuperResolveConfig(target_spacing_mm=1.0)
        sharp = MedDLSuperResLogic().superResolve(head, config=config)
        self.assertTrue(all(abs(size - 1.0) < 0.05 for size in sharp.GetSpacing()))
        before, after = [0.0] * 6, [0.0] * 6
        head.GetRASBounds(before)
        sharp.GetRASBounds(after)
        for a, b in zip(before, after):
            self.assertAlmostEqual(a, b, delta=1.0)
        self.delayDisplay("Test passed")

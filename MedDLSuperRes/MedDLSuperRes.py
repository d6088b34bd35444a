"""MedDLSuperRes: thick slices in, small voxels out."""

import sys
from pathlib import Path
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode
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

from meddl.config import SuperResolveConfig
from meddl_slicer import runs, sample_data
from meddl_slicer.config_form import ConfigForm, config_from_text, config_to_text
from meddl_slicer.module_widget import ModuleWidget
from meddl_slicer.options import DEVICES
from meddl_slicer.report_text import super_resolution_text
from meddl_slicer.slice_layers import fade


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
    options - the fields of meddl.SuperResolveConfig that differ from its defaults, as JSON.
    device - where to run.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    options: str = ""
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLSuperResWidget(ModuleWidget):
    """The panel."""

    verb = "superResolve"
    outputNames = ("outputVolume",)
    readyTip = _("Make the voxels smaller")
    _faded = (None, None)

    def createLogic(self):
        return MedDLSuperResLogic()

    def setupPanel(self) -> None:
        self.form = ConfigForm(SuperResolveConfig, self.onOptionsChanged)
        self.form.bind("target_spacing_mm", self.ui.targetSpacingSpinBox)
        self.form.bind("axis", self.ui.axisComboBox, {None: _("Thickest"), 0: "i", 1: "j", 2: "k"})
        self.form.addRows(self.ui.advancedCollapsibleButton.layout())
        self.ui.fadeSlider.connect("valueChanged(int)", self.onFade)

    def onOptionsChanged(self) -> None:
        """The person has changed an option."""
        if self._parameterNode:
            self._parameterNode.options = config_to_text(self.form.config)

    def showParameters(self) -> None:
        config = self.config()
        if config != self.form.config:
            self.form.setConfig(config)

    def config(self) -> SuperResolveConfig:
        """The chosen options."""
        return config_from_text(SuperResolveConfig, self._parameterNode.options if self._parameterNode else "")

    def whyNotReady(self):
        chosen = self._parameterNode
        if chosen.inputVolume is not None and chosen.inputVolume is chosen.outputVolume:
            return _("The output would overwrite the input. Choose another volume, or create a new one.")
        return super().whyNotReady()

    def startRun(self, onProgress, onDone):
        chosen = self._parameterNode
        return self.logic.superResolve(chosen.inputVolume, config=self.config(), outputNode=chosen.outputVolume,
                                       device=chosen.device, wait=False, onProgress=onProgress, onDone=onDone,
                                       onPreview=self.onPreview)

    def showResult(self, node) -> None:
        self._faded = (self._parameterNode.inputVolume if self._parameterNode else None, node)
        self.ui.reportLabel.text = super_resolution_text(runs.report_of(node))
        self.ui.resultsCollapsibleButton.visible = True
        self.ui.fadeSlider.value = 100
        self.onFade(100)

    def onFade(self, percent: int) -> None:
        """Show so much of the sharp volume over the one as it was."""
        fade(*self._faded, percent / 100)


class MedDLSuperResLogic(ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        return MedDLSuperResParameterNode(super().getParameterNode())

    def superResolve(self, volumeNode, *, config: SuperResolveConfig | None = None, outputNode=None,
                     device: str = "auto", wait: bool = True, onProgress=None, onDone=None, onPreview=None):
        """Sharpen a volume node; returns the new volume node. See `meddl_slicer.runs.super_resolve_node`."""
        return runs.super_resolve_node(volumeNode, config, outputNode=outputNode, device=device, wait=wait,
                                       onProgress=onProgress, onDone=onDone, onPreview=onPreview)


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

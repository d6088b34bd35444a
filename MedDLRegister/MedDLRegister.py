"""MedDLRegister: carry one volume onto another."""

import sys
from pathlib import Path
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTransformNode
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

from meddl.config import REGISTER_PRESETS, RegisterConfig
from meddl_slicer import runs, sample_data
from meddl_slicer.config_form import ConfigForm, config_from_text, config_to_text, preset_of
from meddl_slicer.module_widget import ModuleWidget
from meddl_slicer.options import DEVICES
from meddl_slicer.previews import AlignmentPreview
from meddl_slicer.report_text import registration_text
from meddl_slicer.slice_layers import fade
from meddl_slicer.transforms import is_under

# Presets whose inputs the panel cannot choose yet.
HIDDEN_PRESETS = ("Time series",)
PRESETS = {name: config for name, config in REGISTER_PRESETS.items() if name not in HIDDEN_PRESETS}


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
    options - the fields of meddl.RegisterConfig that differ from its defaults, as JSON.
    device - where to run.
    """

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    outputTransform: vtkMRMLTransformNode
    warpedVolume: vtkMRMLScalarVolumeNode
    warp: bool = True
    options: str = ""
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLRegisterWidget(ModuleWidget):
    """The panel."""

    verb = "register"
    inputNames = ("fixedVolume", "movingVolume")
    outputNames = ("outputTransform", "warpedVolume")
    readyTip = _("Carry the moving volume onto the fixed one")
    _faded = (None, None)

    def createLogic(self):
        return MedDLRegisterLogic()

    def setupPanel(self) -> None:
        self.form = ConfigForm(RegisterConfig, self.onOptionsChanged)
        self.form.addRows(self.ui.advancedCollapsibleButton.layout())
        for name in (*PRESETS, _("Custom")):
            self.ui.presetComboBox.addItem(name)
        self.ui.presetComboBox.connect("currentIndexChanged(int)", self.onPresetChanged)
        self.ui.fadeSlider.connect("valueChanged(int)", self.onFade)

    def onPresetChanged(self, index: int) -> None:
        """The person has chosen a preset: it fills the values under Advanced. "Custom" leaves them."""
        if self._parameterNode and 0 <= index < len(PRESETS):
            self._parameterNode.options = config_to_text(list(PRESETS.values())[index])
        else:
            self.showParameters()

    def onOptionsChanged(self) -> None:
        """The person has changed a value under Advanced."""
        if self._parameterNode:
            self._parameterNode.options = config_to_text(self.form.config)

    def showParameters(self) -> None:
        config = self.config()
        if config != self.form.config:
            self.form.setConfig(config)
        name = preset_of(config, PRESETS)
        blocked = self.ui.presetComboBox.blockSignals(True)
        self.ui.presetComboBox.currentIndex = len(PRESETS) if name is None else list(PRESETS).index(name)
        self.ui.presetComboBox.blockSignals(blocked)

    def config(self) -> RegisterConfig:
        """What is chosen under Preset and Advanced."""
        return config_from_text(RegisterConfig, self._parameterNode.options if self._parameterNode else "")

    def estimateName(self) -> str:
        return f"{self.verb}:{self.config().transform}"

    def makePreview(self):
        return AlignmentPreview(self._parameterNode.fixedVolume, self._parameterNode.movingVolume)

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
        return self.logic.register(chosen.fixedVolume, chosen.movingVolume, config=self.config(),
                                   transformNode=chosen.outputTransform, warp=chosen.warp,
                                   warpedNode=chosen.warpedVolume if chosen.warp else None, device=chosen.device,
                                   wait=False, onProgress=onProgress, onDone=onDone, onPreview=self.onPreview)

    def outputsOf(self, node) -> dict:
        return {"outputTransform": node, "warpedVolume": node.GetNodeReference(runs.WARPED_ROLE)}

    def showResult(self, node) -> None:
        fixed = self._parameterNode.fixedVolume if self._parameterNode else None
        self._faded = (fixed, node.GetNodeReference(runs.WARPED_ROLE))
        self.ui.reportLabel.text = registration_text(runs.report_of(node))
        self.ui.resultsCollapsibleButton.visible = True
        self.ui.fadeSlider.enabled = self._faded[1] is not None
        self.ui.fadeSlider.value = 50
        self.onFade(50)

    def onFade(self, percent: int) -> None:
        """Show so much of the warped volume over the fixed one."""
        fade(*self._faded, percent / 100)


class MedDLRegisterLogic(ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        return MedDLRegisterParameterNode(super().getParameterNode())

    def register(self, fixedNode, movingNode, *, config: RegisterConfig | None = None, transformNode=None,
                 warpedNode=None, warp: bool = False, device: str = "auto", wait: bool = True,
                 onProgress=None, onDone=None, onPreview=None):
        """Register two volume nodes; returns the transform node. See `meddl_slicer.runs.register_nodes`."""
        return runs.register_nodes(fixedNode, movingNode, config, transformNode=transformNode,
                                   warpedNode=warpedNode, warp=warp, device=device, wait=wait,
                                   onProgress=onProgress, onDone=onDone, onPreview=onPreview)


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

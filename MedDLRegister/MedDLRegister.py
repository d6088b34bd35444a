"""MedDLRegister: register one volume to another."""

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import slicer
from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
    vtkMRMLSequenceNode,
    vtkMRMLTransformNode,
)
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic

try:
    import meddl_slicer  # noqa: F401
except ModuleNotFoundError:  # a source checkout: only this module's own folder is on the path
    sys.path.append(str(Path(__file__).resolve().parent.parent / "MedDLLib"))

from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.mrml.registration_nodes import (
    RegistrationInputs,
    RegistrationOutputs,
    companions,
    undo,
)
from meddl_slicer.mrml.sequences import looks_like_volumes, node_in_browser
from meddl_slicer.panels.config_form import ConfigForm, config_from_text, config_to_text, preset_of
from meddl_slicer.panels.inputs.place_buttons import PlaceButtons
from meddl_slicer.panels.inputs.registration_inputs import (
    lift_from,
    why_no_help,
    why_no_output,
    why_not_a_pair,
    why_not_a_series,
)
from meddl_slicer.panels.menu import data_menu
from meddl_slicer.panels.module_widget import ModuleWidget
from meddl_slicer.panels.options import DEVICES, rename_parameters
from meddl_slicer.panels.report_text import registration_text, series_text
from meddl_slicer.panels.run_scope import RunScope
from meddl_slicer.panels.views.before_after import BeforeAfter
from meddl_slicer.panels.views.previews import AlignmentPreview
from meddl_slicer.runs import many_registrations, sample_data, verbs
from meddl_slicer.runs.module_test import ModuleTest
from meddl_slicer.sections.change.section import ChangeSection
from meddl_slicer.sections.change.verb import ChangeVerbs
from meddl_slicer.sections.comparison.section import REGISTRATION_RESULTS, CompareSection
from meddl_slicer.sections.comparison.verb import ComparisonVerbs
from meddl_slicer.sections.explanation.uncertainty import UncertaintySection
from meddl_slicer.sections.explanation.verb import RegistrationVerbs
from meddl_slicer.sections.results.actions import ResultActions

OLD_PARAMETERS = {"carry": "warpSegmentation"}  # of scenes that version 0.1.0 saved
SERIES = "Time series"  # the preset that registers the frames of a sequence to one of them
PRESETS = dict(REGISTER_PRESETS)
SWITCHES = tuple(one.name for one in fields(RegistrationOutputs) if isinstance(one.default, bool))  # check boxes
REFERENCES = {"First frame": 0, "Mean": "mean"}  # as `verbs.register_sequence` takes them


class MedDLRegister(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedDL Registration")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedDL contributors"]
        self.parent.helpText = _("""
Registers a moving volume to a fixed one, also of another modality: translation, rigid, affine or deformable.
Choose both volumes and press Apply. For research only. See the
<a href="https://github.com/MedDL/SlicerMedDL#meddl-registration">documentation</a>.
""")
        self.parent.acknowledgementText = _("Please cite MedDL if it helps your work: see its home page.")
        slicer.app.connect("startupCompleted()", sample_data.register)
        slicer.app.connect("startupCompleted()", data_menu.register)


@parameterNodeWrapper
class MedDLRegisterParameterNode:
    """What the user chooses.

    fixedVolume, movingVolume - the fixed volume, and the one that is registered to it.
    series - whether the frames of a sequence are registered, instead of two volumes.
    sequence - the sequence of volumes to take the motion out of.
    reference - what its frames are brought to.
    motionSequence, correctedSequence - the sequences of transforms and of volumes to fill; none: new ones.
    outputTransform - the transform to fill; none: a new one.
    warpedVolume - the volume to fill with the moving one on the fixed grid; none: a new one, if `warp`.
    warp - make a warped volume.
    inverse, jacobian, checkerboard, difference, showGrid, applyToMoving - as in RegistrationOutputs.
    warpSegmentation - resample the moving segmentation to the grid of the fixed volume.
    fixedMask, movingMask, initialTransform, fixedLandmarks, movingLandmarks, landmarksGuide, fixedSegmentation,
        movingSegmentation - as in RegistrationInputs.
    options - the fields of meddl.RegisterConfig that differ from its defaults, as JSON.
    device - where to run.
    """

    fixedVolume: vtkMRMLScalarVolumeNode
    movingVolume: vtkMRMLScalarVolumeNode
    series: bool = False
    sequence: vtkMRMLSequenceNode
    reference: Annotated[str, Choice(tuple(REFERENCES))] = next(iter(REFERENCES))
    motionSequence: vtkMRMLSequenceNode
    correctedSequence: vtkMRMLSequenceNode
    outputTransform: vtkMRMLTransformNode
    warpedVolume: vtkMRMLScalarVolumeNode
    warp: bool = True
    inverse: bool = False
    jacobian: bool = False
    checkerboard: bool = False
    difference: bool = False
    showGrid: bool = False
    applyToMoving: bool = False
    warpSegmentation: bool = False
    fixedMask: vtkMRMLSegmentationNode | vtkMRMLLabelMapVolumeNode | None
    movingMask: vtkMRMLSegmentationNode | vtkMRMLLabelMapVolumeNode | None
    initialTransform: vtkMRMLTransformNode
    fixedLandmarks: vtkMRMLMarkupsFiducialNode
    movingLandmarks: vtkMRMLMarkupsFiducialNode
    landmarksGuide: bool = True
    fixedSegmentation: vtkMRMLSegmentationNode
    movingSegmentation: vtkMRMLSegmentationNode
    options: str = ""
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLRegisterWidget(ModuleWidget):
    """The panel."""

    verb = "register"
    inputNames = ("fixedVolume", "movingVolume")
    outputNames = ("outputTransform", "warpedVolume", "motionSequence", "correctedSequence")
    readyTip = _("Register the moving volume to the fixed one")

    def createLogic(self):
        return MedDLRegisterLogic()

    def setupPanel(self) -> None:
        self.compare = self.closeWithPanel(CompareSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, REGISTRATION_RESULTS, REGISTRATION_RESULTS))
        self.change = self.closeWithPanel(ChangeSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, self.logic))
        self.form = ConfigForm(RegisterConfig, self.onOptionsChanged)
        self.form.addRows(self.ui.advancedCollapsibleButton.layout())
        self.ui.presetComboBox.addItems([*PRESETS, _("Custom")])
        self.ui.presetComboBox.connect("currentIndexChanged(int)", self.onPresetChanged)
        self.beforeAfter = self.closeWithPanel(BeforeAfter(self.ui))
        self.actions = self.closeWithPanel(ResultActions(self.ui, "register"))
        self.uncertainty = self.closeWithPanel(UncertaintySection(
            self._uiWidget, self.ui.resultsCollapsibleButton, self.whyNotSingle, self._startUncertainty,
            lambda: self._parameterNode.fixedVolume))
        self._scope = RunScope(self.ui.inputsCollapsibleButton.layout(), self._onParametersModified, self.verb)
        for selector, buttons in ((self.ui.fixedLandmarksSelector, self.ui.fixedLandmarksPlaceWidget),
                                  (self.ui.movingLandmarksSelector, self.ui.movingLandmarksPlaceWidget)):
            self.closeWithPanel(PlaceButtons(selector, buttons, True, self._onParametersModified))

    def choose(self, **parameters) -> None:
        if self.series:  # two volumes are not a time series
            self.ui.presetComboBox.currentIndex = 0
        ModuleWidget.choose(self, **parameters)

    def onPresetChanged(self, index: int) -> None:
        """The user has chosen a preset: it fills the values under Advanced; "Custom" leaves them, to be changed."""
        if not self._parameterNode or not 0 <= index < len(PRESETS):
            self.ui.advancedCollapsibleButton.collapsed = False
            self.showParameters()
            return
        name, config = list(PRESETS.items())[index]
        self._parameterNode.series = name == SERIES
        self._parameterNode.options = config_to_text(config)
        if name == SERIES and self._parameterNode.sequence is None:
            found = [node for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if looks_like_volumes(node)]
            self._parameterNode.sequence = found[0] if found else None

    def onOptionsChanged(self) -> None:
        """The user has changed a value under Advanced."""
        if self._parameterNode:
            self._parameterNode.options = config_to_text(self.form.config)

    def showParameters(self) -> None:
        config = self.config()
        if config != self.form.config:
            self.form.setConfig(config)
        name = preset_of(config, PRESETS)
        if (name == SERIES) != self.series:
            name = None
        blocked = self.ui.presetComboBox.blockSignals(True)
        self.ui.presetComboBox.currentIndex = len(PRESETS) if name is None else list(PRESETS).index(name)
        self.ui.presetComboBox.blockSignals(blocked)
        chosen = self._parameterNode
        self._scope.update(chosen and chosen.movingVolume, chosen, chosen and chosen.fixedVolume, not self.series)
        self._showInputs()

    def _showInputs(self) -> None:
        """Show the inputs of a series or of volumes; what is for a single pair can be changed for that alone."""
        ui, series, two = self.ui, self.series, not self.series and self._scope.single
        for widget in (ui.sequenceLabel, ui.sequenceSelector, ui.referenceLabel, ui.referenceComboBox, ui.motionLabel,
                       ui.motionSelector, ui.correctedLabel, ui.correctedSelector):
            widget.visible = series
        for widget in (ui.fixedLabel, ui.fixedSelector, ui.movingLabel, ui.movingSelector, ui.outputLabel,
                       ui.outputSelector, ui.warpCheckBox, ui.warpedLabel, ui.warpedSelector, ui.moreLabel,
                       ui.moreWidget, ui.displayLabel, ui.displayWidget, ui.helpCollapsibleButton):
            widget.visible = not series
        for widget in (ui.outputSelector, ui.warpedSelector, ui.warpSegmentationCheckBox, ui.helpCollapsibleButton):
            widget.enabled = two
        ui.fixedSelector.enabled = not self._scope.followUps

    @property
    def series(self) -> bool:
        """Whether the frames of a sequence are to be registered, instead of two volumes."""
        return bool(self._parameterNode and self._parameterNode.series)

    def config(self) -> RegisterConfig:
        """What is chosen under Preset and Advanced."""
        return config_from_text(RegisterConfig, self._parameterNode.options if self._parameterNode else "")

    def checkedInputs(self) -> tuple:
        return () if self.series else self.inputNames[self._scope.followUps:]

    def estimateName(self) -> str:
        config = self.config()
        kind = "series" if self.series else f"symmetric {config.metric}" if config.symmetric else config.metric
        return f"{self.verb}:{config.transform_type} {kind}"

    def chosenRun(self):
        chosen = self._parameterNode
        if not self.series:
            return [chosen.fixedVolume, chosen.movingVolume], self.config(), None
        return 2 * [node_in_browser(chosen.sequence)], self.config(), None

    def chosenCount(self) -> int:
        return self._parameterNode.sequence.GetNumberOfDataNodes() - 1 if self.series else super().chosenCount()

    def origin(self) -> tuple:
        return (self.estimateName(), self._parameterNode.sequence) if self.series else super().origin()

    def makePreview(self):
        if self.series or not self._scope.single:  # each has its own alignment, and none would stand for long
            return None
        return AlignmentPreview(self._parameterNode.fixedVolume, self._parameterNode.movingVolume)

    def whyNotReady(self):
        chosen = self._parameterNode
        if self.series:
            return why_not_a_series(chosen.sequence, chosen.motionSequence, chosen.correctedSequence)
        if not self._scope.single:
            several = self._scope.followUps
            return None if several else why_not_a_pair(chosen.fixedVolume, chosen.movingVolume) or why_not_usable(
                chosen.fixedVolume)
        return (why_not_a_pair(chosen.fixedVolume, chosen.movingVolume) or super().whyNotReady()
                or why_no_output(chosen, self.inputs().nodes) or why_no_help(chosen))

    def inputs(self) -> RegistrationInputs:
        """What is chosen to help the registration."""
        chosen = self._parameterNode
        return RegistrationInputs(**{one.name: getattr(chosen, one.name) for one in fields(RegistrationInputs)})

    def outputs(self) -> RegistrationOutputs:
        """What is chosen to be made besides the transform and the warped volume."""
        chosen = self._parameterNode
        warped = chosen.warpSegmentation and chosen.movingSegmentation is not None
        return RegistrationOutputs(**{name: getattr(chosen, name) for name in SWITCHES},
                                   nodesToTransform=(chosen.movingSegmentation,) if warped else ())

    def startRun(self, onProgress, onDone):
        if self.series:
            return self._startSeries(onProgress, onDone)
        if not self._scope.single:
            return self._startMany(onProgress, onDone)
        chosen = self._parameterNode
        onEnd = lift_from(chosen.outputTransform, chosen.movingVolume, onDone)
        return self.logic.register(chosen.fixedVolume, chosen.movingVolume, config=self.config(),
                                   inputs=self.inputs(), outputs=self.outputs(),
                                   transformNode=chosen.outputTransform, warp=chosen.warp,
                                   warpedNode=chosen.warpedVolume if chosen.warp else None, device=chosen.device,
                                   wait=False, onProgress=onProgress, onDone=onEnd, onPreview=self.onPreview)

    def _startSeries(self, onProgress, onDone):
        chosen = self._parameterNode
        return self.logic.registerSequence(
            chosen.sequence, config=self.config(), reference=REFERENCES[chosen.reference],
            transformSequence=chosen.motionSequence, correctedSequence=chosen.correctedSequence, device=chosen.device,
            wait=False, onProgress=onProgress, onDone=onDone)

    def _startMany(self, onProgress, onDone):
        chosen, outputs = self._parameterNode, replace(self.outputs(), nodesToTransform=())
        return self._scope.start(
            self.logic.registerBranch, None if self._scope.followUps else chosen.fixedVolume, config=self.config(),
            outputs=outputs, warp=chosen.warp, device=chosen.device, onProgress=onProgress, onDone=onDone)

    def outputsOf(self, node) -> dict:
        if node.IsA("vtkMRMLTableNode"):
            return {}
        names = self.outputNames[2:] if node.IsA("vtkMRMLSequenceNode") else self.outputNames[:2]
        return dict(zip(names, (node, node.GetNodeReference(verbs.WARPED_ROLE)), strict=True))

    def showResult(self, node) -> None:
        chosen, result = self._parameterNode, node.GetNodeReference(verbs.WARPED_ROLE)
        if self.showTable(node):
            self.actions.show(node)
            return
        series = node.IsA("vtkMRMLSequenceNode")
        both = (chosen and chosen.fixedVolume, result) if not series else (
            node_in_browser(chosen.sequence if chosen else None), node_in_browser(result))
        self.ui.reportBrowser.html = (series_text if series else registration_text)(verbs.report_of(node))
        self.beforeAfter.show(*both, 50)
        self.actions.show(pictured=(*both, False))

    def letGoOfNodes(self) -> None:
        self._scope.letGoOfNodes()
        self.beforeAfter.clear()
        self.actions.show()

    def _startUncertainty(self, uncertainty, onProgress, onDone):
        chosen = self._parameterNode
        return self.logic.uncertainty(chosen.fixedVolume, chosen.movingVolume, self.config(), uncertainty=uncertainty,
                                      device=chosen.device, wait=False, onProgress=onProgress, onDone=onDone)


class MedDLRegisterLogic(RegistrationVerbs, ChangeVerbs, ComparisonVerbs, ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        node = super().getParameterNode()
        rename_parameters(node, OLD_PARAMETERS)
        return MedDLRegisterParameterNode(node)

    @verbs.document_as(verbs.register_nodes)
    def register(self, fixedNode, movingNode, *, config: RegisterConfig | None = None, preset: str | None = None,
                 inputs: RegistrationInputs | None = None, outputs: RegistrationOutputs | None = None,
                 transformNode=None, warpedNode=None, warp: bool = False, device: str = "auto", wait: bool = True,
                 onProgress=None, onDone=None, onPreview=None):
        """Register one volume node to another."""
        return verbs.register_nodes(fixedNode, movingNode, config, preset=preset, inputs=inputs, outputs=outputs,
                                    transformNode=transformNode, warpedNode=warpedNode, warp=warp, device=device,
                                    wait=wait, onProgress=onProgress, onDone=onDone, onPreview=onPreview)

    @verbs.document_as(many_registrations.register_branch)
    def registerBranch(self, itemID: int, fixedNode=None, **choices):
        """Register all scalar volumes below an item of the subject hierarchy."""
        return many_registrations.register_branch(itemID, fixedNode, **choices)

    @verbs.document_as(verbs.register_sequence)
    def registerSequence(self, sequenceNode, **choices):
        """Correct the motion in a volume sequence."""
        return verbs.register_sequence(sequenceNode, **choices)


class MedDLRegisterTest(ModuleTest):
    """Runs inside Slicer, from the Reload and Test button or by unittest."""

    def test_every_preset_finds_a_known_shift(self):
        """A head of another contrast, moved by 8 mm, is registered by each preset, the deformable ones too."""
        self.delayDisplay("Rendering two sample heads")
        fixed, moving = self.heads()
        for name, config in ((name, config) for name, config in PRESETS.items() if name != SERIES):
            self.delayDisplay(f"Registering: {name}")
            node = MedDLRegisterLogic().register(fixed, moving, config=config)
            found = node.GetTransformFromParent().TransformPoint(0.0, 0.0, 0.0)
            for position, expected in zip(found, (8.0, 0.0, 0.0)):
                self.assertAlmostEqual(position, expected, delta=1.5)
            self.assertTrue(registration_text(verbs.report_of(node)))
        self.delayDisplay("Test passed")

    def test_what_can_be_made_is_made_and_taken_away_again(self):
        """All volumes and transforms beside the result, and the scene as before after undo."""
        fixed, moving = self.heads()
        before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLDisplayableNode")
        outputs = RegistrationOutputs(inverse=True, jacobian=True, checkerboard=True, difference=True, showGrid=True,
                                      applyToMoving=True)
        node = MedDLRegisterLogic().register(fixed, moving, outputs=outputs, warp=True)
        self.assertEqual(len(companions(node)), 5)
        self.assertEqual(moving.GetParentTransformNode(), node)
        undo(node)
        self.assertIsNone(moving.GetParentTransformNode())
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLDisplayableNode"), before)
        self.delayDisplay("Test passed")

    def heads(self):
        """A T1-weighted sample head, and a T2-weighted one 8 mm beside it."""
        fixed, moving = sample_data.load("T1"), sample_data.load("T2")
        moving.SetOrigin(moving.GetOrigin()[0] + 8.0, *moving.GetOrigin()[1:])
        return fixed, moving

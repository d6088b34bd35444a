"""MedDLSuperRes: super-resolve volumes with thick slices, and denoise volumes."""

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic

try:
    import meddl_slicer  # noqa: F401
except ModuleNotFoundError:  # a source checkout: only this module's own folder is on the path
    sys.path.append(str(Path(__file__).resolve().parent.parent / "MedDLLib"))

from meddl.core.config import SuperResolveConfig
from meddl.models.own_models import find_method, list_own_models
from meddl.models.store.store import ModelStore
from meddl_slicer.mrml.nodes import why_not_usable
from meddl_slicer.panels.config_form import ConfigForm, config_from_text, config_to_text
from meddl_slicer.panels.inputs.stack_selectors import StackSelectors
from meddl_slicer.panels.menu import data_menu
from meddl_slicer.panels.module_widget import ModuleWidget
from meddl_slicer.panels.options import DEVICES, choices
from meddl_slicer.panels.report_text import super_resolution_text
from meddl_slicer.panels.run_scope import RunScope
from meddl_slicer.panels.views.before_after import BeforeAfter
from meddl_slicer.panels.views.previews import PicturePreview
from meddl_slicer.runs import many_volumes, sample_data, verbs
from meddl_slicer.runs.acquisition import VOLUMETRIC, Detector, detection_text, why_not_finer
from meddl_slicer.runs.module_test import ModuleTest
from meddl_slicer.sections.comparison.section import VOLUMES, CompareSection
from meddl_slicer.sections.comparison.verb import ComparisonVerbs
from meddl_slicer.sections.contrast_synthesis import verb as contrast_synthesis
from meddl_slicer.sections.contrast_synthesis.section import ContrastSynthesisSection
from meddl_slicer.sections.deidentification import verb as deidentification
from meddl_slicer.sections.deidentification.section import DeidentifySection
from meddl_slicer.sections.explanation.uncertainty import UncertaintySection
from meddl_slicer.sections.explanation.verb import SuperResolutionVerbs
from meddl_slicer.sections.preparation.inpaint_section import InpaintSection
from meddl_slicer.sections.preparation.restoration_verbs import RestorationVerbs
from meddl_slicer.sections.preparation.section import PrepareSection
from meddl_slicer.sections.preparation.series_section import DenoiseSeriesSection
from meddl_slicer.sections.results.actions import ResultActions
from meddl_slicer.sections.training.superres_section import TrainSuperResSection

# The methods from instant to strong: name, and what it does in a sentence.
METHODS = {
    "cubic": (_("Cubic"), _("Instant. Cubic interpolation; adds nothing that was not measured.")),
    "back-projection": (_("Back-projection"), _(
        "Seconds. Interpolation, then iterative back-projection until it reproduces the measured slices. No network.")),
    "network": (_("Network"), _(
        "Seconds. A network trained on other volumes, then back-projection onto the measured slices.")),
    "self-training": (_("Self-training"), _(
        "A minute or more. The network, fine-tuned on this volume's own high-resolution directions.")),
    "edsr3d": (_("3D isotropic (EDSR)"), _("Twice as many voxels along every axis.")),
    "srcnn": (_("SRCNN"), _("The first super-resolution network, in 3D; for comparison.")),
    "srresnet": (_("SRResNet"), _("A residual network in 3D; for comparison.")),
    "srgan": (_("SRGAN"), _("A generative adversarial network: synthesized texture. Not for measurements.")),
    "denoise": (_("Denoise"), _("Removes noise; voxel size and grid stay the same.")),
    "denoise-autoencoder": (_("Denoise (autoencoder)"), _("Removes noise with a denoising autoencoder.")),
    "denoise-self-supervised": (_("Denoise (self-supervised)"), _(
        "Trains on this volume alone (Neighbor2Neighbor); for noise that is independent between voxels.")),
}
QUICK = ("cubic", "back-projection", "network")
LEARNING = ("self-training", "denoise-self-supervised")  # can end early, with the best so far
ADVERSARIAL = "srgan"
SHIPPED = _("The method's own")  # model
INVENTED = _("Adversarial texture is synthesized: it looks like anatomy but was not measured. "
             "Look at the difference volume.")


class MedDLSuperRes(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedDL Super-Resolution")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Filtering")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedDL contributors"]
        self.parent.helpText = _("""
Super-resolves a volume with thick slices: smaller voxels over exactly the same field of view.
Choose a volume and press Apply. For research only. See the
<a href="https://github.com/MedDL/SlicerMedDL#meddl-super-resolution">documentation</a>.
""")
        self.parent.acknowledgementText = _("Please cite MedDL if it helps your work: see its home page.")
        slicer.app.connect("startupCompleted()", sample_data.register)
        slicer.app.connect("startupCompleted()", data_menu.register)


@parameterNodeWrapper
class MedDLSuperResParameterNode:
    """What the user chooses.

    inputVolume - the volume with thick slices.
    outputVolume - the volume to fill; none: a new one.
    referenceVolume - a volume to compare the result with; none: nothing is compared.
    options - the fields of meddl.SuperResolveConfig that differ from its defaults, as JSON.
    device - where to run.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputVolume: vtkMRMLScalarVolumeNode
    referenceVolume: vtkMRMLScalarVolumeNode
    options: str = ""
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLSuperResWidget(ModuleWidget):
    """The panel."""

    verb = "superResolve"
    outputNames = ("outputVolume",)
    readyTip = _("Super-resolve the volume")
    _task = None
    _offeredModels: dict | None = None
    _ownModels: dict[str, dict[str, str]]  # by method

    def createLogic(self):
        return MedDLSuperResLogic()

    def setupPanel(self) -> None:
        self._ownModels = {}
        self.compare = self.closeWithPanel(CompareSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, VOLUMES, VOLUMES))
        self.deidentify = self.closeWithPanel(DeidentifySection(
            self._uiWidget, self.ui.resultsCollapsibleButton))
        self.synthesizeContrast = self.closeWithPanel(ContrastSynthesisSection(
            self._uiWidget, self.ui.resultsCollapsibleButton))
        self.denoiseSeries = self.closeWithPanel(DenoiseSeriesSection(
            self._uiWidget, self.ui.resultsCollapsibleButton))
        self.inpaint = self.closeWithPanel(InpaintSection(self._uiWidget, self.ui.resultsCollapsibleButton))
        self.prepare = self.closeWithPanel(PrepareSection(self._uiWidget, self.ui.resultsCollapsibleButton))
        self.train = self.closeWithPanel(TrainSuperResSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, self.onTrained))
        self.form = ConfigForm(SuperResolveConfig, self.onOptionsChanged)
        offered = choices(SuperResolveConfig)["method"]
        names = [name for name in METHODS if name in offered] + [name for name in offered if name not in METHODS]
        self.form.bind("method", self.ui.methodComboBox, {name: METHODS.get(name, (name,))[0] for name in names})
        ui = self.ui
        self.form.bind("model", ui.modelComboBox, {None: SHIPPED}, ui.modelLabel)
        self.form.bind("factor", ui.factorSpinBox, label=ui.factorLabel)
        self.form.bind("target_spacing_mm", ui.targetSpacingSpinBox, label=ui.targetSpacingLabel)
        self.form.bind("axis", ui.axisComboBox, {None: _("Thickest"), 0: "i", 1: "j", 2: "k"}, ui.axisLabel)
        self.form.bind("thickness_mm", ui.thicknessSpinBox, label=ui.thicknessLabel)
        self.form.bind("profile", ui.profileComboBox, label=ui.profileLabel)
        self.ui.strengthSlider.maximum, self.ui.strengthSlider.decimals = 1.0, 2
        self.form.bind("adversarial_strength", ui.strengthSlider, label=ui.strengthLabel)
        self.stacks = StackSelectors(ui.inputsCollapsibleButton.layout(), self._onParametersModified)
        self._scope = RunScope(ui.inputsCollapsibleButton.layout(), self._onParametersModified, self.verb)
        self.detector = self.closeWithPanel(Detector(self._onParametersModified))
        self.ui.previewLabel.visible = False
        self.ui.inventedLabel.text = INVENTED
        self.form.addRows(self.ui.advancedCollapsibleButton.layout())
        self.beforeAfter = self.closeWithPanel(BeforeAfter(ui))
        self.actions = self.closeWithPanel(ResultActions(ui, "superRes"))
        self.uncertainty = self.closeWithPanel(UncertaintySection(
            self._uiWidget, ui.resultsCollapsibleButton, self.whyNotSingle, self._startUncertainty,
            lambda: self._parameterNode.inputVolume))
        self.ui.stopEarlyButton.visible = False
        self.ui.stopEarlyButton.connect("clicked(bool)", self.onStopEarlyButton)

    def onOptionsChanged(self) -> None:
        """The user has changed an option."""
        if self._parameterNode:
            before, config = self.config(), self.form.config
            if config.factor is not None and config.target_spacing_mm is not None:  # the one chosen last counts
                old = "factor" if config.factor == before.factor else "target_spacing_mm"
                config = replace(config, **{old: None})
            if config.method != before.method and config.model not in self.ownModels(config.method):
                config = replace(config, model=None)
            self._parameterNode.options = config_to_text(config)

    def showParameters(self) -> None:
        config = self.config()
        if config != self.form.config:
            self.form.setConfig(config)
        self.offerModels()
        name, text = METHODS.get(config.method, (config.method, ""))
        self.ui.methodTextLabel.text, self.ui.methodTextLabel.visible = text, bool(text)
        self.ui.inventedLabel.visible = config.method == ADVERSARIAL
        self.ui.targetSpacingSpinBox.specialValueText = (
            _("Half of the smallest") if config.method in VOLUMETRIC else _("Smallest of the volume"))
        volume = self._parameterNode.inputVolume
        self._scope.update(volume, self._parameterNode)
        self.stacks.update(volume, self._parameterNode, self._scope.single)
        self._showAxis(config)
        usable = volume is not None and why_not_usable(volume) is None
        self.detector.ask(volume if usable else None, config.axis)
        text = detection_text(volume if usable else None, self.detector.detection)
        self.ui.detectedLabel.text, self.ui.detectedLabel.visible = text, bool(text)
        self.ui.outputSelector.enabled = self.ui.referenceSelector.enabled = self._scope.single

    def _showAxis(self, config: SuperResolveConfig) -> None:
        """What it means that no axis is chosen; methods that halve the voxels along every axis have no choice."""
        stated = config.factor is not None or config.target_spacing_mm is not None
        self.ui.axisComboBox.setItemText(0, _("All that are coarser") if stated else _("Thickest"))
        hidden = {"axis"} if config.method in VOLUMETRIC and not stated else set()
        hidden |= set() if self.stacks.nodes() else {"slice_motion"}
        self.form.showOnly({field.name for field in fields(SuperResolveConfig)} - hidden)

    def enter(self) -> None:
        """Called each time the user opens this module."""
        if self._isSetUp:
            self._ownModels.clear()  # models may have come or gone
        ModuleWidget.enter(self)

    def _onVolumeLoaded(self, volumeNode) -> None:
        super()._onVolumeLoaded(volumeNode)
        self._onParametersModified()  # it may be a further stack

    def ownModels(self, method: str) -> dict[str, str]:
        """The user's models for a method: names by identifier."""
        if method not in self._ownModels:
            self._ownModels[method] = {card.id: card.name for card in list_own_models(method)}
        return self._ownModels[method]

    def offerModels(self) -> None:
        """Let the method's own model be chosen, and those of the user that can take its place."""
        chosen, own = self.config().model, self.ownModels(self.config().method)
        missing = {chosen: _("{model} (not installed)").format(model=chosen)} if chosen and chosen not in own else {}
        if (offered := {None: SHIPPED, **own, **missing}) != self._offeredModels:
            self._offeredModels = offered
            self.form.offer("model", offered)

    def onTrained(self, identifier: str) -> None:
        """A model has come: choose it and a method that uses it."""
        config = self.config()
        self._ownModels.clear()
        if identifier not in self.ownModels(config.method):
            config = replace(config, method=find_method(ModelStore().card(identifier)) or config.method)
        self._parameterNode.options = config_to_text(replace(config, model=identifier))
        self.showParameters()

    def config(self) -> SuperResolveConfig:
        """The chosen options."""
        return config_from_text(SuperResolveConfig, self._parameterNode.options if self._parameterNode else "")

    def estimateName(self) -> str:
        return f"{self.verb}:{self.config().method}" + (" of stacks" if self.stacks.nodes() else "")

    def chosenRun(self):
        return [self._parameterNode.inputVolume, *self.stacks.nodes()], self.config(), None

    def origin(self) -> tuple:
        return *super().origin(), *self.stacks.nodes()

    def makePreview(self):
        return None if not self._scope.single else PicturePreview(self.ui.previewLabel)

    def whyNotReady(self):
        chosen = self._parameterNode
        reason = super().whyNotReady() or self.stacks.whyNotReady(self.config())
        if reason is None and not self.stacks.nodes():
            reason = why_not_finer(chosen.inputVolume, self.config())
        if reason is not None or not self._scope.single:
            return reason
        if chosen.inputVolume is not None and chosen.inputVolume is chosen.referenceVolume:
            return _("The reference is the volume itself. Choose the high-resolution volume to compare with, or none.")
        if chosen.outputVolume is not None and chosen.outputVolume is chosen.referenceVolume:
            return _("The output would overwrite the reference. Choose another volume, or create a new one.")
        if chosen.outputVolume is not None and chosen.outputVolume in (chosen.inputVolume, *self.stacks.nodes()):
            return _("The output would overwrite the input. Choose another volume, or create a new one.")
        return None

    def startRun(self, onProgress, onDone):
        def onEnd(task):
            self._task = None
            self.ui.stopEarlyButton.visible = False
            onDone(task)

        chosen = self._parameterNode
        if not self._scope.single:
            return self._scope.start(self.logic.superResolveBranch, config=self.config(), device=chosen.device,
                                     onProgress=onProgress, onDone=onDone)
        self._task = self.logic.superResolve(
            chosen.inputVolume, config=self.config(), otherNodes=self.stacks.nodes(), outputNode=chosen.outputVolume,
            referenceNode=chosen.referenceVolume, device=chosen.device, wait=False, onProgress=onProgress,
            onDone=onEnd, onPreview=self.onPreview)
        self.ui.stopEarlyButton.enabled = True
        self.ui.stopEarlyButton.visible = self.config().method in LEARNING and not self._task.done
        return self._task

    def onStopEarlyButton(self, checked: bool = False) -> None:
        """End the learning of the run in progress: the best network so far makes the volume."""
        if self._task is not None:
            self.ui.stopEarlyButton.enabled = False
            self._task.stop_early()

    def outputsOf(self, node) -> dict:
        return {} if node.IsA("vtkMRMLTableNode") else super().outputsOf(node)

    def showResult(self, node) -> None:
        if self.showTable(node):
            self.actions.show(node)
            return
        volume = self._parameterNode.inputVolume if self._parameterNode else None
        report = verbs.report_of(node)
        name = METHODS.get(report.get("method"), (report.get("method"),))[0]
        self.ui.reportBrowser.html = super_resolution_text({**report, "method": name})
        self.beforeAfter.show(volume, node)
        self.actions.show(pictured=(volume, node, True))

    def letGoOfNodes(self) -> None:
        self._scope.letGoOfNodes()
        self.stacks.letGoOfNodes()
        self.beforeAfter.clear()
        self.actions.show()
        self.detector.ask(None, None)

    def _startUncertainty(self, uncertainty, onProgress, onDone):
        chosen = self._parameterNode
        return self.logic.uncertainty(chosen.inputVolume, self.config(), uncertainty=uncertainty, device=chosen.device,
                                      wait=False, onProgress=onProgress, onDone=onDone)


class MedDLSuperResLogic(SuperResolutionVerbs, RestorationVerbs, ComparisonVerbs, ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        return MedDLSuperResParameterNode(super().getParameterNode())

    @verbs.document_as(verbs.super_resolve_node)
    def superResolve(self, volumeNode, *, config: SuperResolveConfig | None = None, otherNodes=(), outputNode=None,
                     referenceNode=None, device: str = "auto", wait: bool = True, onProgress=None, onDone=None,
                     onPreview=None):
        """Make a volume node's voxels smaller over the same field of view, combine several stacks, or denoise it."""
        return verbs.super_resolve_node(volumeNode, config, otherNodes=otherNodes, outputNode=outputNode,
                                       referenceNode=referenceNode, device=device, wait=wait, onProgress=onProgress,
                                       onDone=onDone, onPreview=onPreview)

    @verbs.document_as(many_volumes.super_resolve_branch)
    def superResolveBranch(self, itemID: int, **choices):
        """Super-resolve all scalar volumes below an item of the subject hierarchy."""
        return many_volumes.super_resolve_branch(itemID, **choices)

    @verbs.document_as(contrast_synthesis.synthesize_node)
    def synthesizeContrast(self, volumeNode, contrast="t2", **choices):
        """Synthesize another contrast of a head."""
        return contrast_synthesis.synthesize_node(volumeNode, contrast, **choices)

    def deidentify(self, source, target, **choices):
        """Write the files of a folder without the patient; returns a table node. See
        `meddl_slicer.sections.deidentification.verb`."""
        return deidentification.deidentify_files(source, target, **choices)


class MedDLSuperResTest(ModuleTest):
    """Runs inside Slicer, from the Reload and Test button or by unittest."""

    def test_every_quick_method_sharpens_and_stays_true(self):
        """A volume of thick slices is sharpened by each method that takes seconds; its mean stays."""
        self.delayDisplay("Rendering the sample head")
        head = sample_data.load("T1")
        array = slicer.util.arrayFromVolume(head)[:, ::2, ::2]
        slices = len(array) // 4
        thick = slicer.modules.volumes.logic().CloneVolume(head, "thick")
        slicer.util.updateVolumeFromArray(thick, array[:4 * slices].reshape(slices, 4, *array.shape[1:]).mean(axis=1))
        spacing = 2 * head.GetSpacing()[0]
        thick.SetSpacing(spacing, spacing, 2 * spacing)
        for method in choices(SuperResolveConfig)["method"]:
            if method in QUICK:
                self.delayDisplay(f"Sharpening: {method}")
                sharp = MedDLSuperResLogic().superResolve(thick, config=SuperResolveConfig(method=method))
                self.assertAlmostEqual(sharp.GetSpacing()[2], spacing, delta=0.01)
                self.assertEqual(sharp.GetImageData().GetDimensions()[2], 2 * slices)
                means = [float(slicer.util.arrayFromVolume(node).mean()) for node in (thick, sharp)]
                self.assertAlmostEqual(means[1], means[0], delta=0.02 * abs(means[0]))
        self.delayDisplay("Test passed")

    def test_reaches_the_asked_spacing(self):
        """The thick axis gets the target voxel size, the field of view stays."""
        self.delayDisplay("Rendering the sample head")
        head = sample_data.load("T1")
        config = SuperResolveConfig(method="back-projection", target_spacing_mm=1.0)
        sharp = MedDLSuperResLogic().superResolve(head, config=config)
        self.assertTrue(all(abs(size - 1.0) < 0.05 for size in sharp.GetSpacing()))
        before, after = [0.0] * 6, [0.0] * 6
        head.GetRASBounds(before)
        sharp.GetRASBounds(after)
        for a, b in zip(before, after):
            self.assertAlmostEqual(a, b, delta=1.0)
        self.delayDisplay("Test passed")

"""MedDLSeg: segment the structures of a volume with a neural network."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import qt
import slicer
from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleLogic

try:
    import meddl_slicer  # noqa: F401
except ModuleNotFoundError:  # a source checkout: only this module's own folder is on the path
    sys.path.append(str(Path(__file__).resolve().parent.parent / "MedDLLib"))

from meddl.core.config import MODALITIES, SegmentConfig, field_help
from meddl.core.errors import InputError
from meddl_slicer.mrml.roi import why_no_box
from meddl_slicer.panels.config_form import ConfigForm, config_from_text, config_to_text
from meddl_slicer.panels.inputs.channel_selectors import ChannelSelectors
from meddl_slicer.panels.inputs.place_buttons import PlaceButtons
from meddl_slicer.panels.menu import data_menu
from meddl_slicer.panels.models import choices
from meddl_slicer.panels.models.model_exporter import ModelExporter
from meddl_slicer.panels.models.model_installer import ModelInstaller
from meddl_slicer.panels.models.model_list import ModelList, details, insert_details_browser, summary_with_link
from meddl_slicer.panels.models.structure_choice import chosen_structures, structures_tip
from meddl_slicer.panels.module_widget import ModuleWidget
from meddl_slicer.panels.options import DEVICES, rename_parameters
from meddl_slicer.panels.run_scope import RunScope
from meddl_slicer.panels.views import segment_editor
from meddl_slicer.panels.views.label_preview import LabelPreview
from meddl_slicer.panels.views.results_table import ResultsTable
from meddl_slicer.panels.widgets import show_segmentation, status_text
from meddl_slicer.runs import many_volumes, sample_data, verbs
from meddl_slicer.runs.module_test import ModuleTest
from meddl_slicer.runs.packages import dependencies
from meddl_slicer.sections.classification.section import ClassifySection
from meddl_slicer.sections.classification.verb import ClassificationVerbs
from meddl_slicer.sections.comparison.section import LABEL_NODES, SEGMENTATIONS_AND_PROBABILITIES, CompareSection
from meddl_slicer.sections.comparison.verb import ComparisonVerbs
from meddl_slicer.sections.explanation.section import ExplainSection
from meddl_slicer.sections.explanation.verb import SegmentationVerbs
from meddl_slicer.sections.landmarks.section import LandmarkSection
from meddl_slicer.sections.painting import registration
from meddl_slicer.sections.results.actions import ResultActions
from meddl_slicer.sections.training.section import TrainSection

OLD_PARAMETERS = {"atlasHeads": "atlasLabelMaps"}  # of scenes that version 0.1.0 saved
# Fields of SegmentConfig for models of other tools alone.
IMPORTED_OPTIONS = ("float32", "overlap", "mirror_axes", "body_crop", "skip_empty")


class MedDLSeg(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MedDL Segmentation")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["MedDL contributors"]
        self.parent.helpText = _("""
Segments the structures of the brain in a volume of any contrast, with a neural network that runs on this computer.
Choose a volume and press Apply. For research only. See the
<a href="https://github.com/MedDL/SlicerMedDL#meddl-segmentation">documentation</a>.
""")
        self.parent.acknowledgementText = _("Please cite MedDL if it helps your work: see its home page.")
        slicer.app.connect("startupCompleted()", sample_data.register)
        slicer.app.connect("startupCompleted()", data_menu.register)
        slicer.app.connect("startupCompleted()", registration.register)


@parameterNodeWrapper
class MedDLSegParameterNode:
    """What the user chooses.

    inputVolume - the volume to segment.
    outputSegmentation - the segmentation to fill; none: a new one.
    model - identifier of the model.
    structures - names of those to find, with commas between them; empty: all.
    region - a box; outside of it all is background. None: the whole volume.
    show3D - make surfaces and show them.
    livePreview - show what is found while the run goes on.
    flipAveraging, contrastAdaptation, atlasLabelMaps, largestComponent, confidence, modality - of meddl.SegmentConfig.
    importedOptions - IMPORTED_OPTIONS that differ from their defaults, as JSON.
    device - where to run.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputSegmentation: vtkMRMLSegmentationNode
    model: str = choices.DEFAULT_SEGMENTATION
    structures: str = ""
    region: vtkMRMLMarkupsROINode
    show3D: bool = False
    flipAveraging: bool = SegmentConfig.flip_averaging
    contrastAdaptation: bool = SegmentConfig.contrast_adaptation
    atlasLabelMaps: Annotated[int, WithinRange(0, 64)] = SegmentConfig.atlas_label_maps
    largestComponent: bool = SegmentConfig.largest_component
    confidence: bool = SegmentConfig.confidence
    livePreview: bool = True
    modality: Annotated[str, Choice(list(MODALITIES))] = SegmentConfig.modality
    importedOptions: str = ""
    device: Annotated[str, Choice(DEVICES)] = "auto"


class MedDLSegWidget(ModuleWidget):
    """The panel."""

    verb = "segment"
    outputNames = ("outputSegmentation",)
    readyTip = _("Segment the volume")

    def createLogic(self):
        return MedDLSegLogic()

    def setupPanel(self) -> None:
        self.landmarks = self.closeWithPanel(LandmarkSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, lambda: self._parameterNode))
        self.compare = self.closeWithPanel(CompareSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, SEGMENTATIONS_AND_PROBABILITIES, LABEL_NODES))
        self.train = self.closeWithPanel(TrainSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, self.onInstalled,
            lambda: self._parameterNode.inputVolume if self._parameterNode else None, self.chosenModel))
        self.classify = self.closeWithPanel(ClassifySection(
            self._uiWidget, self.ui.resultsCollapsibleButton, self.logic,
            lambda: self._parameterNode.inputVolume if self._parameterNode else None))
        self.explain = self.closeWithPanel(ExplainSection(
            self._uiWidget, self.ui.resultsCollapsibleButton, self.logic, self.whyNotReady,
            lambda: (self._parameterNode, self._config(), self._channels.nodes(), self.chosenModel().card)))
        ui = self.ui
        self._agreedTo = None
        self._results = ResultsTable(ui.resultsTable)
        self.actions = self.closeWithPanel(ResultActions(ui, "seg", self._results.copy))
        self._list = ModelList(ui.modelTree, ui.searchLineEdit, self.onModelChosen)
        self._installer = self.closeWithPanel(ModelInstaller(
            ui.installProgressBar, ui.installLabel, self._onParametersModified, self.onInstalled))
        self._details = insert_details_browser(ui.inputsCollapsibleButton.layout(), 4)
        ui.modelSummaryLabel.connect("linkActivated(QString)", self.onDetails)
        self._channels = ChannelSelectors(ui.inputsCollapsibleButton.layout(), ui.inputLabel,
                                          self._onParametersModified)
        self._scope = RunScope(ui.inputsCollapsibleButton.layout(), self._onParametersModified)
        self.closeWithPanel(PlaceButtons(ui.regionSelector, ui.regionPlaceWidget, False, self._onParametersModified))
        self.updateModels()
        ui.installModelButton.connect("clicked(bool)", self.onInstallModel)
        menu = qt.QMenu(ui.importModelButton)
        for text, choose in ((_("File..."), choices.choose_file), (_("Folder..."), choices.choose_folder)):
            menu.addAction(text).connect("triggered()", lambda *_, choose=choose: self.onImportModel(choose))
        ui.importModelButton.setMenu(menu)
        self.closeWithPanel(ModelExporter(ui.exportModelButton, lambda: self._parameterNode.model))
        ui.removeModelButton.connect("clicked(bool)", self.onRemoveModel)
        ui.editButton.connect("clicked(bool)", self.onEdit)
        ui.showModelsButton.connect("clicked(bool)", lambda checked: choices.open_folder())
        self._form = ConfigForm(SegmentConfig, self.onOptionsChanged)
        self._form.addRows(ui.importedGroupBox.layout(), IMPORTED_OPTIONS)
        for widget, name in ((ui.flipAveragingCheckBox, "flip_averaging"), (ui.confidenceCheckBox, "confidence"),
                             (ui.contrastAdaptationCheckBox, "contrast_adaptation"), (ui.modalityComboBox, "modality"),
                             (ui.atlasLabelMapsSpinBox, "atlas_label_maps"),
                             (ui.largestComponentCheckBox, "largest_component")):
            widget.toolTip = field_help(SegmentConfig)[name]

    def enter(self) -> None:
        """Called each time the user opens this module."""
        if self._isSetUp:
            self._list.recolor()
            self.ui.modelSummaryLabel.text = ""  # its link takes the theme's color as it is set again
        ModuleWidget.enter(self)

    def onEdit(self, checked: bool = False) -> None:
        """Take the result to the Segment Editor."""
        with slicer.util.tryWithErrorDisplay(_("The segmentation could not be opened in the Segment Editor.")):
            segment_editor.edit(self.ui.show3DButton.segmentationNode())

    def onDetails(self, link: str) -> None:
        """Show what there is to know of the chosen model under the list, or hide it."""
        self._details.visible = self._details.isHidden()

    def onOptionsChanged(self) -> None:
        """The user has changed an option of imported models."""
        if self._parameterNode:
            self._parameterNode.importedOptions = config_to_text(self._form.config)

    def updateModels(self) -> None:
        """List the models of this machine and of the catalog anew."""
        self._list.setModels(choices.list_for_task("segmentation"))
        self._expected.forget()
        self.ui.showModelsButton.toolTip = choices.folder_text()

    def chosenModel(self):
        """The chosen model as the list knows it; None where it does not."""
        return self._list.find(self._parameterNode.model)

    def modelOfInputs(self):
        return self.chosenModel()

    def onModelChosen(self, identifier: str) -> None:
        """The user has chosen a model in the list."""
        if self._parameterNode:
            self._parameterNode.model = identifier

    def onInstallModel(self, checked: bool = False) -> None:
        """Install the chosen model of the catalog, or stop that."""
        if self._installer.running:
            self._installer.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The model could not be installed.")):
            model = self.chosenModel()
            if choices.confirm_install(model):
                dependencies.ensure()
                self._agreedTo = model.entry.id
                self._installer.install(model.entry.id)

    def onImportModel(self, choose) -> None:
        """Install a model from disk; `choose` asks where it lies."""
        with slicer.util.tryWithErrorDisplay(_("The model could not be installed.")):
            path = choose()
            if path:
                dependencies.ensure()
                self._agreedTo = None
                self._installer.importFrom(path)

    def onInstalled(self, identifier: str) -> None:
        """A model has come: list and choose it."""
        if identifier == self._agreedTo:
            choices.accept_license(identifier)
        self.updateModels()
        if self._parameterNode:
            self._parameterNode.model = identifier

    def onRemoveModel(self, checked: bool = False) -> None:
        """Delete the chosen model."""
        with slicer.util.tryWithErrorDisplay(_("The model could not be removed.")):
            if choices.remove(self._parameterNode.model):
                self.updateModels()
                self._parameterNode.model = choices.DEFAULT_SEGMENTATION
                self._onParametersModified()

    def showParameters(self) -> None:
        self._list.setVolume(self.metadataOf(self._parameterNode.inputVolume))
        self._list.choose(self._parameterNode.model)
        model, installing = self.chosenModel(), self._installer.running
        self.ui.modelSummaryLabel.text = "" if model is None else summary_with_link(model)
        self._details.html = "" if model is None else details(model, self._list.metadata)
        self.ui.installModelButton.visible = installing or (model is not None and not model.usable)
        self.ui.installModelButton.enabled = installing or (model is not None and not model.entry.obstacle)
        self.ui.installModelButton.text = _("Cancel") if installing else _("Install")
        self.ui.installModelButton.toolTip = (model.entry.obstacle if model is not None else None) or _(
            "Download the model and install it")
        self.ui.importModelButton.enabled = not installing
        for button in (self.ui.removeModelButton, self.ui.exportModelButton):
            button.enabled = model is not None and model.usable and not installing
        self.ui.structuresLineEdit.toolTip = structures_tip(model)
        foreign = model is not None and model.usable and is_imported(model.card)
        self.ui.importedGroupBox.visible = foreign
        for widget in (self.ui.flipAveragingCheckBox, self.ui.contrastAdaptationCheckBox, self.ui.atlasLabelMapsLabel,
                       self.ui.atlasLabelMapsSpinBox, self.ui.largestComponentCheckBox, self.ui.confidenceCheckBox):
            widget.visible = not foreign
        self._form.setConfig(config_from_text(SegmentConfig, self._parameterNode.importedOptions))
        self._scope.update(self._parameterNode.inputVolume, self._parameterNode)
        self._channels.update(model.card.channel_names if model is not None and model.usable else ("volume",),
                              self._parameterNode)
        self.explain.update()

    def whyNotReady(self):
        if self._installer.running:
            return _("A model is being installed.")
        model = self.chosenModel()
        if model is None:
            return _("The model '{model}' is not installed. Choose another one.").format(
                model=self._parameterNode.model)
        if not model.usable:
            return model.entry.obstacle or _("This model is not installed yet. Press Install.")
        if self._parameterNode.region is not None and not self._scope.single:
            return _("A region is for one volume. Choose none to segment several.")
        channels = self._channels.whyNotReady(self._parameterNode.inputVolume) if self._scope.single else None
        region = why_no_box(self._parameterNode.region)
        return super().whyNotReady() or channels or region or self._whyNotTheseStructures()

    def _whyNotTheseStructures(self):
        try:
            self._config()
        except InputError as error:
            return str(error)
        return None

    def origin(self) -> tuple:
        return (*super().origin(), self._scope.chosen, *self._channels.nodes())

    def estimateName(self) -> str:
        return f"{self.verb}:{self._parameterNode.model}"

    def chosenRun(self):
        return [self._parameterNode.inputVolume], self._config(), self._parameterNode.model

    def statusLine(self) -> str:
        model = self.chosenModel()
        if model is None or not model.usable or self._whyNotTheseStructures():
            return ""
        return status_text(self.estimate(), model.entry.license.weights)

    def confirm(self) -> bool:
        return choices.confirm_license(self._parameterNode.model)

    def makePreview(self):
        return LabelPreview(self._parameterNode.inputVolume) if self._parameterNode.livePreview else None

    def _config(self) -> SegmentConfig:
        chosen, card = self._parameterNode, self.chosenModel().card
        base = config_from_text(SegmentConfig, chosen.importedOptions if is_imported(card) else "")
        return replace(base, flip_averaging=chosen.flipAveraging, contrast_adaptation=chosen.contrastAdaptation,
                       atlas_label_maps=chosen.atlasLabelMaps, largest_component=chosen.largestComponent,
                       confidence=chosen.confidence, modality=chosen.modality,
                       structures=chosen_structures(chosen.structures, card))

    def startRun(self, onProgress, onDone):
        chosen = self._parameterNode
        if not self._scope.single:
            return self._scope.start(partial(self.logic.segmentBranch, show3D=chosen.show3D), chosen.model,
                                     sequence=self.logic.segmentSequence, config=self._config(), device=chosen.device,
                                     onProgress=onProgress, onDone=onDone)
        return self.logic.segment(chosen.inputVolume, chosen.model, config=self._config(), show3D=chosen.show3D,
                                  otherNodes=self._channels.nodes(), roiNode=chosen.region,
                                  segmentationNode=chosen.outputSegmentation, device=chosen.device, wait=False,
                                  onProgress=onProgress, onDone=onDone,
                                  onPreview=self.onPreview if chosen.livePreview else None)

    def letGoOfNodes(self) -> None:
        self._scope.letGoOfNodes()
        self._channels.letGoOfNodes()
        self._results.clear()
        self.actions.show()

    def outputsOf(self, node) -> dict:
        return super().outputsOf(node) if node.IsA("vtkMRMLSegmentationNode") else {}

    def showResult(self, node) -> None:
        single = node.IsA("vtkMRMLSegmentationNode")
        self.ui.segmentationWidget.visible = single
        self.ui.show3DButton.setSegmentationNode(node if single else None)
        if single:
            show_segmentation(node, self._results)
            self.actions.show(node.GetNodeReference(verbs.TABLE_ROLE), (
                node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()), node, False))
        else:
            self._scope.showResult(node, self._results)
            self.actions.show(node if node.IsA("vtkMRMLTableNode") else node.GetNodeReference(verbs.TABLE_ROLE))
        self.ui.resultsCollapsibleButton.visible = True


def is_imported(card) -> bool:
    """Whether a model was made with another tool."""
    return card.recipe is not None or bool(card.parts)


class MedDLSegLogic(SegmentationVerbs, ClassificationVerbs, ComparisonVerbs, ScriptedLoadableModuleLogic):
    """The work, without a panel."""

    def getParameterNode(self):
        """The parameters of this module in the scene."""
        node = super().getParameterNode()
        rename_parameters(node, OLD_PARAMETERS)
        return MedDLSegParameterNode(node)

    @verbs.document_as(verbs.segment_node)
    def segment(self, volumeNode, model: str = choices.DEFAULT_SEGMENTATION, *, config: SegmentConfig | None = None,
                otherNodes=None, segmentationNode=None, show3D: bool = False, device: str = "auto", wait: bool = True,
                onProgress=None, onDone=None, onPreview=None, roiNode=None):
        """Segment a volume node."""
        return verbs.segment_node(volumeNode, model, config, otherNodes=otherNodes, segmentationNode=segmentationNode,
                                 show3D=show3D, device=device, wait=wait, onProgress=onProgress, onDone=onDone,
                                 onPreview=onPreview, roiNode=roiNode)

    @verbs.document_as(many_volumes.segment_branch)
    def segmentBranch(self, itemID: int, model: str = choices.DEFAULT_SEGMENTATION, **choices):
        """Segment all scalar volumes below an item of the subject hierarchy."""
        return many_volumes.segment_branch(itemID, model, **choices)

    @verbs.document_as(many_volumes.segment_sequence)
    def segmentSequence(self, sequenceNode, model: str = choices.DEFAULT_SEGMENTATION, **choices):
        """Segment every frame of a volume sequence."""
        return many_volumes.segment_sequence(sequenceNode, model, **choices)


class MedDLSegTest(ModuleTest):
    """Runs inside Slicer, from the Reload and Test button or by unittest."""

    def test_segments_the_sample_head(self):
        """The embedded head is segmented into structures that lie over it."""
        self.delayDisplay("Rendering the sample head")
        head = sample_data.load("T1")
        node = MedDLSegLogic().segment(head)
        self.assertGreater(node.GetSegmentation().GetNumberOfSegments(), 20)
        self.assertEqual(node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()), head)
        self.delayDisplay("Test passed")

"""The section *Explain* of the segmentation panel: what a structure depends on, and how sure the labels are."""

import qt
from slicer.i18n import tr as _

from meddl.core.config import field_help
from meddl.core.errors import InputError
from meddl.explanation.config import ExplainConfig
from meddl.uncertainty.config import UncertaintyConfig
from meddl_slicer.panels.models.structure_choice import chosen_structures
from meddl_slicer.sections.explanation.verb import show_map
from meddl_slicer.sections.section import Section

OCCLUSION, GRAD_CAM, UNCERTAINTY = "occlusion", "grad-cam", "uncertainty"


class ExplainSection(Section):
    """Explains a structure of the panel's volume and model, or says how sure the labels are.

    Args:
        panel, after: as of `Section`.
        logic: of the module.
        whyNotReady: called without arguments: why the panel's volume cannot be segmented, None where it can.
        choices: called without arguments: the panel's parameter node, its SegmentConfig, the nodes of further channels
            and the card of the model. Raises InputError where they do not fit together.
    """

    def __init__(self, panel, after, logic, whyNotReady, choices):
        super().__init__(panel, after, "MedDL.Explain", _("Explain"))
        self._logic, self._whyNotReady, self._choices = logic, whyNotReady, choices
        self._volumeNode = None
        self.methodComboBox = qt.QComboBox()
        for key, text in ((OCCLUSION, _("Occlusion of the whole pipeline")), (GRAD_CAM, _("Grad-CAM of the network")),
                          (UNCERTAINTY, _("Uncertainty of the labels"))):
            self.methodComboBox.addItem(text, key)
        self.methodComboBox.objectName = "explainMethodComboBox"
        self.methodComboBox.toolTip = field_help(ExplainConfig)["method"]
        self.structureLabel, self.structureLineEdit = qt.QLabel(_("Structure:")), qt.QLineEdit()
        self.structureLineEdit.objectName = "explainStructureLineEdit"
        self.structureLineEdit.placeholderText = _("Such as: left hippocampus")
        self.structureLineEdit.toolTip = _("The structure that is explained; several, separated by commas, as one")
        self.runsLabel, self.runsSpinBox = qt.QLabel(_("Runs:")), qt.QSpinBox()
        self.runsSpinBox.objectName = "explainRunsSpinBox"
        self.runsSpinBox.minimum, self.runsSpinBox.maximum = 2, 100
        self.form.addRow(_("Method:"), self.methodComboBox)
        self.form.addRow(self.structureLabel, self.structureLineEdit)
        self.form.addRow(self.runsLabel, self.runsSpinBox)
        self.addRun(_("Explain"), _("Compute the map and show it over the volume"))
        self.finishButton = qt.QPushButton(_("Finish now"))
        self.finishButton.objectName = "explainFinishButton"
        self.finishButton.toolTip = _("End the refinement and show the map as it is so far")
        self.finishButton.visible = False
        self.box.addWidget(self.finishButton)
        self.addReading()
        self.methodComboBox.connect("currentIndexChanged(int)", self.onMethod)
        self.structureLineEdit.connect("textChanged(QString)", self.onStructure)
        self.finishButton.connect("clicked(bool)", self.onFinish)

    @property
    def method(self) -> str:
        """OCCLUSION, GRAD_CAM or UNCERTAINTY."""
        return self.methodComboBox.itemData(self.methodComboBox.currentIndex)

    def onMethod(self, index: int) -> None:
        """The user has chosen a method."""
        self.keep("method", self.method)
        self.update()

    def onStructure(self, text: str) -> None:
        """The user has named another structure."""
        self.keep("structure", text)
        self.update()

    def onFinish(self, checked: bool = False) -> None:
        """End the run with what there is."""
        self.run.stopEarly()

    def showChoices(self) -> None:
        number = self.methodComboBox.findData(self.readText("method"))
        config = UncertaintyConfig if self.method == UNCERTAINTY else ExplainConfig
        if number >= 0 and number != self.methodComboBox.currentIndex:
            self.methodComboBox.currentIndex = number
        if self.structureLineEdit.text != self.readText("structure"):
            self.structureLineEdit.text = self.readText("structure")
        for widget in (self.structureLabel, self.structureLineEdit):
            widget.visible = self.method != UNCERTAINTY
        for widget in (self.runsLabel, self.runsSpinBox):
            widget.visible = self.method != GRAD_CAM
        if self.runsSpinBox.toolTip != field_help(config)["runs"]:
            self.runsSpinBox.toolTip, self.runsSpinBox.value = field_help(config)["runs"], config().runs
        self.finishButton.visible = self.run.running and self.method == OCCLUSION

    def whyNotReady(self) -> str | None:
        reason = self._whyNotReady()
        if reason is None and self.method != UNCERTAINTY:
            try:
                if not self._structures():
                    reason = _("Name the structure to explain.")
            except InputError as error:
                reason = str(error)
        return reason

    def startRun(self, onProgress, onDone):
        chosen, config, otherNodes, _card = self._choices()
        self._volumeNode = chosen.inputVolume
        self.read()
        run = {"wait": False, "onProgress": onProgress, "onDone": onDone, "otherNodes": otherNodes,
               "roiNode": chosen.region, "device": chosen.device}
        if self.method == UNCERTAINTY:
            return self._logic.segmentWithUncertainty(
                chosen.inputVolume, chosen.model, config, uncertainty=UncertaintyConfig(runs=self.runsSpinBox.value),
                **run)
        return self._logic.explain(chosen.inputVolume, chosen.model, self._structures(), ExplainConfig(
            method=self.method, runs=self.runsSpinBox.value), segmentConfig=config, **run)

    def onRunButton(self, checked: bool = False) -> None:
        Section.onRunButton(self, checked)
        self.finishButton.visible = self.run.running and self.method == OCCLUSION

    def showResult(self, node) -> None:
        self.read(node)
        show_map(self._volumeNode, node)
        self._volumeNode = None

    def clear(self) -> None:
        self._volumeNode = None
        self.read()

    def close(self) -> None:
        """Stop the run, and hold neither widgets nor the panel any more."""
        Section.close(self)
        self._logic = self._whyNotReady = self._choices = None

    def _structures(self) -> tuple:
        return chosen_structures(self.structureLineEdit.text, self._choices()[-1])

"""The section *Explain* of the segmentation panel: what a structure depends on, and how sure the labels are."""

import logging

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from meddl.core.config import ExplainConfig, UncertaintyConfig, field_help
from meddl.core.errors import Cancelled
from meddl_slicer.runs import verbs
from meddl_slicer.sections.explanation.verb import show_map

OCCLUSION, GRAD_CAM, UNCERTAINTY = "occlusion", "grad-cam", "uncertainty"


class ExplainSection:
    """A collapsed section below a widget of the panel, with a run of its own.

    Args:
        panel: the widget of the .ui file, with a QVBoxLayout.
        after: the widget below which the section stands.
        logic: of the module.
        choices: called without arguments when a run begins: the panel's parameter node, its SegmentConfig, and the
            nodes of further channels. Raises InputError where they do not fit together.
    """

    def __init__(self, panel, after, logic, choices):
        self._logic, self._choices = logic, choices
        self._task = self._volumeNode = None
        self.button = ctk.ctkCollapsibleButton()
        self.button.objectName = "explainSectionButton"
        self.button.text = _("Explain")
        self.button.collapsed = True
        panel.layout().insertWidget(panel.layout().indexOf(after) + 1, self.button)
        form = qt.QFormLayout(self.button)
        self.methodComboBox = qt.QComboBox()
        for key, text in ((OCCLUSION, _("Occlusion of the whole pipeline")), (GRAD_CAM, _("Grad-CAM of the network")),
                          (UNCERTAINTY, _("Uncertainty of the labels"))):
            self.methodComboBox.addItem(text, key)
        self.methodComboBox.objectName = "explainMethodComboBox"
        self.methodComboBox.toolTip = field_help(ExplainConfig)["method"]
        self.structureLineEdit = qt.QLineEdit()
        self.structureLineEdit.objectName = "explainStructureLineEdit"
        self.structureLineEdit.placeholderText = _("Such as: left hippocampus")
        self.structureLineEdit.toolTip = _("The structure that is explained; several, separated by commas, as one")
        self.runsSpinBox = qt.QSpinBox()
        self.runsSpinBox.objectName = "explainRunsSpinBox"
        self.runsSpinBox.minimum, self.runsSpinBox.maximum = 2, 100
        self.runButton, self.finishButton = qt.QPushButton(), qt.QPushButton(_("Finish now"))
        self.runButton.objectName, self.finishButton.objectName = "explainRunButton", "explainFinishButton"
        self.finishButton.toolTip = _("End the refinement and show the map as it is so far")
        self.progressBar, self.label = qt.QProgressBar(), qt.QLabel()
        self.progressBar.objectName, self.label.objectName = "explainProgressBar", "explainLabel"
        self.label.wordWrap = True
        form.addRow(_("Method:"), self.methodComboBox)
        form.addRow(_("Structure:"), self.structureLineEdit)
        form.addRow(_("Runs:"), self.runsSpinBox)
        for widget in (self.runButton, self.progressBar, self.finishButton, self.label):
            form.addRow(widget)
        self.methodComboBox.connect("currentIndexChanged(int)", self.onMethod)
        self.runButton.connect("clicked(bool)", self.onRun)
        self.finishButton.connect("clicked(bool)", self.onFinish)
        self.onMethod()
        self._showRunning(False)

    @property
    def method(self) -> str:
        """OCCLUSION, GRAD_CAM or UNCERTAINTY."""
        return self.methodComboBox.itemData(self.methodComboBox.currentIndex)

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._task is not None

    def onMethod(self, index: int = 0) -> None:
        """The user has chosen a method: its number of runs is offered."""
        config = UncertaintyConfig if self.method == UNCERTAINTY else ExplainConfig
        self.structureLineEdit.enabled = self.method != UNCERTAINTY
        self.runsSpinBox.enabled = self.method != GRAD_CAM
        self.runsSpinBox.value = config().runs
        self.runsSpinBox.toolTip = field_help(config)["runs"]

    def onRun(self, checked: bool = False) -> None:
        """Start the run, or stop the one in progress."""
        if self.running:
            self._task.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The explanation could not be started.")):
            self.label.text = ""
            self._task = self._start()
            self._showRunning(not self._task.done)
            if self._task.done:
                self._task = None

    def onFinish(self, checked: bool = False) -> None:
        """End the run with what there is."""
        if self.running:
            self._task.stop_early()

    def close(self) -> None:
        """Stop the run and touch the widgets no more."""
        task, self._task, self._logic, self._choices = self._task, None, None, None
        if task is not None:
            task.cancel()

    def _start(self):
        chosen, config, otherNodes = self._choices()
        self._volumeNode, volumeNode, model = chosen.inputVolume, chosen.inputVolume, chosen.model
        run = {"wait": False, "onProgress": self._onProgress, "onDone": self._onDone, "otherNodes": otherNodes,
               "roiNode": chosen.region, "device": chosen.device}
        if self.method == UNCERTAINTY:
            return self._logic.segmentWithUncertainty(
                volumeNode, model, config, uncertainty=UncertaintyConfig(runs=self.runsSpinBox.value), **run)
        return self._logic.explain(volumeNode, model, self.structureLineEdit.text, ExplainConfig(
            method=self.method, runs=self.runsSpinBox.value), segmentConfig=config, **run)

    def _onProgress(self, fraction: float, stage: str) -> None:
        if self._logic is not None:
            self.progressBar.value = round(100 * fraction)
            self.label.text = stage

    def _onDone(self, task) -> None:
        if self._logic is None:
            return
        self._task, volumeNode, self._volumeNode = None, self._volumeNode, None
        self._showRunning(False)
        if task.state == "done":
            node = task.result()
            found = verbs.report_of(node)
            self.label.text = " ".join((found["reading"], *found.get("warnings", ())))
            show_map(volumeNode, node)
        else:
            self.label.text = str(task.error)
            if not isinstance(task.error, Cancelled):
                logging.error("MedDL: %s", task.error, exc_info=task.error)

    def _showRunning(self, running: bool) -> None:
        self.runButton.text = _("Cancel") if running else _("Explain")
        self.runButton.toolTip = _("Stop the run and leave the scene as it is") if running else _(
            "Compute the map and show it over the volume")
        self.progressBar.value = 0
        self.progressBar.visible = running
        self.finishButton.visible = running and self.method == OCCLUSION

"""The section *Classify* of the segmentation panel: which class a volume belongs to, and what that depends on."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl.explanation.config import ExplainConfig
from meddl_slicer.panels.models import choices
from meddl_slicer.sections.classification.train_section import TrainClassifierSection
from meddl_slicer.sections.explanation.verb import show_map
from meddl_slicer.sections.section import Section

GRAD_CAM = "grad-cam"


class ClassifySection(Section):
    """Classifies the panel's volume with a classifier of the user's own. Below it stands *Train a classifier*.

    Args:
        panel, after: as of `Section`.
        logic: of the module.
        volume: called without arguments: the panel's volume node, or None.
    """

    def __init__(self, panel, after, logic, volume):
        self.training = TrainClassifierSection(panel, after, self.onTrained)
        super().__init__(panel, after, "MedDL.Classify", _("Classify"))
        self._logic, self._volume, self._models, self._explains, self._volumeNode = logic, volume, [], False, None
        self.modelComboBox = qt.QComboBox()
        self.modelComboBox.objectName = "classifyModelComboBox"
        self.modelComboBox.toolTip = _("The classifier: one that was trained in the section below, or installed")
        self.modelComboBox.connect("activated(int)", lambda row: self.onModel(row))
        self.form.addRow(_("Classifier:"), self.modelComboBox)
        self.addRun(_("Classify"), _("Say which class the volume belongs to"))
        self.explainButton = qt.QPushButton(_("Show what it depends on"))
        self.explainButton.objectName = "classifyExplainButton"
        self.explainButton.toolTip = _("Compute the Grad-CAM of the likeliest class and show it over the volume")
        self.explainButton.connect("clicked(bool)", self.onExplain)
        self.box.addWidget(self.explainButton)
        self.addReading()
        self.button.connect("contentsCollapsed(bool)", lambda collapsed: self.update())

    @property
    def model(self) -> str | None:
        """The identifier of the chosen classifier."""
        row = self.modelComboBox.currentIndex
        return self._models[row].id if 0 <= row < len(self._models) else None

    def showChoices(self) -> None:
        self._models = [] if self.button.collapsed else choices.list_installed("classification")
        self.modelComboBox.clear()
        for model in self._models:
            self.modelComboBox.addItem(model.name)
        kept = [number for number, model in enumerate(self._models) if model.id == self.readText("model")]
        if kept:
            self.modelComboBox.setCurrentIndex(kept[0])
        self.explainButton.enabled = not self.run.running and self.whyNotReady() is None

    def whyNotReady(self) -> str | None:
        if self.model is None:
            return _("There is no classifier. Train one below.")
        return _("Choose a volume.") if self._volume() is None else None

    def startRun(self, onProgress, onDone):
        self._volumeNode = self._volume()
        self.read()
        run = {"wait": False, "onProgress": onProgress, "onDone": onDone}
        if self._explains:
            return self._logic.explain(self._volumeNode, self.model, "", ExplainConfig(method=GRAD_CAM), **run)
        return self._logic.classify(self._volumeNode, self.model, **run)

    def onRunButton(self, checked: bool = False) -> None:
        """Classify, or stop the run in progress."""
        self._begin(explains=False)

    def onExplain(self, checked: bool = False) -> None:
        """Explain the likeliest class."""
        self._begin(explains=True)

    def _begin(self, explains: bool) -> None:
        with slicer.util.tryWithErrorDisplay(_("The run could not be started.")):
            if self.run.running or choices.confirm_license(self.model):
                self._explains = explains if not self.run.running else self._explains
                Section.onRunButton(self)
        self.update()

    def showResult(self, node) -> None:
        self.read(node)
        if self._explains:
            show_map(self._volumeNode, node)
        self._volumeNode = None

    def onModel(self, row: int) -> None:
        """The user has chosen a classifier."""
        self.keep("model", self.model or "")
        self.update()

    def onTrained(self, identifier: str) -> None:
        """A classifier was trained: choose it."""
        self.button.collapsed = False
        self.keep("model", identifier)
        self.update()

    def onPanelChanged(self) -> None:
        """Something else is chosen in the panel."""
        self.update()

    def setParameterNode(self, parameterNode) -> None:
        self.training.setParameterNode(parameterNode)
        Section.setParameterNode(self, parameterNode)

    def clear(self) -> None:
        self._volumeNode = None
        self.read()

    def close(self) -> None:
        """Stop the runs, and hold neither widgets nor the panel any more."""
        self.training.close()
        Section.close(self)
        self._logic = self._volume = None

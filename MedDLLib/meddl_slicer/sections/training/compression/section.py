"""The section *Smaller model* of the segmentation panel."""

import qt
from slicer.i18n import tr as _

from meddl.compression.config import ShrinkConfig
from meddl.compression.eligibility import why_not_shrunk
from meddl_slicer.sections.training.compression.verb import LEAST_CASES, shrink_installed_model
from meddl_slicer.sections.training.curve import AGREEMENT
from meddl_slicer.sections.training.training_section import TrainingSection
from meddl_slicer.sections.training.verb import folders_with_pairs


class SmallerModelSection(TrainingSection):
    """Makes a faster and smaller model of the one that is chosen in the panel, and says what that costs.

    Args:
        panel, after, onTrained: as of `TrainingSection`.
        chosenModel: called without arguments: the panel's model as the list knows it, or None.
    """

    sectionName, sectionTitle = "MedDL.SmallerModel", _("Smaller model")
    runText = _("Make it smaller")
    runTip = _("Remove channels from the network of the chosen model and distill what is left; the large model stays")
    configClass = ShrinkConfig
    shownFields = ("speedup", "dice_loss", "minutes")
    score = AGREEMENT
    figuresText = _("Step {step}: loss {loss:.3f}, agreement with the large model {score:.3f}, best {best:.3f}.")
    dataTip = _("Volumes like those that the model is for, with segments of its structures by name; or a folder on "
                "disk. Most of them teach the small network, a fifth checks it")
    folderTip = _("Choose a folder of volumes, or one with the folders images and labels. Without labels the small "
                  "model is checked against the large one")

    def __init__(self, panel, after, onTrained, chosenModel):
        self._chosenModel = chosenModel
        super().__init__(panel, after, onTrained)

    def addFirstRows(self) -> None:
        self.modelLabel = qt.QLabel()
        self.modelLabel.objectName, self.modelLabel.wordWrap = "smallerModelLabel", True
        self.modelLabel.toolTip = _("The model that is chosen in the list above")
        self.form.addRow(_("Large model:"), self.modelLabel)

    def findData(self) -> list[tuple[str, int]]:
        return [(_("{name} ({count} cases)").format(name=name, count=count), item)
                for name, item, count in folders_with_pairs() if count >= LEAST_CASES]

    def whyNotReady(self) -> str | None:
        model = self._chosenModel()
        if model is None or not model.usable:
            return _("Choose an installed model above.")
        reason = why_not_shrunk(model.card)
        if reason is None and self.source is None:
            return _("Segment three volumes at least, or choose a folder.")
        return reason or TrainingSection.whyNotReady(self)

    def showChoices(self) -> None:
        TrainingSection.showChoices(self)
        model = None if self._parameterNode is None else self._chosenModel()
        self.modelLabel.text = _("None") if model is None else model.name

    def startTraining(self, name: str, **run):
        return shrink_installed_model(self.source, model=self._chosenModel().card.id, name=name,
                                      config=self.readConfig(ShrinkConfig), **run)

    def resultText(self, report: dict) -> str:
        return " ".join([report["reading"], *report["warnings"], _("The table '{name}' has each figure.").format(
            name=self._table.GetName())])

    def onPanelChanged(self) -> None:
        """Something else is chosen in the panel."""
        self.update()

    def close(self) -> None:
        """Stop the run, and hold neither widgets nor the panel any more."""
        TrainingSection.close(self)
        self._chosenModel = None

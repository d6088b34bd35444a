"""The section *Train a classifier* of the segmentation panel."""

from slicer.i18n import tr as _

from meddl.training.config import ClassifierTrainConfig
from meddl_slicer.sections.classification import verb
from meddl_slicer.sections.classification.classes import ATTRIBUTE, folders_with_classes
from meddl_slicer.sections.training.curve import PROBABILITY
from meddl_slicer.sections.training.training_section import TrainingSection


class TrainClassifierSection(TrainingSection):
    """Trains a classifier on volumes whose classes the subject hierarchy names, or on a folder on disk."""

    sectionName, sectionTitle = "MedDL.TrainClassifier", _("Train a classifier")
    runTip = _("Train a classifier; it is in the section Classify afterwards")
    configClass = ClassifierTrainConfig
    shownFields = ("minutes", "network", "start", "license", "leave_out")
    score = PROBABILITY
    figuresText = _("Step {step}: loss {loss:.3f}, probability of the true class {score:.3f}, best {best:.3f}.")
    dataTip = _("Volumes of two classes at least: the class is an attribute of their items or nodes, else the folder "
                "of the subject hierarchy in which they lie; or a folder on disk with a folder for each class")
    folderTip = _("Choose a folder on disk with a folder for each class")

    def addLineEdits(self) -> None:
        self._lineEdits["attribute"] = self._lineEdit("attribute", _("Class attribute:"), _(
            "Name of the attribute of items of the subject hierarchy, or of nodes, that names the class; where none "
            "has it, the class is the folder's name. If empty: {attribute}").format(attribute=ATTRIBUTE))

    @property
    def attribute(self) -> str:
        """The attribute that names the class."""
        return self.readText("attribute").strip() or ATTRIBUTE

    def findData(self) -> list[tuple[str, int]]:
        return [(_("{name} ({volumes} volumes, {classes} classes)").format(**one._asdict()), one.item)
                for one in folders_with_classes(self.attribute)]

    def showChoices(self) -> None:
        TrainingSection.showChoices(self)
        self._lineEdits["attribute"].enabled = not self.readText("folder")

    def whyNotReady(self) -> str | None:
        if self.source is None:
            return _("Put the volumes of each class into a folder, or choose a folder on disk.")
        return TrainingSection.whyNotReady(self)

    def startTraining(self, name: str, **run):
        return verb.train_classifier_model(self.source, name=name, config=self.readConfig(ClassifierTrainConfig),
                                           attribute=self.attribute, **run)

    def resultText(self, report: dict) -> str:
        value, (low, high) = report["accuracy"]
        return " ".join([_("Accuracy {value:.2f} (95 % interval {low:.2f} to {high:.2f}), cases held out: {count}, of "
                           "{patients} patients.").format(value=value, low=low, high=high, count=report["held_out"],
                                                          patients=report["patients"]),
                         _("Cases learned from: {cases}.").format(cases=report["cases"]), *report["warnings"]])

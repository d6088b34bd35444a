"""The section *Train landmarks* of the segmentation panel."""

from slicer.i18n import tr as _

from meddl.training.config import LandmarkTrainConfig
from meddl_slicer.sections.landmarks import train_verb
from meddl_slicer.sections.landmarks.marks import folders_with_marks
from meddl_slicer.sections.training.curve import ERROR
from meddl_slicer.sections.training.training_section import TrainingSection


class TrainLandmarksSection(TrainingSection):
    """Trains a model of landmarks and boxes on volumes with markups of the scene, or on a folder on disk."""

    sectionName, sectionTitle = "MedDL.TrainLandmarks", _("Train landmarks")
    runTip = _("Train a model of landmarks and boxes; it is in the section Landmarks afterwards")
    configClass = LandmarkTrainConfig
    shownFields = ("minutes", "network", "spacing_mm", "license", "leave_out")
    score = ERROR
    figuresText = _("Step {step}: loss {loss:.3f}, mean error {score:.2f} mm, best {best:.2f} mm.")
    dataTip = _("Volumes with point lists and ROIs: markups belong to the only volume of their folder, else to the one "
                "with whose name theirs begins. Equal names of points, and of ROIs, mean the same in all volumes. Or a "
                "folder on disk with volumes and markups")
    folderTip = _("Choose a folder on disk with the folders images and points, or with volumes and markups in it")

    def findData(self) -> list[tuple[str, int]]:
        return [(_("{name} ({volumes} volumes with markups)").format(**one._asdict()), one.item)
                for one in folders_with_marks()]

    def whyNotReady(self) -> str | None:
        if self.source is None:
            return _("Put each volume and its markups into a folder, or choose a folder on disk.")
        return TrainingSection.whyNotReady(self)

    def onFigures(self, figures: dict) -> None:
        TrainingSection.onFigures(self, figures | {name: -figures[name] for name in ("score", "best")})

    def startTraining(self, name: str, **run):
        return train_verb.train_landmark_model(self.source, name=name, config=self.readConfig(LandmarkTrainConfig),
                                               **run)

    def resultText(self, report: dict) -> str:
        return " ".join([_("Error on average {mean_mm:.2f} mm, 95 % below {p95_mm:.2f} mm.").format(**report["error"]),
                         _("Cases held out: {held_out}, learned from: {cases}.").format(**report),
                         *report["warnings"]])

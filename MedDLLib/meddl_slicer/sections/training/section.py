"""The section *Train* of the segmentation panel: a model of one's own from segments of the scene or from a folder."""

from dataclasses import replace

import slicer
from slicer.i18n import tr as _

from meddl.training.config import TrainConfig
from meddl_slicer.runs import verbs
from meddl_slicer.sections.painting import registration as painting
from meddl_slicer.sections.section import Section
from meddl_slicer.sections.training import rest, verb
from meddl_slicer.sections.training.compression.section import SmallerModelSection
from meddl_slicer.sections.training.curve import DICE
from meddl_slicer.sections.training.training_section import TrainingSection

TRAIN, REST, TRAIN_ON = "train", "rest", "train on"  # runs


class TrainSection(TrainingSection):
    """Trains a segmentation model; then predicts the rest of the volumes, opens the least certain for correction, and
    trains on: active learning.

    Args:
        panel, after, onTrained: as of `TrainingSection`.
        volume: gives the volume to paint in.
        chosenModel: as of `SmallerModelSection`, which stands below.
    """

    configClass = TrainConfig
    shownFields = ("minutes", "network", "start", "license", "painted_slices", "leave_out")
    score = DICE
    figuresText = _("Step {step}: loss {loss:.3f}, validation Dice {score:.3f}, best {best:.3f}.")
    dataTip = _("Volumes with segmentations over them, or of their names: below a folder of the subject hierarchy, in "
                "the whole scene, or in a folder on disk")
    folderTip = _("Choose the folder of a data set: images and labels, nnU-Net, BIDS, Medical Segmentation Decathlon")

    def __init__(self, panel, after, onTrained, volume, chosenModel):
        self.smaller = SmallerModelSection(panel, after, onTrained, chosenModel)
        self._volume, self._kind, self._restTable = volume, TRAIN, None
        super().__init__(panel, after, onTrained)

    def addFirstRows(self) -> None:
        self.paintButton = self._button("Paint", _("Paint and predict"), _(
            "Paint a few slices of the volume in the Segment Editor and find the rest; what is applied there is a case "
            "to learn from"), self.onPaint)
        self.form.addRow(self.paintButton)

    def addLineEdits(self) -> None:
        self._lineEdits["structures"] = self._lineEdit("structures", _("Structures:"), _(
            "Names of the segments to learn, separated by commas; all if empty"))

    def makeLastButtons(self) -> tuple:
        self.restButton = self._button("Rest", _("Predict the rest"), _(
            "Segment the volumes that have no segments yet with the trained model"), lambda *_: self._begin(REST))
        self.openButton = self._button("Open", _("Open the least certain"), _(
            "Open the prediction with the lowest confidence in the Segment Editor; corrected, it is a case to learn "
            "from"), self.onOpen)
        self.onButton = self._button("On", _("Train on"), _(
            "Go on from the trained model with the corrected cases; the same cases stay held out"),
            lambda *_: self._begin(TRAIN_ON))
        return self.restButton, self.openButton, self.onButton

    def findData(self) -> list[tuple[str, int]]:
        return [(_("{name} ({count} cases)").format(name=name, count=count), item)
                for name, item, count in verb.folders_with_pairs()]

    def showChoices(self) -> None:
        TrainingSection.showChoices(self)
        self._lineEdits["structures"].enabled = not self.readText("folder")
        self._showRounds()

    def _showRounds(self) -> None:
        """The buttons of active learning, after a first training on nodes of the scene."""
        possible = bool(self.readText("model")) and isinstance(self.source, int)
        for button in (self.restButton, self.openButton, self.onButton):
            button.visible = possible
        if possible:
            idle = not self.run.running
            self.restButton.enabled = idle and bool(rest.rest_below(self.source))
            self.openButton.enabled = idle and bool(rest.predictions())
            self.onButton.enabled = idle

    def whyNotReady(self) -> str | None:
        if self.source is None:
            return _("Paint segments in two volumes at least, or choose a folder.")
        return TrainingSection.whyNotReady(self)

    def onRunButton(self, checked: bool = False) -> None:
        """Train, or stop the run in progress."""
        self._begin(TRAIN)

    def _begin(self, kind: str) -> None:
        if not self.run.running:
            self._kind = kind
        Section.onRunButton(self)
        self.update()

    def startRun(self, onProgress, onDone):
        if self._kind == REST:
            return rest.predict_rest(self.source, self.readText("model"), tableNode=self._restTable, wait=False,
                                     onProgress=onProgress, onDone=onDone)
        return TrainingSection.startRun(self, onProgress, onDone)

    def startTraining(self, name: str, **run):
        config = self.readConfig(TrainConfig)
        if self._kind == TRAIN_ON:
            config = replace(config, start=None, continue_from=self.readText("model"))
        structures = tuple(one.strip() for one in self.readText("structures").split(",") if one.strip())
        return verb.train_model(self.source, name=name, config=config, structures=structures, **run)

    def onPaint(self, checked: bool = False) -> None:
        """Paint in the chosen volume."""
        with slicer.util.tryWithErrorDisplay(_("The Segment Editor could not be opened.")):
            painting.paint(self._volume())

    def onOpen(self, checked: bool = False) -> None:
        """Correct the least certain prediction."""
        with slicer.util.tryWithErrorDisplay(_("The prediction could not be opened in the Segment Editor.")):
            node = rest.open_least_certain()
            self._say(_("Correct '{name}', then open the next one or train on.").format(name=node.GetName()))
        self.update()

    def showResult(self, node) -> None:
        if self._kind == REST:
            report, self._restTable = verbs.report_of(node), node
            self._say(" ".join([_("Least certain first: {names}.").format(names=", ".join(report["predicted"])),
                                *report["warnings"]]))
            return
        TrainingSection.showResult(self, node)

    def resultText(self, report: dict) -> str:
        dice = report.get("mean_dice")
        return " ".join([_("Cases learned from: {cases}.").format(cases=report["cases"]),
                         "" if dice is None else _("Mean Dice {dice:.3f}, cases held out: {count}.").format(
                             dice=dice, count=len(report["held_out"])),
                         _rounds_text(report["rounds"]), *report["warnings"]])

    def clear(self) -> None:
        TrainingSection.clear(self)
        self._restTable = None

    def onPanelChanged(self) -> None:
        """Something else is chosen in the panel."""
        self.smaller.onPanelChanged()

    def setParameterNode(self, parameterNode) -> None:
        self.smaller.setParameterNode(parameterNode)
        TrainingSection.setParameterNode(self, parameterNode)

    def close(self) -> None:
        """Stop the runs and touch the widgets no more."""
        self.smaller.close()
        TrainingSection.close(self)


def _rounds_text(rounds: list[dict]) -> str:
    """The Dice of each round, where there were several."""
    if len(rounds) < 2:
        return ""
    return _("Dice by round: {rounds}.").format(rounds=", ".join(
        _("{dice:.3f} ({cases} cases)").format(**one) for one in rounds))

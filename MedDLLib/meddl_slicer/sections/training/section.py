"""The section *Train* of the segmentation panel: a model of one's own from segments of the scene or from a folder."""

from dataclasses import replace

import qt
import slicer
from slicer.i18n import tr as _

from meddl.training.config import TrainConfig
from meddl_slicer.panels.config_form import ConfigForm
from meddl_slicer.runs import verbs
from meddl_slicer.sections.comparison.plots import show_chart
from meddl_slicer.sections.painting import registration as painting
from meddl_slicer.sections.section import Section
from meddl_slicer.sections.training import rest, verb

TRAIN, REST, TRAIN_ON = "train", "rest", "train on"  # runs
_SHOWN = ("minutes", "network", "start", "license", "painted_slices", "leave_out")


class TrainSection(Section):
    """Trains a model, shows its curve while it runs, and hands it to the list of models. Then it predicts the rest of
    the volumes, opens the least certain for correction, and trains on: active learning.

    Args:
        panel, after: as of `Section`.
        onTrained: called with the identifier of the new model.
        volume: gives the volume to paint in.
    """

    def __init__(self, panel, after, onTrained, volume):
        super().__init__(panel, after, "MedDL.Train", _("Train"))
        self._onTrained, self._task, self._table, self._rows = onTrained, None, None, []
        self._items: list[int] = []
        self._volume, self._kind, self._restTable = volume, TRAIN, None
        self.paintButton = self._button("Paint", _("Paint and predict"), _(
            "Paint a few slices of the volume in the Segment Editor and find the rest; what is applied there is a case "
            "to learn from"), self.onPaint)
        self.form.addRow(self.paintButton)
        self.dataComboBox, self.folderButton = qt.QComboBox(), qt.QPushButton(_("Folder..."))
        self.dataComboBox.objectName, self.folderButton.objectName = "trainDataComboBox", "trainFolderButton"
        self.dataComboBox.toolTip = _("Volumes with segmentations over them, or of their names: below a folder of the "
                                      "subject hierarchy, in the whole scene, or in a folder on disk")
        self.folderButton.toolTip = _("Choose the folder of a data set: images and labels, nnU-Net, BIDS, Medical "
                                      "Segmentation Decathlon")
        self.dataComboBox.connect("activated(int)", lambda row: self._onData())
        self.folderButton.connect("clicked(bool)", self.onFolder)
        row = qt.QHBoxLayout()
        row.addWidget(self.dataComboBox)
        row.addWidget(self.folderButton)
        self.form.addRow(_("Data:"), row)
        self.structuresLineEdit, self.nameLineEdit = (self._lineEdit(*texts) for texts in (
            ("structures", _("Structures:"), _("Names of the segments to learn, separated by commas; all if empty")),
            ("name", _("Name:"), _("What the model is called in the list"))))
        self._config = ConfigForm(TrainConfig, self.onOptionsChanged)
        self._config.addRows(self.form, _SHOWN)
        self.addRun(_("Train"), _("Train a model; it is in the list of models afterwards"))
        self.stopButton = self._button("Stop", _("Stop and keep the best"), _(
            "End the training and keep the weights with the best validation Dice so far"), self.onStop)
        self.plotButton = self._button("Plot", _("Show curve"), _(
            "Show loss and validation Dice by step in a plot view"), self.onPlot)
        self.restButton = self._button("Rest", _("Predict the rest"), _(
            "Segment the volumes that have no segments yet with the trained model"), lambda *_: self._begin(REST))
        self.openButton = self._button("Open", _("Open the least certain"), _(
            "Open the prediction with the lowest confidence in the Segment Editor; corrected, it is a case to learn "
            "from"), self.onOpen)
        self.onButton = self._button("On", _("Train on"), _(
            "Go on from the trained model with the corrected cases; the same cases stay held out"),
            lambda *_: self._begin(TRAIN_ON))
        self.resultLabel = qt.QLabel()
        self.resultLabel.wordWrap = True
        for widget in (self.stopButton, self.plotButton, self.resultLabel, self.restButton, self.openButton,
                       self.onButton):
            self.box.addWidget(widget)
            widget.visible = False
        self.button.connect("contentsCollapsed(bool)", lambda collapsed: self.update())

    @property
    def source(self) -> int | str | None:
        """The chosen data: an item of the subject hierarchy, or a folder on disk."""
        folder = self.readText("folder")
        if folder:
            return folder
        row = self.dataComboBox.currentIndex
        return self._items[row] if 0 <= row < len(self._items) else None

    def showChoices(self) -> None:
        folder, item = self.readText("folder"), self.readText("item")
        found = [] if self.button.collapsed else verb.folders_with_pairs()
        self._items = [one for _name, one, _count in found]
        self.dataComboBox.clear()
        for name, _item, count in found:
            self.dataComboBox.addItem(_("{name} ({count} cases)").format(name=name, count=count))
        if folder:
            self.dataComboBox.addItem(folder)
            self.dataComboBox.setCurrentIndex(len(found))
        elif item.isdecimal() and int(item) in self._items:
            self.dataComboBox.setCurrentIndex(self._items.index(int(item)))
        self.structuresLineEdit.enabled = not folder
        for edit, key in ((self.structuresLineEdit, "structures"), (self.nameLineEdit, "name")):
            edit.text = self.readText(key)
        self._config.setConfig(self.readConfig(TrainConfig))
        self.plotButton.visible = self._table is not None
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
        return None if self.readText("name").strip() else _("Give the model a name.")

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
        self._rows, self._table = [], None
        self.resultLabel.visible = False
        config = self.readConfig(TrainConfig)
        if self._kind == TRAIN_ON:
            config = replace(config, start=None, continue_from=self.readText("model"))
        names = tuple(one.strip() for one in self.readText("structures").split(",") if one.strip())
        self._task = verb.train_model(self.source, name=self.readText("name").strip(), config=config,
                                      structures=names, wait=False, onProgress=onProgress, onDone=self._finish(onDone),
                                      onPreview=self.onFigures)
        self.stopButton.visible = self.stopButton.enabled = True
        return self._task

    def onFigures(self, figures: dict) -> None:
        """A validation is over: the curve goes on."""
        self._rows.append(figures)
        self._table = verb.fill_curve(self._rows, _("{name} training").format(name=self.readText("name")), self._table)
        self.plotButton.visible = True
        self._say(_("Step {step}: loss {loss:.3f}, validation Dice {score:.3f}, best {best:.3f}.").format(**figures))

    def onStop(self, checked: bool = False) -> None:
        """End the training with what it has."""
        if self._task is not None:
            self._task.stop_early()
            self.stopButton.enabled = False

    def onPlot(self, checked: bool = False) -> None:
        """Show the curve."""
        with slicer.util.tryWithErrorDisplay(_("The plot could not be shown.")):
            show_chart(self._table.GetNodeReference(verb.CHART_ROLE))

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

    def onFolder(self, checked: bool = False) -> None:
        """Ask for the folder of a data set."""
        path = str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Choose a data set")) or "")
        if path:
            self.keep("folder", path)
            self.update()

    def onOptionsChanged(self) -> None:
        """The user has changed an option."""
        self.keepConfig(self._config.config)

    def showResult(self, node) -> None:
        report = verbs.report_of(node)
        if self._kind == REST:
            self._restTable = node
            self._say(" ".join([_("Least certain first: {names}.").format(names=", ".join(report["predicted"])),
                                *report["warnings"]]))
            return
        if self._table is not None and self._table is not node and slicer.mrmlScene.IsNodePresent(self._table):
            verb.remove_curve(self._table)
        self._table = node
        dice = report.get("mean_dice")
        self._say(" ".join([_("Learned from {cases} cases.").format(cases=report["cases"]),
                            "" if dice is None else _("Mean Dice {dice:.3f} on {count} others.").format(
                                dice=dice, count=len(report["held_out"])),
                            _rounds_text(report["rounds"]), *report["warnings"]]))
        self.keep("model", report["model"])
        self._onTrained(report["model"])

    def clear(self) -> None:
        self._table, self._restTable, self._rows = None, None, []
        self.resultLabel.visible = self.plotButton.visible = False

    def _finish(self, onDone):
        def finish(task):
            self._task = None
            if self.run is not None:
                self.stopButton.visible = False
                if task.state != "done" and self._table is not None and slicer.mrmlScene.IsNodePresent(self._table):
                    verb.remove_curve(self._table)
                    self._table = None
                    self.plotButton.visible = False
            onDone(task)
        return finish

    def _say(self, text: str) -> None:
        self.resultLabel.text = text
        self.resultLabel.visible = True

    def _onData(self) -> None:
        row = self.dataComboBox.currentIndex
        if row < len(self._items):
            self.keep("folder", "")
            self.keep("item", str(self._items[row]))
        self.update()

    def _button(self, name: str, text: str, tip: str, onClicked):
        button = qt.QPushButton(text)
        button.objectName, button.toolTip = f"train{name}Button", tip
        button.connect("clicked(bool)", onClicked)
        return button

    def _lineEdit(self, key: str, label: str, tip: str):
        edit = qt.QLineEdit()
        edit.objectName, edit.toolTip = f"train{key.capitalize()}LineEdit", tip
        edit.connect("editingFinished()", lambda: self._onText(key, edit))
        self.form.addRow(label, edit)
        return edit

    def _onText(self, key: str, edit) -> None:
        if edit.text != self.readText(key):
            self.keep(key, edit.text)
            self.update()


def _rounds_text(rounds: list[dict]) -> str:
    """The Dice of each round, where there were several."""
    if len(rounds) < 2:
        return ""
    return _("Dice by round: {rounds}.").format(rounds=", ".join(
        _("{dice:.3f} ({cases} cases)").format(**one) for one in rounds))

"""What the sections *Train* of the panels share: the data, the run with its curve, and the model that it gives."""

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.panels.config_form import ConfigForm
from meddl_slicer.runs import verbs
from meddl_slicer.sections.comparison.plots import show_chart
from meddl_slicer.sections.section import Section
from meddl_slicer.sections.training.curve import CHART_ROLE, fill_curve, remove_curve


class TrainingSection(Section):
    """Trains a model, shows its curve while it runs, and hands it to the list of models.

    Args:
        panel, after: as of `Section`.
        onTrained: called with the identifier of the new model.
    """

    sectionName, sectionTitle = "MedDL.Train", _("Train")
    runText = _("Train")
    runTip = _("Train a model; it is in the list of models afterwards")
    configClass: type      # of the training
    shownFields: tuple     # of it, as rows
    score: str             # what a validation measures, as a column's title
    figuresText: str       # of a validation, with the fields of `TrainingFigures`
    dataTip: str
    folderTip: str

    def __init__(self, panel, after, onTrained):
        super().__init__(panel, after, self.sectionName, self.sectionTitle)
        self._onTrained, self._task, self._table, self._rows = onTrained, None, None, []
        self._items: list[int] = []
        self._lineEdits: dict[str, Any] = {}
        self.addFirstRows()
        self._addDataRow()
        self.addLineEdits()
        self._lineEdits["name"] = self._lineEdit("name", _("Name:"), _("What the model is called in the list"))
        self._config: Any = ConfigForm(self.configClass, self.onOptionsChanged)
        self.addConfigRows()
        self.addRun(self.runText, self.runTip)
        self.stopButton = self._button("Stop", _("Stop and keep the best"), _(
            "End the training and keep the best weights of its validations so far"), self.onStop)
        self.plotButton = self._button("Plot", _("Show curve"), _(
            "Show loss and validation by step in a plot view"), self.onPlot)
        self.resultLabel = qt.QLabel()
        self.resultLabel.wordWrap = True
        for widget in (self.stopButton, self.plotButton, self.resultLabel, *self.makeLastButtons()):
            self.box.addWidget(widget)
            widget.visible = False
        self.button.connect("contentsCollapsed(bool)", lambda collapsed: self.update())

    def addFirstRows(self) -> None:
        """Rows before the data."""

    def addLineEdits(self) -> None:
        """Rows between the data and the name."""

    def addConfigRows(self) -> None:
        """Rows of the configuration."""
        self._config.addRows(self.form, self.shownFields)

    def makeLastButtons(self) -> tuple:
        """Widgets at the end, hidden at first."""
        return ()

    def findData(self) -> list[tuple[str, int]]:
        """(text, item of the subject hierarchy) of what can be learned from in the scene."""
        raise NotImplementedError

    def startTraining(self, name: str, **run):
        """Start the training; returns its Task."""
        raise NotImplementedError

    def resultText(self, report: dict) -> str:
        """What a training's report says, in a sentence or two."""
        raise NotImplementedError

    @property
    def _prefix(self) -> str:
        """How the names of the widgets begin."""
        name = self.sectionName.rpartition(".")[2]
        return name[0].lower() + name[1:]

    @property
    def nameLineEdit(self):
        return self._lineEdits["name"]

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
        found = [] if self.button.collapsed else self.findData()
        self._items = [one for _text, one in found]
        self.dataComboBox.clear()
        for text, _item in found:
            self.dataComboBox.addItem(text)
        if folder:
            self.dataComboBox.addItem(folder)
            self.dataComboBox.setCurrentIndex(len(found))
        elif item.isdecimal() and int(item) in self._items:
            self.dataComboBox.setCurrentIndex(self._items.index(int(item)))
        for key, edit in self._lineEdits.items():
            edit.text = self.readText(key)
        self._config.setConfig(self.readConfig(self.configClass))
        self._showPlotButton()

    def whyNotReady(self) -> str | None:
        return None if self.readText("name").strip() else _("Give the model a name.")

    def onRunButton(self, checked: bool = False) -> None:
        """Train, or stop the run in progress."""
        Section.onRunButton(self)
        self.update()

    def startRun(self, onProgress, onDone):
        self._rows, self._table = [], None
        self.resultLabel.visible = False
        self._task = self.startTraining(self.readText("name").strip(), wait=False, onProgress=onProgress,
                                        onDone=self._finish(onDone), onPreview=self.onFigures)
        self.stopButton.visible = self.stopButton.enabled = True
        return self._task

    def onFigures(self, figures: dict) -> None:
        """A validation is over: the curve goes on."""
        self._rows.append(figures)
        self._table = fill_curve(self._rows, self.score, _("{name} training").format(name=self.readText("name")),
                                 self._table)
        self.plotButton.visible = True
        self._say(self.figuresText.format(**figures))

    def onStop(self, checked: bool = False) -> None:
        """End the training with what it has."""
        if self._task is not None:
            self._task.stop_early()
            self.stopButton.enabled = False

    def onPlot(self, checked: bool = False) -> None:
        """Show the curve."""
        with slicer.util.tryWithErrorDisplay(_("The plot could not be shown.")):
            show_chart(self._table.GetNodeReference(CHART_ROLE))

    def onFolder(self, checked: bool = False) -> None:
        """Ask for the folder of a data set."""
        path = str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Choose a data set")) or "")
        if path:
            self.keep("folder", path)
            self.update()

    def onOptionsChanged(self) -> None:
        """The user has changed an option."""
        self.keepConfig(self._config.config)
        self.update()

    def showResult(self, node) -> None:
        report = verbs.report_of(node)
        if self._table is not None and self._table is not node and slicer.mrmlScene.IsNodePresent(self._table):
            remove_curve(self._table)
        self._table = node
        self._showPlotButton()
        self._say(self.resultText(report))
        if report["model"] is not None:
            self.keep("model", report["model"])
            self._onTrained(report["model"])

    def clear(self) -> None:
        self._table, self._rows = None, []
        self.resultLabel.visible = self.plotButton.visible = False

    def _finish(self, onDone):
        def finish(task):
            self._task = None
            if self.run is not None:
                self.stopButton.visible = False
                if task.state != "done" and self._table is not None and slicer.mrmlScene.IsNodePresent(self._table):
                    remove_curve(self._table)
                    self._table = None
                    self.plotButton.visible = False
            onDone(task)
        return finish

    def _showPlotButton(self) -> None:
        """Where there is a curve."""
        self.plotButton.visible = self._table is not None and self._table.GetNodeReference(CHART_ROLE) is not None

    def _say(self, text: str) -> None:
        self.resultLabel.text = text
        self.resultLabel.visible = True

    def _onData(self) -> None:
        row = self.dataComboBox.currentIndex
        if row < len(self._items):
            self.keep("folder", "")
            self.keep("item", str(self._items[row]))
        self.update()

    def _addDataRow(self) -> None:
        self.dataComboBox, self.folderButton = qt.QComboBox(), qt.QPushButton(_("Folder..."))
        self.dataComboBox.objectName, self.folderButton.objectName = (
            f"{self._prefix}DataComboBox", f"{self._prefix}FolderButton")
        self.dataComboBox.toolTip, self.folderButton.toolTip = self.dataTip, self.folderTip
        self.dataComboBox.connect("activated(int)", lambda row: self._onData())
        self.folderButton.connect("clicked(bool)", self.onFolder)
        column = qt.QVBoxLayout()  # side by side, a narrow panel has no room for the text
        column.addWidget(self.dataComboBox)
        column.addWidget(self.folderButton)
        self.form.addRow(_("Data:"), column)

    def _button(self, name: str, text: str, tip: str, onClicked):
        button = qt.QPushButton(text)
        button.objectName, button.toolTip = f"{self._prefix}{name}Button", tip
        button.connect("clicked(bool)", onClicked)
        return button

    def _lineEdit(self, key: str, label: str, tip: str):
        edit = qt.QLineEdit()
        edit.objectName, edit.toolTip = f"{self._prefix}{key.capitalize()}LineEdit", tip
        edit.connect("editingFinished()", lambda: self._onText(key, edit))
        self.form.addRow(label, edit)
        return edit

    def _onText(self, key: str, edit) -> None:
        if edit.text != self.readText(key):
            self.keep(key, edit.text)
            self.update()

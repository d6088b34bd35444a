"""What the sections of the panels share: a collapsed button with selectors, a run of its own, kept choices."""

from types import SimpleNamespace

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.panels.banner import Banner
from meddl_slicer.panels.config_form import config_from_text, config_to_text
from meddl_slicer.panels.inputs.selectors import make_selector
from meddl_slicer.panels.widgets import RunPanel
from meddl_slicer.runs import verbs
from meddl_slicer.runs.packages import dependencies

VOLUMES = ("vtkMRMLScalarVolumeNode",)
LABELS = ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")
TRANSFORMS = ("vtkMRMLTransformNode", "vtkMRMLLinearTransformNode", "vtkMRMLBSplineTransformNode",
              "vtkMRMLGridTransformNode")
LANDMARKS = ("vtkMRMLMarkupsFiducialNode",)


class Section:
    """A section at the end of a module's panel, closed at first. A subclass fills `form`, then calls `addRun`.

    What is chosen is kept with the module's parameter node: node references and attributes whose names start with
    `name`.

    Args:
        panel: the widget of the .ui file, with a QVBoxLayout.
        after: the widget below which the section stands.
        name: such as "MedDL.Compare".
        title: on its button.
    """

    def __init__(self, panel, after, name: str, title: str):
        self.name = name
        self.button = ctk.ctkCollapsibleButton()
        self.button.objectName = f"{name.rpartition('.')[2].lower()}SectionButton"
        self.button.text = title
        self.button.collapsed = True
        panel.layout().insertWidget(panel.layout().indexOf(after) + 1, self.button)
        self.box = qt.QVBoxLayout(self.button)
        self.form = qt.QFormLayout()
        self.box.addLayout(self.form)
        self.run = None
        self.ui = None
        self._selectors, self._labels, self._shown = {}, {}, set()
        self._parameterNode = None
        self._updating = False

    def whyNotReady(self) -> str | None:
        """Why the run cannot start; None where it can."""
        raise NotImplementedError

    def startRun(self, onProgress, onDone):
        """Start the run; returns its Task."""
        raise NotImplementedError

    def showResult(self, node) -> None:
        """Show the node that a complete run has made."""

    def estimateName(self) -> str:
        """Under which name the time and memory of a run are learned; "": nothing is estimated."""
        return ""

    def guess(self):
        """A function that gives seconds and MB as they are counted for what is chosen now; None: not known."""
        return lambda: None

    def statusLine(self) -> str:
        """What a run will take, before it."""
        return ""

    def showChoices(self) -> None:
        """Show what no selector does, after a choice or another scene."""

    def clear(self) -> None:
        """Hold no node any more: the scene closes."""

    def addSelector(self, key: str, label: str, nodeTypes, tip: str, none: str):
        """A row with a node selector, whose choice is kept as the node reference `key`."""
        selector = make_selector(f"{key}Selector", tip, lambda node: self._onChosen(key, node), nodeTypes, none)
        self._selectors[key], self._labels[key] = selector, qt.QLabel(label)
        self._shown.add(key)
        self.form.addRow(self._labels[key], selector)
        return selector

    def addRun(self, text: str, tip: str) -> None:
        """The button that starts the run, with progress and the stage in words under it."""
        self._tip = tip
        self.ui = SimpleNamespace(applyButton=qt.QPushButton(), progressBar=qt.QProgressBar(), stageLabel=qt.QLabel(),
                                  statusLabel=qt.QLabel())
        self.ui.applyButton.objectName = f"{self.button.objectName}Run"
        self.ui.statusLabel.objectName = f"{self.button.objectName}Status"
        self.ui.stageLabel.wordWrap = self.ui.statusLabel.wordWrap = True
        self.ui.statusLabel.visible = False
        for widget in (self.ui.applyButton, self.ui.progressBar, self.ui.stageLabel, self.ui.statusLabel):
            self.box.addWidget(widget)
        self.run = RunPanel(self.ui, self._onFinished, self.update, text=text)
        self.ui.applyButton.connect("clicked(bool)", self.onRunButton)

    def addReading(self) -> None:
        """What a result says in words, below its warnings in a banner; nothing is there until `read`."""
        self.banner = Banner(self.box)
        self.readingLabel = qt.QLabel()
        self.readingLabel.objectName = f"{self.button.objectName.removesuffix('SectionButton')}ReadingLabel"
        self.readingLabel.wordWrap = True
        self.readingLabel.visible = False
        self.box.addWidget(self.readingLabel)

    def read(self, node=None, *figures: str) -> None:
        """Show what the report of a result node says, with more sentences behind it; None: show nothing."""
        report = {} if node is None else verbs.report_of(node)
        text = " ".join(filter(None, (report.get("reading"), *figures)))
        self.readingLabel.text, self.readingLabel.visible = text, bool(text)
        self.banner.show("run", "" if node is None else _("Warnings of the last run, '{name}'").format(
            name=node.GetName()), report.get("warnings", ()))

    def node(self, key: str):
        """The node that is chosen; None for none, or where its row is hidden."""
        return self._selectors[key].currentNode() if key in self._shown else None

    def showRows(self, keys) -> None:
        """Show the selectors of these keys alone."""
        self._shown = set(keys)
        for key, selector in self._selectors.items():
            selector.visible = self._labels[key].visible = key in self._shown

    def keep(self, key: str, value: str) -> None:
        """Keep a text with the parameter node."""
        if self._parameterNode is not None:
            self._parameterNode.SetAttribute(f"{self.name}.{key}", value)

    def readText(self, key: str) -> str:
        """A text that was kept; "" for none."""
        return "" if self._parameterNode is None else self._parameterNode.GetAttribute(f"{self.name}.{key}") or ""

    def keepConfig(self, config) -> None:
        """Keep what of a config differs from its defaults."""
        self.keep("options", config_to_text(config))

    def readConfig(self, configClass: type):
        """The config that was kept."""
        return config_from_text(configClass, self.readText("options"))

    def setParameterNode(self, parameterNode) -> None:
        """Show and keep the choices of this node of the module, a vtkMRMLScriptedModuleNode; None lets go of it."""
        if parameterNode is None:
            self.clear()
        self._parameterNode = parameterNode
        self._updating = True
        try:
            for key, selector in self._selectors.items():
                selector.setCurrentNode(None if parameterNode is None else
                                        parameterNode.GetNodeReference(f"{self.name}.{key}"))
        finally:
            self._updating = False
        self.update()

    def update(self) -> None:
        """Show the choices, and whether the run can start."""
        if self.run is None:
            return
        self.showChoices()
        reason = _("There is no scene.") if self._parameterNode is None else self.whyNotReady()
        self.run.setReason(reason, self._tip)
        self.run.setStatus("" if reason else self.statusLine())
        self.ui.statusLabel.visible = bool(self.ui.statusLabel.text)

    def onRunButton(self, checked: bool = False) -> None:
        """Start the run, or stop the one in progress."""
        if self.run.running:
            self.run.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The run could not be started.")):
            dependencies.ensure()  # asks, so no wait cursor before
            with slicer.util.tryWithErrorDisplay(show=False, waitCursor=True):
                self.run.start(self.startRun, self.estimateName(), self.guess())

    def close(self) -> None:
        """Stop the run and touch the widgets no more."""
        run, self.run = self.run, None
        if run is not None:
            run.close()

    def _onFinished(self, node) -> None:
        self.showResult(node)
        self.update()

    def _onChosen(self, key: str, node) -> None:
        if self._updating or self._parameterNode is None or slicer.mrmlScene.IsClosing():
            return
        self._parameterNode.SetNodeReferenceID(f"{self.name}.{key}", None if node is None else node.GetID())
        self.update()

"""What the panels of the three modules have in common: parameter node, scene events, one run at a time."""

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from meddl_slicer.mrml.nodes import is_plain_volume, why_not_usable
from meddl_slicer.panels.banner import Banner
from meddl_slicer.panels.inputs.expected_runs import ExpectedRuns
from meddl_slicer.panels.inputs.new_volumes import NewVolumes
from meddl_slicer.panels.inputs.volume_doubts import VolumeDoubts, doubt_title
from meddl_slicer.panels.made_outputs import MadeOutputs
from meddl_slicer.panels.options import show_in_words
from meddl_slicer.panels.views.fitted import fit_text
from meddl_slicer.panels.views.results_table import ResultsTable
from meddl_slicer.panels.widgets import RunPanel, make_placeholders_readable, show_name_in_tooltip, status_text
from meddl_slicer.runs import estimates, tasks, verbs
from meddl_slicer.runs.many_volumes import volumes_below
from meddl_slicer.runs.packages import dependencies

_LAST_RUN = "last run"  # the banner's section of its warnings
_IN_WORDS = "deviceComboBox", "modalityComboBox"  # filled with the values of their parameters


class ModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """A panel over a .ui file: inputs, applyButton, progressBar, stageLabel, statusLabel, resultsCollapsibleButton.

    A module's widget gives `verb`, `inputNames` (parameters that hold volumes), `outputNames` (parameters that hold
    results) and overrides `createLogic`, `startRun` and `showResult`, and where it needs to `setupPanel`,
    `whyNotReady`, `statusLine`, `estimateName`, `makePreview` and `letGoOfNodes`.

    A result becomes the chosen output, so that the next Apply renews it; with another input or another kind of run
    the outputs go back to "create new", so that no result of another volume or method is lost.
    """

    verb = ""
    inputNames = ("inputVolume",)
    outputNames = ()
    readyTip = ""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.run = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._preview = None
        self._uiWidget = None
        self._parts = []
        self._namesInTooltips = []
        self._scope = None
        self._isSetUp = False
        self._doubts = VolumeDoubts(self._onParametersModified)
        self._newVolumes = NewVolumes(self._onVolumeLoaded)

    def createLogic(self):
        """The module's logic."""
        raise NotImplementedError

    def setupPanel(self) -> None:
        """More widgets and connections, after the .ui file is loaded; what has to be closed: `closeWithPanel`."""

    def closeWithPanel(self, part):
        """Close `part` when the panel goes, stop it, if it can be stopped, when the panel is left, hand it the
        parameter node, if it takes that, and call it at each change in the panel, if it listens; returns it."""
        self._parts.append(part)
        return part

    def startRun(self, onProgress, onDone):
        """Start a run with the chosen parameters; returns its Task."""
        raise NotImplementedError

    def outputsOf(self, node) -> dict:
        """The result nodes of a run whose result is `node`, by the name of their parameter."""
        return {self.outputNames[0]: node}

    def showResult(self, node) -> None:
        """Show the result node of a complete run."""

    def showTable(self, node) -> bool:
        """Show the result of a run on several volumes, its table, instead of the report of one; returns whether the
        node is such a table."""
        ui, many = self.ui, node.IsA("vtkMRMLTableNode")
        ui.resultsTable.visible, ui.reportBrowser.visible = many, not many
        self.beforeAfter.setVisible(not many)
        if many:
            self.beforeAfter.clear()
            self._scope.showResult(node, ResultsTable(ui.resultsTable))
        ui.resultsCollapsibleButton.visible = True
        return many

    def letGoOfNodes(self) -> None:
        """Hold no node any more: the scene closes, or the panel goes."""

    def whyNotReady(self) -> str | None:
        """Why Apply cannot be pressed, None where it can."""
        for name in self.inputNames:
            volume = getattr(self._parameterNode, name)
            reason = _("Choose a volume.") if volume is None else why_not_usable(volume)
            if reason is not None:
                return reason
        return None

    def whyNotSingle(self) -> str | None:
        """Why what is chosen is no run on one volume or pair, None where it is."""
        if getattr(self, "series", False) or not (self._scope is None or self._scope.single):
            return _("This is for a single volume or pair. Choose one above.")
        return self.whyNotReady()

    def modelOfInputs(self):
        """The catalog entry of the model that runs on the inputs, for a check of them; None: only they are checked."""

    def metadataOf(self, volumeNode):
        """What is known of a volume, for the fit of models: see `VolumeDoubts.metadataOf`."""
        return self._doubts.metadataOf(volumeNode)

    def checkedInputs(self) -> tuple:
        """The names of the inputs whose volumes are looked at before a run."""
        return self.inputNames

    def showParameters(self) -> None:
        """Show the parameters that no widget is bound to."""

    def makePreview(self):
        """What shows the previews of a run: an object with `show(value)` and `close()`; None: nothing does."""

    def onPreview(self, value) -> None:
        """A run has something to show."""
        if self._preview is not None:
            self._preview.show(value)

    def confirm(self) -> bool:
        """Whether the user has agreed to what the run needs, such as the license of a model."""
        return True

    def statusLine(self) -> str:
        """Device, license, expected time and memory, before a run."""
        return status_text(self.estimate())

    def estimateName(self) -> str:
        """Under which name the time and memory of a run are learned, "verb" or "verb:kind"."""
        return self.verb

    def chosenRun(self):
        """Volume nodes, configuration and model (None: none is chosen) of one run as it is chosen now."""
        raise NotImplementedError

    def chosenCount(self) -> int:
        """How many such runs there will be."""
        return 1 if self._scope is None else self._scope.count

    def guess(self):
        """A function that gives seconds and MB as they are counted for what is chosen now; None: not known."""
        nodes, config, model = self.chosenRun()
        one, count = self._expected.of(self.verb, nodes, config, self._parameterNode.device, model), self.chosenCount()

        def of_all():
            found = one()
            return None if found is None else (found[0] * count, found[1])

        return of_all

    def estimate(self):
        """Seconds and MB of what is chosen now, as `estimates.estimate`; None where they are not known."""
        return estimates.estimate(self.estimateName(), None if self.whyNotReady() else self.guess()())

    def origin(self) -> tuple:
        """What a result belongs to: the inputs and the kind of run."""
        alone = self._scope is None or self._scope.single
        return (*self._inputs(), self.estimateName(), *([] if alone else [self._scope.chosen]))

    def setup(self) -> None:
        """Called when the user opens the module the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self._uiWidget = uiWidget
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.createLogic()
        self.banner = Banner(uiWidget.layout(), self.ui.applyButton)
        self.run = RunPanel(self.ui, self._onFinished, self._closePreview)
        self._expected = self.closeWithPanel(ExpectedRuns(self._onParametersModified))
        self.ui.resultsCollapsibleButton.visible = False
        if hasattr(self.ui, "reportBrowser"):
            fit_text(self.ui.reportBrowser)
        self.setupPanel()
        self._namesInTooltips = [*map(show_name_in_tooltip, uiWidget.findChildren("qMRMLNodeComboBox"))]
        self._isSetUp = True
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport, priority=-1.0)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the application closes or the module is reloaded: a run in progress is stopped.

        The widgets go too: a reload would leave them hidden in the panel, and their connections hold this object. After
        a `setup` that failed, what there is of the panel goes.
        """
        parts, self._parts, self._namesInTooltips = self._parts, [], []
        for part in (*parts, self._doubts):
            part.close()
        run, self.run = self.run, None
        if run is not None:
            run.close()
        self._letGoOfScene()
        self._newVolumes.stop()
        self.removeObservers()
        for widget in (self._uiWidget, getattr(self, "reloadCollapsibleButton", None)):
            if widget is not None:
                widget.deleteLater()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        if not self._isSetUp:
            return
        make_placeholders_readable(self._uiWidget)  # the theme may have changed
        for update in self._namesInTooltips:  # in another module nodes may have been renamed
            update()
        self.initializeParameterNode()
        self._newVolumes.start()
        if tasks.may_ask() and not dependencies.missing():  # the worker starts while the user chooses
            estimates.ask_device(self._onParametersModified)
            tasks.warm_up()

    def exit(self) -> None:
        """Called each time the user opens another module."""
        for part in self._parts:
            if hasattr(part, "stop"):
                part.stop()
        self._newVolumes.stop()
        self._letGoOfParameterNode()

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        self._letGoOfScene()
        if not self.run.running:
            self.run.end("")  # how the last run ended is of the scene that goes
        self.ui.resultsCollapsibleButton.visible = False

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event) -> None:
        """Called just after a scene is loaded: only now do the selectors list its nodes, and can show its choices."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Ensure that the parameter node exists and is observed; choose inputs that are not chosen yet."""
        self.setParameterNode(self.logic.getParameterNode())
        self._chooseInputs(_volumes())

    def setParameterNode(self, inputParameterNode) -> None:
        """Set and observe the parameter node; None lets go of it."""
        self._letGoOfParameterNode()
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            for name in _IN_WORDS:
                if hasattr(self.ui, name):
                    show_in_words(getattr(self.ui, name))
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
        self._onParametersModified()
        for part in self._parts:
            if hasattr(part, "setParameterNode"):
                part.setParameterNode(self._parameterNode.parameterNode if self._parameterNode else None)

    def choose(self, **parameters) -> None:
        """Choose parameters in the open panel, as its widgets do: name = value; a run is then about them alone."""
        for name, value in parameters.items():
            setattr(self._parameterNode, name, value)
        if self._scope is not None:
            self._scope.choose(None)

    def chooseFolder(self, itemID: int) -> None:
        """Choose all volumes below an item of the subject hierarchy in the open panel."""
        others = [getattr(self._parameterNode, name) for name in self.inputNames[:-1]]
        volumes = [node for _item, node in volumes_below(itemID, self.verb) if node not in others]
        self.choose(**({self.inputNames[-1]: volumes[0]} if volumes else {}))
        self._scope.choose(itemID)

    def onApplyButton(self, checked: bool = False) -> None:
        """Start a run, or stop the one in progress."""
        if self.run.running:
            self.run.cancel()
            return
        with slicer.util.tryWithErrorDisplay(_("The run could not be started.")):
            if not self.confirm():
                return
            dependencies.ensure()  # asks, so no wait cursor before
            with slicer.util.tryWithErrorDisplay(show=False, waitCursor=True):
                self._preview = self.makePreview()
                self.banner.clear(_LAST_RUN)
                self.run.start(self.startRun, self.estimateName(), self.guess())

    def _closePreview(self) -> None:
        preview, self._preview = self._preview, None
        if preview is not None:
            preview.close()

    def _letGoOfScene(self) -> None:
        self._closePreview()
        self.setParameterNode(None)
        self._doubts.forget()
        if self._isSetUp:
            self.banner.clear(_LAST_RUN)
            self.letGoOfNodes()

    def _letGoOfParameterNode(self) -> None:
        if self._parameterNode and self._parameterNodeGuiTag is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)

    def _onFinished(self, node) -> None:
        if self._parameterNode:
            outputs, made = self.outputsOf(node), MadeOutputs(self._parameterNode.parameterNode)
            made.forget()  # not while they are being set one by one
            for name, output in outputs.items():
                setattr(self._parameterNode, name, output)
            made.keep(outputs, self.origin())
        self.banner.show(_LAST_RUN, _("Warnings of the last run, '{name}'").format(name=node.GetName()),
                         verbs.report_of(node).get("warnings", ()))
        self.showResult(node)

    def _chooseInputs(self, volumes: list) -> None:
        """Choose these volumes, in their order, for the inputs that are not chosen yet."""
        for name in self.inputNames:
            candidates = [volume for volume in volumes if volume not in self._inputs()]
            if candidates and getattr(self._parameterNode, name) is None:
                setattr(self._parameterNode, name, candidates[0])

    def _onVolumeLoaded(self, volumeNode) -> None:
        if self._parameterNode:
            self._chooseInputs([volumeNode])

    def _inputs(self) -> list:
        return [getattr(self._parameterNode, name) for name in self.inputNames]

    def _forgetOutputsOfOtherInputs(self) -> None:
        made = MadeOutputs(self._parameterNode.parameterNode)
        others = made.ofOthers(self.origin())
        if others:
            made.forget()
        for name, node in others.items():
            if node is not None and getattr(self._parameterNode, name, None) is node:
                setattr(self._parameterNode, name, None)

    def _onParametersModified(self, caller=None, event=None) -> None:
        if self.run is None:
            return
        if self._parameterNode is None:
            self._showDoubts()
            self.run.setReason(_("There is no scene."), self.readyTip)
            return
        self.showParameters()
        for part in self._parts:
            if hasattr(part, "onPanelChanged"):
                part.onPanelChanged()
        self._forgetOutputsOfOtherInputs()
        self._showDoubts()
        self.run.setReason(self.whyNotReady(), self.readyTip)
        self.run.setStatus(self.statusLine())

    def _showDoubts(self) -> None:
        for name in self.inputNames:
            volume = getattr(self._parameterNode, name) if self._parameterNode else None
            if volume is None or name not in self.checkedInputs():
                self.banner.clear(name)
            else:
                self.banner.show(name, doubt_title(volume), self._doubts.of(volume, self.modelOfInputs()))


def _volumes() -> list:
    """The scene's scalar volumes, the one that the slice views show first."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    selection = slicer.app.applicationLogic().GetSelectionNode()
    active = None if selection is None else selection.GetActiveVolumeID()
    return sorted(filter(is_plain_volume, nodes), key=lambda node: node.GetID() != active)

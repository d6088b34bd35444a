"""What a panel's run is about: the chosen volume, all volumes of its folder, or every frame of its sequence."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.runs import verbs
from meddl_slicer.runs.many_volumes import volumes_below

ATTRIBUTE = "MedDL.Scope"
VOLUME, FOLDER, SEQUENCE = "volume", "folder", "sequence"


class RunScope:
    """A row "Apply to", shown where there is a choice: the volume has others in a folder, or is a frame of a sequence.

    Each folder above the volume is offered, up to the scene, that holds more volumes than the one below it. What is
    chosen is kept in an attribute of the module's parameter node.

    Args:
        layout: QFormLayout that gets the row as its last.
        onChanged: called when the user has chosen.
    """

    def __init__(self, layout, onChanged):
        self._onChanged = onChanged
        self._parameterNode = self._volumeNode = None
        self._updating = False
        self._label = qt.QLabel(_("Apply to:"))
        self._combo = qt.QComboBox()
        self._combo.objectName = "scopeComboBox"
        self._combo.toolTip = _("Several volumes run one after the other; a table lists the outcome of each")
        self._combo.connect("currentIndexChanged(int)", self._onChosen)
        layout.addRow(self._label, self._combo)
        self._show(False)

    @property
    def combo(self):
        """The combo box."""
        return self._combo

    def update(self, volumeNode, parameterNode) -> None:
        """Offer what can be done with this volume, and choose what the parameter node says."""
        self._volumeNode = volumeNode
        self._parameterNode = None if parameterNode is None else parameterNode.parameterNode
        choices = {VOLUME: _("This volume")}
        for key, (item, volumes) in self._folders().items():
            choices[key] = _("All {count} volumes of '{folder}'").format(count=len(volumes), folder=_folder_name(item))
        sequence = sequence_of(volumeNode)
        if sequence is not None:
            choices[SEQUENCE] = _("All {count} frames of '{sequence}'").format(
                count=sequence.GetNumberOfDataNodes(), sequence=sequence.GetName())
        wanted = None if self._parameterNode is None else self._parameterNode.GetAttribute(ATTRIBUTE)
        self._updating = True
        try:
            self._combo.clear()
            for key, text in choices.items():
                self._combo.addItem(text, key)
            self._combo.currentIndex = max(self._combo.findData(wanted), 0)
        finally:
            self._updating = False
        self._show(len(choices) > 1)

    def letGoOfNodes(self) -> None:
        """The scene closes."""
        self._parameterNode = self._volumeNode = None

    def choose(self, itemID: int | None) -> None:
        """Choose all volumes below an item of the subject hierarchy, the shown volume among them; None: it alone."""
        wanted = [] if itemID is None else volumes_below(itemID)
        keys = [key for key, (_item, volumes) in self._folders().items() if volumes == wanted]
        self._parameterNode.SetAttribute(ATTRIBUTE, keys[0] if keys else VOLUME)

    @property
    def chosen(self) -> str:
        """VOLUME, SEQUENCE, FOLDER for the folder of the volume, or FOLDER and a number for one above it."""
        return self._combo.itemData(self._combo.currentIndex) or VOLUME

    @property
    def single(self) -> bool:
        """Whether the run is about the chosen volume alone."""
        return self.chosen == VOLUME

    def start(self, logic, model: str, *, config, show3D: bool, device: str, onProgress, onDone):
        """Start a run on several volumes with the module's logic; returns what drives it, like a Task."""
        if self.chosen == SEQUENCE:
            return logic.segmentSequence(self.sequence, model, config=config, device=device, wait=False,
                                         onProgress=onProgress, onDone=onDone)
        return logic.segmentBranch(self.item, model, config=config, show3D=show3D, device=device, wait=False,
                                   onProgress=onProgress, onDone=onDone)

    def showResult(self, node, table) -> None:
        """Show the table of such a run in a `ResultsTable`."""
        table.show(node if node.IsA("vtkMRMLTableNode") else node.GetNodeReference(verbs.TABLE_ROLE))

    @property
    def count(self) -> int:
        """How many volumes the run is about."""
        if self.chosen == SEQUENCE:
            return self.sequence.GetNumberOfDataNodes()
        return 1 if self.single else len(self._folders()[self.chosen][1])

    @property
    def item(self) -> int:
        """The subject-hierarchy item of the chosen folder."""
        return self._folders()[self.chosen][0]

    @property
    def sequence(self):
        """The sequence of which the volume shows a frame, or None."""
        return sequence_of(self._volumeNode)

    def _folders(self) -> dict:
        """Key -> (item, its volumes) of the folders to offer, the volume's own first."""
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        item = 0 if self._volumeNode is None else hierarchy.GetItemByDataNode(self._volumeNode)
        found, most = {}, 1
        while item and item != hierarchy.GetSceneItemID():
            item = hierarchy.GetItemParent(item)
            volumes = volumes_below(item)
            if len(volumes) > most:
                found[f"{FOLDER} {len(found) + 1}" if found else FOLDER] = (item, volumes)
                most = len(volumes)
        return found

    def _onChosen(self, index: int) -> None:
        if self._updating or self._parameterNode is None:
            return
        self._parameterNode.SetAttribute(ATTRIBUTE, self.chosen)
        self._onChanged()

    def _show(self, visible: bool) -> None:
        self._label.visible = self._combo.visible = visible


def _folder_name(item: int) -> str:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    return _("Scene") if item == hierarchy.GetSceneItemID() else hierarchy.GetItemName(item)


def sequence_of(volumeNode):
    """The sequence whose frame a node shows in the scene, or None."""
    if volumeNode is None:
        return None
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(volumeNode)
        if sequence is not None:
            return sequence
    return None

"""What a panel's run is about: the chosen volume, all volumes of its folder, each follow-up with its baseline, or every
frame of its sequence."""

import qt
import slicer
from slicer.i18n import tr as _

from meddl_slicer.runs import verbs
from meddl_slicer.runs.many_registrations import pairs_below
from meddl_slicer.runs.many_volumes import volumes_below

ATTRIBUTE = "MedDL.Scope"
VOLUME, FOLDER, FOLLOW_UPS, SEQUENCE = "volume", "folder", "follow-ups", "sequence"
# Columns of the table in the panel; the table node has more.
_SHOWN = {"register": ("Case", "State", "Quality", "Metric after"), "superResolve": ("Case", "State", "Seconds")}


class RunScope:
    """A row "Apply to", shown where there is a choice: the volume has others in a folder, or is a frame of a sequence.

    Each folder above the volume is offered, up to the scene, that holds more volumes than the one below it; for a
    registration also as the folder of subjects whose follow-ups are registered to their baselines. What is chosen is
    kept in an attribute of the module's parameter node.

    Args:
        layout: QFormLayout that gets the row as its last.
        onChanged: called when the user has chosen.
        verb: of the run; frames of a sequence are offered for "segment".
    """

    def __init__(self, layout, onChanged, verb: str = "segment"):
        self._onChanged = onChanged
        self._verb = verb
        self._parameterNode = self._volumeNode = self._fixedNode = None
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

    def update(self, volumeNode, parameterNode, fixedNode=None, possible: bool = True) -> None:
        """Offer what can be done with this volume, and choose what the parameter node says.

        Args:
            fixedNode: of a registration, the volume that the others are registered to.
            possible: whether a run on several volumes is possible at all.
        """
        self._volumeNode, self._fixedNode = volumeNode, fixedNode
        self._parameterNode = None if parameterNode is None else parameterNode.parameterNode
        choices = {VOLUME: _("This volume"), **(self._choices() if possible else {})}
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
        self._parameterNode = self._volumeNode = self._fixedNode = None

    def choose(self, itemID: int | None) -> None:
        """Choose all volumes below an item of the subject hierarchy, the shown volume among them; None: it alone."""
        wanted = [] if itemID is None else self._volumes(itemID)
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

    @property
    def followUps(self) -> bool:
        """Whether each follow-up is registered to its subject's baseline."""
        return self.chosen.startswith(FOLLOW_UPS)

    def start(self, branch, *chosen, sequence=None, **choices):
        """Start a run on several volumes; returns what drives it, like a Task.

        Args:
            branch, sequence: verbs of the module's logic, called with the item or the sequence, `chosen` and `choices`.
        """
        if self.chosen == SEQUENCE:
            return sequence(self.sequence, *chosen, wait=False, **choices)
        return branch(self.item, *chosen, wait=False, **choices)

    def showResult(self, node, table) -> None:
        """Show the table of such a run in a `ResultsTable`: of a registration or super-resolution what fits."""
        shown = node if node.IsA("vtkMRMLTableNode") else node.GetNodeReference(verbs.TABLE_ROLE)
        names = _SHOWN.get(self._verb)
        table.show(shown, None if names is None else {}, names)

    @property
    def count(self) -> int:
        """How many volumes, or pairs of a registration, the run is about."""
        if self.chosen == SEQUENCE:
            return self.sequence.GetNumberOfDataNodes()
        return 1 if self.single else len(self.nodes)

    @property
    def nodes(self) -> list:
        """The volumes of the chosen folder, or the pairs (fixed, moving) of a registration."""
        if self._verb == "register":
            return pairs_below(self.item, None if self.followUps else self._fixedNode)
        return [node for _item, node in self._volumes(self.item)]

    @property
    def item(self) -> int:
        """The subject-hierarchy item of the chosen folder."""
        return (self._subjects() if self.followUps else self._folders())[self.chosen][0]

    @property
    def sequence(self):
        """The sequence of which the volume shows a frame, or None."""
        return sequence_of(self._volumeNode)

    def _choices(self) -> dict[str, str]:
        """Key -> text of what can be chosen beside the volume alone."""
        found = {}
        for key, (item, volumes) in self._folders().items():
            text = _("All {count} volumes of '{folder}'")
            found[key] = text.format(count=len(volumes), folder=_folder_name(item))
        if self._verb == "register":
            for key, (item, pairs) in self._subjects().items():
                text = _("Each follow-up in '{folder}' to its baseline ({count})")
                found[key] = text.format(count=len(pairs), folder=_folder_name(item))
        sequence = sequence_of(self._volumeNode) if self._verb == "segment" else None
        if sequence is not None:
            found[SEQUENCE] = _("All {count} frames of '{sequence}'").format(
                count=sequence.GetNumberOfDataNodes(), sequence=sequence.GetName())
        return found

    def _volumes(self, item: int) -> list:
        """(item, node) of the volumes below an item that a run on it is about."""
        return [(one, node) for one, node in volumes_below(item, self._verb) if node is not self._fixedNode]

    def _folders(self) -> dict:
        """Key -> (item, its volumes) of the folders to offer, the volume's own first."""
        return self._above(FOLDER, self._volumes, 1)

    def _subjects(self) -> dict:
        """Key -> (item, pairs of baseline and follow-up) of the folders to offer, the volume's own first."""
        return self._above(FOLLOW_UPS, pairs_below, 0)

    def _above(self, key: str, members, most: int) -> dict:
        """Key -> (item, its members) of the folders above the volume that have more members than those below, and than
        `most`."""
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        item = 0 if self._volumeNode is None else hierarchy.GetItemByDataNode(self._volumeNode)
        found = {}
        while item and item != hierarchy.GetSceneItemID():
            item = hierarchy.GetItemParent(item)
            inside = members(item)
            if len(inside) > most:
                found[f"{key} {len(found) + 1}" if found else key] = (item, inside)
                most = len(inside)
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

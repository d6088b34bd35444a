"""qMRMLNodeComboBox: a combo box of the scene's nodes, over the real scene."""

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .ctk_combo_box import ctkComboBox
from .node_combo_box_settings import NodeComboBoxSettings
from .pythonqt import declare_host_class
from .ui_files import custom_widget

Property, Signal = QtCore.Property, QtCore.Signal

_ID = QtCore.Qt.UserRole
_ACTION = QtCore.Qt.UserRole + 1


@custom_widget
@declare_host_class
class qMRMLNodeComboBox(NodeComboBoxSettings):
    """Lists the nodes of the wanted classes, follows additions, removals and renaming, offers new ones."""

    currentNodeChanged = Signal(object)
    _currentNodeValid = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    nodeAboutToBeEdited = Signal(object)
    currentNodeRenamed = Signal(str)

    CPP_SIGNALS = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "_currentNodeValid",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAddedByUserAction(vtkMRMLNode*)": "nodeAddedByUserAction",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
        "nodeAboutToBeEdited(vtkMRMLNode*)": "nodeAboutToBeEdited",
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None
        self._scene_tags = []
        self._node_tags = {}
        self._types = []
        self._show_hidden = False
        self._show_children = True
        self._hidden_children = []
        self._none_enabled = False
        self._none_text = "None"
        self._actions_enabled = {"add": True, "remove": True, "edit": False, "rename": False}
        self._select_new = True
        self._base_names = {}
        self._labels = {}
        self._attributes = {}
        self._menu_actions = []
        self._interaction_tag = "Singleton"
        self._current_id = ""
        self._requested_id = None
        self._refreshing = False
        self._combo = ctkComboBox(self)
        self._combo.elideMode = QtCore.Qt.ElideMiddle
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._combo.setMinimumContentsLength(12)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(self._on_index_changed)
        self._combo.activated.connect(self._on_activated)
        self.destroyed.connect(lambda *_, tags=self._scene_tags, nodes=self._node_tags:
                               (_forget(tags), _forget([*nodes.values()])))
        self.setEnabled(False)

    # Scene

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene):
        if scene is self._scene:
            return
        _forget(self._scene_tags)
        self._unobserve_nodes()
        self._scene = scene
        if scene is not None:
            added = _with_node(self._on_node_added)
            removed = _with_node(self._on_node_about_to_be_removed)
            for event, callback in (
                (scene.NodeAddedEvent, added),
                (scene.NodeAboutToBeRemovedEvent, removed),
                (scene.NodeRemovedEvent, lambda *_: self._on_node_removed()),
                (scene.EndBatchProcessEvent, lambda *_: self._refresh(keep=True)),
                (scene.EndCloseEvent, lambda *_: self._refresh(keep=True)),
                (scene.EndImportEvent, lambda *_: self._refresh(keep=True)),
            ):
                self._scene_tags.append((scene, scene.AddObserver(event, callback)))
        self.setEnabled(scene is not None)
        wanted = self._requested_id if self._requested_id is not None else self._current_id
        self._requested_id = None
        self._fill()
        if scene is not None and not wanted and not self._none_enabled and self._nodes():
            wanted = self._nodes()[0].GetID()
        self._select(wanted)

    def _usable(self, node):
        if node.GetHideFromEditors() and not self._show_hidden:
            return False
        if not any(self._is_type(node, kind) for kind in self._types):
            return False
        if self._show_children and any(node.IsA(kind) for kind in self._hidden_children):
            return False
        for kind, wanted in self._attributes.items():
            if not node.IsA(kind):
                continue
            for name, value in wanted.items():
                have = node.GetAttribute(name)
                if have is None or (value is not None and have != str(value)):
                    return False
        return True

    def _is_type(self, node, kind):
        return node.IsA(kind) if self._show_children else node.GetClassName() == kind

    def _nodes(self):
        if self._scene is None:
            return []
        count = self._scene.GetNumberOfNodes()
        return [n for n in (self._scene.GetNthNode(i) for i in range(count)) if self._usable(n)]

    def _busy(self):
        scene = self._scene
        return scene is None or scene.IsBatchProcessing() or scene.IsClosing() or scene.IsImporting()

    def _on_node_added(self, node):
        if self._busy() or not self._usable(node):
            return
        was_empty = self._combo.count == 0
        self._fill()
        if was_empty and not self._none_enabled:
            self._select(node.GetID())
        self.nodeAdded.emit(node)

    def _on_node_about_to_be_removed(self, node):
        if not self._busy() and self._usable(node):
            self.nodeAboutToBeRemoved.emit(node)

    def _on_node_removed(self):
        if not self._busy():
            self._refresh(keep=True)

    def _refresh(self, keep):
        """Fill again; where the current node is gone, take its neighbor (None where that is offered)."""
        if self._busy():
            return
        row = self._row_of(self._current_id)
        self._fill()
        if not keep or (self._current_id and self._row_of(self._current_id) < 0):
            nodes = self._nodes()
            start = 1 if self._none_enabled else 0
            if nodes:
                neighbor = nodes[min(max(row - start, 0), len(nodes) - 1)].GetID()
            else:
                neighbor = ""
            self._select(neighbor)

    def _unobserve_nodes(self):
        _forget([*self._node_tags.values()])
        self._node_tags.clear()

    def _fill(self):
        """Write the rows: None, the nodes, the actions. The chosen row follows the current node."""
        self._refreshing = True
        self._combo.clear()
        nodes = self._nodes()
        if self._none_enabled and self._scene is not None:
            self._combo.addItem(self._none_text)
        for node in nodes:
            self._combo.addItem(node.GetName() or "", node.GetID())
        self._add_actions()
        listed = {node.GetID() for node in nodes}
        for node_id in [i for i in self._node_tags if i not in listed]:
            node, tag = self._node_tags.pop(node_id)
            node.RemoveObserver(tag)
        for node in nodes:
            if node.GetID() not in self._node_tags:
                tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._update_names())
                self._node_tags[node.GetID()] = (node, tag)
        self._combo.setCurrentIndex(self._row_of(self._current_id))
        self._refreshing = False
        if self._types:
            self._combo.setDefaultText(f"Select a {self.nodeTypeLabel(self._types[0])}")

    def _add_actions(self):
        if self._scene is None:
            return
        label = self.nodeTypeLabel(self._types[0] if len(self._types) == 1 else "")
        rows = []
        if self._actions_enabled["rename"]:
            rows.append((f"Rename current {label}", "RENAME"))
        if self._actions_enabled["edit"]:
            rows.append((f"Edit current {label}", "EDIT"))
        if self._actions_enabled["add"]:
            for kind in self._types:
                rows.append((f"Create new {self.nodeTypeLabel(kind)}", f"CREATE/{kind}"))
                if self._actions_enabled["rename"]:
                    rows.append((f"Create new {self.nodeTypeLabel(kind)} as...", f"CREATE_AS/{kind}"))
        if self._actions_enabled["remove"]:
            rows.append((f"Delete current {label}", "DELETE"))
        rows += [(action.text, f"USER/{i}") for i, action in enumerate(self._menu_actions)]
        if rows:
            self._combo.insertSeparator(self._combo.count)
        for text, data in rows:
            self._combo.addItem(text)
            self._combo.setItemData(self._combo.count - 1, data, _ACTION)

    def _update_names(self):
        for row in range(self._combo.count):
            node_id = self._combo.itemData(row, _ID)
            node = self._scene.GetNodeByID(node_id) if node_id and self._scene else None
            if node is not None and self._combo.itemText(row) != node.GetName():
                self._combo.setItemText(row, node.GetName() or "")

    def _row_of(self, node_id):
        if node_id:
            row = self._combo.findData(node_id, _ID)
            return row
        return 0 if self._none_enabled and self._scene is not None else -1

    # Choice

    def _select(self, node_id):
        row = self._row_of(node_id)
        if row < 0:
            node_id = ""
            row = self._row_of("")
        self._refreshing = True
        self._combo.setCurrentIndex(row)
        self._refreshing = False
        if node_id != self._current_id:
            self._current_id = node_id
            self._emit_changed()

    def _emit_changed(self):
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self._currentNodeValid.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _on_index_changed(self, row):
        if self._refreshing:
            return
        if self._combo.itemData(row, _ACTION):
            return
        self._select(self._combo.itemData(row, _ID) or "")

    def _on_activated(self, row):
        action = self._combo.itemData(row, _ACTION)
        if not action:
            self.nodeActivated.emit(self.currentNode())
            return
        self._combo.setCurrentIndex(self._row_of(self._current_id))
        kind = action.partition("/")[2]
        if action.startswith("CREATE_AS/"):
            name = QtWidgets.QInputDialog.getText(self, f"Create new {self.nodeTypeLabel(kind)}", "New name:")
            if name:
                node = self.addNode(kind)
                node.SetName(name)
                self.setCurrentNode(node)
                self.nodeAddedByUserAction.emit(node)
        elif action.startswith("CREATE/"):
            node = self.addNode(kind)
            self.setCurrentNode(node)
            self.nodeAddedByUserAction.emit(node)
        elif action == "DELETE":
            self.removeCurrentNode()
        elif action == "RENAME":
            self.renameCurrentNode()
        elif action == "EDIT":
            self.editCurrentNode()
        elif action.startswith("USER/"):
            self._menu_actions[int(kind)].trigger()

    def currentNode(self):
        if self._scene is None or not self._current_id:
            return None
        return self._scene.GetNodeByID(self._current_id)

    def setCurrentNode(self, node):
        if isinstance(node, str):
            self.setCurrentNodeID(node)
            return
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise TypeError(f"setCurrentNode expects a MRML node or None, got {type(node).__name__}")
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id):
        node_id = node_id or ""
        if self._scene is None:
            self._requested_id = node_id
            return
        self._select(node_id)

    def _current_node_id(self):
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    currentNodeID = Property(str, _current_node_id, setCurrentNodeID)
    currentNodeId = Property(str, _current_node_id, setCurrentNodeID)

    def setCurrentNodeIndex(self, index):
        nodes = self._nodes()
        self._select(nodes[index].GetID() if 0 <= index < len(nodes) else "")

    def nodeCount(self):
        return len(self._nodes())

    def nodeFromIndex(self, index):
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    # Making, renaming, removing nodes

    def addNode(self, kind=None):
        kind = kind or (self._types[0] if self._types else None)
        if kind is None or kind not in self._types or self._scene is None:
            return None
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        base = self._base_names.get(kind) or self.nodeTypeLabel(kind)
        node.SetName(self._scene.GenerateUniqueName(base))
        for attributes in (wanted for of, wanted in self._attributes.items() if node.IsA(of)):
            for name, value in attributes.items():
                node.SetAttribute(name, str(value) if value is not None else "")
        node = self._scene.AddNode(node)
        if self._select_new:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        node = self.currentNode()
        if node is not None:
            self._scene.RemoveNode(node)

    def renameCurrentNode(self):
        node = self.currentNode()
        if node is None:
            return
        label = self.nodeTypeLabel(node.GetClassName())
        name = QtWidgets.QInputDialog.getText(self, f"Rename {label}", "New name:")
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    def editCurrentNode(self):
        self.nodeAboutToBeEdited.emit(self.currentNode())

    def addMenuAction(self, action):
        self._menu_actions.append(action)
        self._fill()

    def comboBox(self):
        return self._combo


def _with_node(function):
    """An observer callback that gets the node of the event."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def callback(caller, event, node):
        function(node)

    return callback


def _forget(tags):
    while tags:
        owner, tag = tags.pop()
        owner.RemoveObserver(tag)

"""What a qMRMLNodeComboBox lists and offers: its settings, as methods and as properties."""

from PySide6 import QtCore, QtWidgets

from .pythonqt import declare_host_class

Property = QtCore.Property


@declare_host_class
class NodeComboBoxSettings(QtWidgets.QWidget):
    """Base of qMRMLNodeComboBox, which has the values, and fills itself anew when one changes."""

    def _changed(self):
        if self._scene is not None:
            self._refresh(keep=True)
            self._fill()

    def setNodeTypes(self, kinds):
        self._types = [str(kind) for kind in kinds]
        self._changed()

    def setShowChildNodeTypes(self, show):
        self._show_children = bool(show)
        self._changed()

    def setHideChildNodeTypes(self, kinds):
        self._hidden_children = [str(kind) for kind in kinds]
        self._changed()

    def setShowHidden(self, show):
        self._show_hidden = bool(show)
        self._changed()

    def setNoneEnabled(self, enabled):
        self._none_enabled = bool(enabled)
        self._changed()

    def setNoneDisplay(self, text):
        self._none_text = text
        self._changed()

    def _set_action(self, name, enabled):
        self._actions_enabled[name] = bool(enabled)
        self._changed()

    def setAddEnabled(self, enabled):
        self._set_action("add", enabled)

    def setRemoveEnabled(self, enabled):
        self._set_action("remove", enabled)

    def setEditEnabled(self, enabled):
        self._set_action("edit", enabled)

    def setRenameEnabled(self, enabled):
        self._set_action("rename", enabled)

    def setSelectNodeUponCreation(self, select):
        self._select_new = bool(select)

    def setBaseName(self, name, kind=""):
        for one in [kind] if kind else self._types:
            self._base_names[one] = name

    def _base_name(self):
        return self._base_names.get(self._types[0], "") if self._types else ""

    def addAttribute(self, kind, name, value=None):
        self._attributes.setdefault(kind, {})[name] = value
        self._changed()

    def removeAttribute(self, kind, name):
        self._attributes.get(kind, {}).pop(name, None)
        self._changed()

    def setNodeTypeLabel(self, label, kind):
        if label:
            self._labels[kind] = label
        else:
            self._labels.pop(kind, None)
        self._changed()

    def nodeTypeLabel(self, kind):
        if kind in self._labels:
            return self._labels[kind]
        if self._scene is not None and kind:
            label = self._scene.GetTypeDisplayNameByClassName(kind)
            if label:
                return label
        return "node"

    nodeTypes = Property("QStringList", lambda self: list(self._types), setNodeTypes)
    showChildNodeTypes = Property(bool, lambda self: self._show_children, setShowChildNodeTypes)
    hideChildNodeTypes = Property("QStringList", lambda self: list(self._hidden_children), setHideChildNodeTypes)
    showHidden = Property(bool, lambda self: self._show_hidden, setShowHidden)
    noneEnabled = Property(bool, lambda self: self._none_enabled, setNoneEnabled)
    noneDisplay = Property(str, lambda self: self._none_text, setNoneDisplay)
    addEnabled = Property(bool, lambda self: self._actions_enabled["add"], setAddEnabled)
    removeEnabled = Property(bool, lambda self: self._actions_enabled["remove"], setRemoveEnabled)
    editEnabled = Property(bool, lambda self: self._actions_enabled["edit"], setEditEnabled)
    renameEnabled = Property(bool, lambda self: self._actions_enabled["rename"], setRenameEnabled)
    selectNodeUponCreation = Property(bool, lambda self: self._select_new, setSelectNodeUponCreation)
    baseName = Property(str, _base_name, setBaseName)
    interactionNodeSingletonTag = Property(
        str, lambda self: self._interaction_tag, lambda self, tag: setattr(self, "_interaction_tag", tag)
    )

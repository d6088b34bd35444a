"""Plugins of the subject hierarchy: what the Data module's menus are made of.

Behavior after Modules/Loadable/SubjectHierarchy/Widgets of Slicer. Errors in a scripted plugin, which Slicer prints
and covers with the default, raise here.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui

from .pythonqt import declare_host_class

Property, Signal = QtCore.Property, QtCore.Signal


@declare_host_class
class qSlicerSubjectHierarchyAbstractPlugin(QtCore.QObject):
    """What every plugin answers unless it knows better."""

    SectionTop, SectionInteraction, SectionComponent, SectionNode = -400, -300, -200, -100
    SectionDefault, SectionFolder, SectionBottom = 0, 100, 200

    def __init__(self, parent=None):
        super().__init__(parent)
        self._name = ""

    def _set_name(self, name):
        raise RuntimeError("Cannot set plugin name by method, only in constructor")

    name = Property(str, lambda self: self._name, lambda self, name: self._set_name(name))

    def canOwnSubjectHierarchyItem(self, item):
        return 0.0

    def canAddNodeToSubjectHierarchy(self, node, parentItem=0):
        return 0.0

    def roleForPlugin(self):
        return "N/A"

    def itemContextMenuActions(self):
        return []

    def sceneContextMenuActions(self):
        return []

    def viewContextMenuActions(self):
        return []

    def showContextMenuActionsForItem(self, item):
        """Nothing to show."""

    @staticmethod
    def setActionPosition(action, section, weight=0, weightAdjustment=0.0):
        action.setProperty("section", section)

    @staticmethod
    def switchToModule(name):
        slicer.util.selectModule(name)
        return slicer.app.moduleManager().module(name).widgetRepresentation()

    def hide_all(self):
        """Hide every action that this plugin has in a menu."""
        for action in (*self.itemContextMenuActions(), *self.sceneContextMenuActions(),
                       *self.viewContextMenuActions()):
            action.setVisible(False)


class _OwnerOfVolumes(qSlicerSubjectHierarchyAbstractPlugin):
    """Slicer's plugins Volumes and LabelMaps, as far as scripted plugins ask them who owns an item."""

    def __init__(self, name, class_name, parent):
        super().__init__(parent)
        self._name, self._class_name = name, class_name

    def canOwnSubjectHierarchyItem(self, item):
        node = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemDataNode(item)
        return 0.5 if node is not None and node.IsA(self._class_name) else 0.0


@declare_host_class
class qSlicerSubjectHierarchyScriptedPlugin(qSlicerSubjectHierarchyAbstractPlugin):
    """A plugin whose answers come from a Python class."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._name = "UnnamedScriptedPlugin"
        self._python = None
        self._source = ""

    def _set_name(self, name):
        self._name = name

    setName = _set_name

    def self(self):
        return self._python

    def pythonSource(self):
        return self._source

    def setPythonSource(self, path):
        """Make the class that the file is named after: "<file>SubjectHierarchyPlugin", or "<file>" where it ends so.

        The module is the one of the file's plain name that is imported already, or is loaded as that.
        """
        if not isinstance(path, str):
            raise ValueError(f"Could not find matching overload for given arguments: {path!r} is no text")
        if not path.endswith((".py", ".pyc")):
            return False
        module = Path(path).name.partition(".")[0]
        class_name = module if module.endswith("SubjectHierarchyPlugin") else f"{module}SubjectHierarchyPlugin"
        cls = getattr(sys.modules.get(module), class_name, None)
        if cls is None:
            spec = importlib.util.spec_from_file_location(module, path)
            sys.modules[module] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[module])
            cls = getattr(sys.modules[module], class_name)
        self._python = cls(self)
        self._source = path
        setattr(slicer, class_name, self._python)
        return True

    def _ask(self, name, kind, *arguments):
        method = getattr(self._python, name, None)
        if method is None:
            return getattr(super(), name)(*arguments)
        result = method(*arguments)
        if kind is not None and type(result) is not kind:
            raise TypeError(f"{self._source}: '{name}' is expected to return {kind.__name__}, not {result!r}")
        return result

    def canOwnSubjectHierarchyItem(self, item):
        return self._ask("canOwnSubjectHierarchyItem", float, item)

    def canAddNodeToSubjectHierarchy(self, node, parentItem=0):
        return self._ask("canAddNodeToSubjectHierarchy", float, node, parentItem)

    def roleForPlugin(self):
        return self._ask("roleForPlugin", str)

    def itemContextMenuActions(self):
        return self._actions("itemContextMenuActions")

    def sceneContextMenuActions(self):
        return self._actions("sceneContextMenuActions")

    def viewContextMenuActions(self):
        return self._actions("viewContextMenuActions")

    def showContextMenuActionsForItem(self, item):
        self._ask("showContextMenuActionsForItem", None, item)

    def _actions(self, name):
        actions = self._ask(name, list)
        if not all(isinstance(action, QtGui.QAction) for action in actions):
            raise TypeError(f"{self._source}: '{name}' is expected to return a list of QAction")
        return actions


@declare_host_class
class qSlicerSubjectHierarchyPluginHandler(QtCore.QObject):
    """All plugins, and the item that a menu is about."""

    _instance = None

    def __init__(self, parent=None):
        super().__init__(parent)
        self._default = qSlicerSubjectHierarchyAbstractPlugin(self)
        self._default._name = "Default"
        self._plugins = [_OwnerOfVolumes("Volumes", "vtkMRMLScalarVolumeNode", self),
                         _OwnerOfVolumes("LabelMaps", "vtkMRMLLabelMapVolumeNode", self)]
        self._items = []

    @classmethod
    def instance(cls):
        if cls._instance is None:
            cls._instance = cls(slicer.app)
        return cls._instance

    def registerPlugin(self, plugin):
        """False where a plugin of that name is there already."""
        if not isinstance(plugin, qSlicerSubjectHierarchyAbstractPlugin):
            raise ValueError(f"Could not find matching overload for given arguments: {plugin!r} is no plugin")
        if not plugin.name:
            raise RuntimeError("SubjectHierarchy plugin cannot be registered with empty name")
        if any(plugin.name == known.name for known in self._plugins):
            return False
        for action in plugin.viewContextMenuActions():
            if not action.objectName:
                raise RuntimeError(f"view context menu action name is not set for {action.text}")
        self._plugins.append(plugin)
        return True

    def registeredPlugins(self):
        return list(self._plugins)

    def allPlugins(self):
        return [*self._plugins, self._default]

    def defaultPlugin(self):
        return self._default

    def pluginByName(self, name):
        if name == "Default":
            return self._default
        return next((plugin for plugin in self._plugins if plugin.name == name), None)

    def subjectHierarchyNode(self):
        return slicer.mrmlScene.GetSubjectHierarchyNode()

    def mrmlScene(self):
        return slicer.mrmlScene

    def currentItem(self):
        """The item where one alone is selected, else 0."""
        return self._items[0] if len(self._items) == 1 else 0

    def setCurrentItem(self, item):
        self._items = [item]

    def currentItems(self):
        return list(self._items)

    def setCurrentItems(self, items):
        self._items = list(items)


def context_menu(*items):
    """The visible actions of plugins in the menu of a right click, by their text, with these items selected.

    As qMRMLSubjectHierarchyTreeView: several items have no actions of plugins; without an item it is the scene's menu.
    """
    handler = qSlicerSubjectHierarchyPluginHandler.instance()
    scene = handler.subjectHierarchyNode().GetSceneItemID()
    handler.setCurrentItems(list(items))
    for plugin in handler.allPlugins():
        plugin.hide_all()
    if len(items) > 1:
        return {}
    item = items[0] if items else scene
    for plugin in handler.allPlugins():
        plugin.showContextMenuActionsForItem(item)
    menus = [plugin.sceneContextMenuActions() if item == scene else plugin.itemContextMenuActions()
             for plugin in handler.allPlugins()]
    return {action.text: action for actions in menus for action in actions if action.visible}


def install(slicer_source=None):
    """Make the package SubjectHierarchyPlugins importable: Slicer's own from a work tree of its source, or ours."""
    here = Path(__file__).parent / "slicer_modules"
    if slicer_source is None:
        sys.path.append(str(here))
        return
    folder = Path(slicer.app.slicerHome) / "SubjectHierarchyPlugins"
    folder.mkdir()
    modules = slicer_source / "Modules"
    for path in (modules / "Loadable/SubjectHierarchy/Widgets/Python/SubjectHierarchyPlugins/__init__.py",
                 *modules.rglob("SubjectHierarchyPlugins/*SubjectHierarchyPlugin.py")):
        (folder / path.name).write_bytes(path.read_bytes())  # one folder, as they are installed
    sys.path.append(str(folder.parent))
    importlib.import_module("SubjectHierarchyPlugins")  # before a module's folder in the source tree hides it

"""The plugin of the subject hierarchy behind `meddl_slicer.panels.menu.data_menu`.

Slicer loads this file by its path and asks for the class of its name.
"""

import qt
import slicer
from slicer.i18n import tr as _
from SubjectHierarchyPlugins import AbstractScriptedSubjectHierarchyPlugin

from meddl_slicer.mrml.nodes import is_plain_volume
from meddl_slicer.panels.menu.data_menu import NAME
from meddl_slicer.runs.many_volumes import volumes_below


class MedDLSubjectHierarchyPlugin(AbstractScriptedSubjectHierarchyPlugin):
    """Each action opens a module of MedDL with the item of the menu chosen; nothing runs before Apply."""

    filePath = __file__

    def __init__(self, scriptedPlugin):
        scriptedPlugin.name = NAME
        self._targets = qt.QMenu()
        self._register = qt.QAction(_("Register to (MedDL)"), scriptedPlugin)
        self._register.setMenu(self._targets)
        self._segment = self._action(scriptedPlugin, _("Segment with MedDL..."), self.onSegment)
        self._superResolve = self._action(scriptedPlugin, _("Super-resolve with MedDL..."), self.onSuperResolve)
        self._ofAll = {name: self._action(scriptedPlugin, text, lambda *_, name=name: self.onAll(name))
                       for name, text in (("MedDLSeg", _("Segment all volumes with MedDL...")),
                                          ("MedDLRegister", _("Register all volumes with MedDL...")),
                                          ("MedDLSuperRes", _("Super-resolve all volumes with MedDL...")))}
        AbstractScriptedSubjectHierarchyPlugin.__init__(self, scriptedPlugin)

    @staticmethod
    def _action(parent, text: str, function):
        action = qt.QAction(text, parent)
        action.connect("triggered()", function)
        return action

    def itemContextMenuActions(self) -> list:
        """All actions; those that fit an item are shown by `showContextMenuActionsForItem`."""
        return [self._segment, self._register, self._superResolve, *self._ofAll.values()]

    def sceneContextMenuActions(self) -> list:
        """The actions in the menu of the scene itself."""
        return list(self._ofAll.values())

    def showContextMenuActionsForItem(self, itemID: int) -> None:
        """Show what can be done with a volume, or with the volumes of a folder."""
        node = _hierarchy().GetItemDataNode(itemID)
        if is_plain_volume(node):
            self._segment.visible = _is_loaded("MedDLSeg")
            self._superResolve.visible = _is_loaded("MedDLSuperRes")
            self._offerTargets(node)
            self._register.visible = _is_loaded("MedDLRegister") and bool(self._targets.actions())
        elif node is None:
            for name, action in self._ofAll.items():
                action.visible = _is_loaded(name) and bool(volumes_below(itemID))

    def _offerTargets(self, node) -> None:
        """List the other volumes: the one that is clicked becomes the fixed one."""
        self._targets.clear()
        for target in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            if target is not node and is_plain_volume(target) and not target.GetHideFromEditors():
                action, identifier = self._targets.addAction(target.GetName()), target.GetID()
                action.connect("triggered()", lambda *_, identifier=identifier: self.onRegister(identifier))

    def onSegment(self) -> None:
        """Open MedDLSeg for the volume."""
        _panel("MedDLSeg").choose(inputVolume=_current_node())

    def onAll(self, name: str) -> None:
        """Open a module for all volumes of the folder, or of the scene."""
        item = slicer.qSlicerSubjectHierarchyPluginHandler.instance().currentItem()
        _panel(name).chooseFolder(item or _hierarchy().GetSceneItemID())

    def onRegister(self, fixedID: str) -> None:
        """Open MedDLRegister for the volume, to be registered to another one."""
        moving = _current_node()
        _panel("MedDLRegister").choose(fixedVolume=slicer.mrmlScene.GetNodeByID(fixedID), movingVolume=moving)

    def onSuperResolve(self) -> None:
        """Open MedDLSuperRes for the volume."""
        _panel("MedDLSuperRes").choose(inputVolume=_current_node())


def _hierarchy():
    return slicer.mrmlScene.GetSubjectHierarchyNode()


def _current_node():
    return _hierarchy().GetItemDataNode(slicer.qSlicerSubjectHierarchyPluginHandler.instance().currentItem())


def _is_loaded(name: str) -> bool:
    return hasattr(slicer.modules, name.lower())


def _panel(name: str):
    """The panel of a module, opened."""
    slicer.util.selectModule(name)
    return slicer.util.getModuleWidget(name)

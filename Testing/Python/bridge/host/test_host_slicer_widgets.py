"""The host's stand-ins for widgets and plugins of Slicer's C++ do what those do, and refuse what those refuse."""

import gc

import numpy as np
import pytest
import slicer
import vtk
from bridge_scene import add_volume, centered, phantom
from segmentation_nodes import segmented

from host.subject_hierarchy import context_menu

pytestmark = pytest.mark.usefixtures("clean")
SURFACE = "Closed surface"


@pytest.fixture
def segmentation(clean):
    return segmented(add_volume(phantom(), centered(np.eye(3))))[0]


@pytest.fixture
def place(clean):
    widget = slicer.qSlicerMarkupsPlaceWidget()
    widget.setMRMLScene(slicer.mrmlScene)
    yield widget
    widget.setCurrentNode(None)


def points(name="points"):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)


def test_show_3d_needs_segments_and_is_off_while_locked(segmentation):
    button = slicer.qMRMLSegmentationShow3DButton()
    assert button.text == "Show 3D" and button.checkable and not button.enabled
    button.setSegmentationNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"))
    assert not button.enabled
    button.setSegmentationNode(segmentation)
    assert button.enabled
    button.locked = True
    assert not button.enabled
    button.locked = False
    segmentation.GetSegmentation().RemoveAllSegments()
    assert not button.enabled


def test_show_3d_follows_surfaces_that_others_make(segmentation):
    button = slicer.qMRMLSegmentationShow3DButton()
    button.setSegmentationNode(segmentation)
    segmentation.CreateClosedSurfaceRepresentation()
    assert button.checked
    segmentation.RemoveClosedSurfaceRepresentation()
    assert not button.checked


def test_smoothing_is_switched_in_the_menu_and_makes_surfaces_anew(segmentation):
    button = slicer.qMRMLSegmentationShow3DButton()
    button.setSegmentationNode(segmentation)
    button.click()
    before = segmentation.GetClosedSurfaceInternalRepresentation("Segment_1").GetBounds()
    smooth = next(action for action in button.menu().actions() if action.text == "Surface smoothing")
    assert smooth.checked
    smooth.trigger()
    name = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule.GetSmoothingFactorParameterName()
    assert float(segmentation.GetSegmentation().GetConversionParameter(name)) == -0.5
    assert segmentation.GetClosedSurfaceInternalRepresentation("Segment_1").GetBounds() != before


@pytest.mark.parametrize("make, put", [
    (lambda: slicer.qMRMLSegmentationShow3DButton(), "setSegmentationNode"),
    (lambda: slicer.qMRMLSegmentEditorWidget(), "setMRMLSegmentEditorNode")])
def test_a_node_of_another_class_is_refused(make, put):
    with pytest.raises(ValueError, match="matching overload"):
        getattr(make(), put)(add_volume(phantom(), centered(np.eye(3))))


def test_the_widgets_keep_no_node_alive(place):
    button = slicer.qMRMLSegmentationShow3DButton()
    seen = []
    for widget, put, kind in ((button, "setSegmentationNode", "vtkMRMLSegmentationNode"),
                              (place, "setCurrentNode", "vtkMRMLMarkupsFiducialNode")):
        node = slicer.mrmlScene.AddNewNodeByClass(kind)
        node.AddObserver(vtk.vtkCommand.DeleteEvent, lambda *_: seen.append(True))
        getattr(widget, put)(node)
        slicer.mrmlScene.RemoveNode(node)
        del node
    gc.collect()
    assert len(seen) == 2
    assert button.segmentationNode() is None and place.currentNode() is None


def test_placing_needs_a_node(place):
    assert not place.placeButton().enabled and not place.placeModeEnabled
    with pytest.raises(RuntimeError, match="activate failed"):
        place.setPlaceModeEnabled(True)
    place.setCurrentNode(points())
    place.setPlaceModeEnabled(True)
    assert place.placeModeEnabled and place.placeButton().checked


def test_place_mode_is_told_when_it_changes_and_only_then(place):
    told = []
    place.connect("activeMarkupsPlaceModeChanged(bool)", told.append)
    place.setCurrentNode(points())
    place.placeModeEnabled = True
    place.placeModeEnabled = True
    others = points("others")  # becomes the list that is placed, as Slicer's logic has it
    assert told == [True, False]
    place.setCurrentNode(others)
    assert told == [True, False, True]


def test_hidden_buttons_stay_hidden_but_for_delete_as_in_slicer(place):
    place.buttonsVisible = False
    place.placeButton().show()
    place.setCurrentNode(points())
    assert not place.placeButton().isHidden() and not place.deleteButton().isHidden()
    assert all(button.isHidden() for button in place.findChildren("QAbstractButton")
               if button.name in ("ColorButton", "MoreButton"))


def test_the_segment_editor_takes_the_volume_of_the_segmentation(segmentation):
    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    editor.setMRMLScene(slicer.mrmlScene)
    editor.setSegmentationNode(segmentation)
    assert editor.segmentationNode() is segmentation and editor.sourceVolumeNode().GetName() == "head"
    other = add_volume(phantom(), centered(np.eye(3)), "other")
    editor.setSourceVolumeNode(other)
    assert editor.sourceVolumeNodeID() == other.GetID()
    editor.setMRMLSegmentEditorNode(None)


def plugin_file(folder, body, name="Odd"):
    path = folder / f"{name}SubjectHierarchyPlugin.py"
    path.write_text("import qt\nfrom SubjectHierarchyPlugins import AbstractScriptedSubjectHierarchyPlugin\n"
                    f"class {name}SubjectHierarchyPlugin(AbstractScriptedSubjectHierarchyPlugin):\n{body}")
    return str(path)


@pytest.fixture
def forget_plugins():
    """Plugins of a test do not stay in the menus of the next one."""
    handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
    before = handler.registeredPlugins()
    yield
    handler._plugins[:] = before


def test_a_plugin_is_known_by_its_name_once(tmp_path, forget_plugins):
    handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
    body = "    def __init__(self, plugin):\n        plugin.name = 'once'\n        super().__init__(plugin)\n"
    count = len(handler.registeredPlugins())
    for name in ("First", "Second"):
        assert slicer.qSlicerSubjectHierarchyScriptedPlugin(None).setPythonSource(plugin_file(tmp_path, body, name))
    assert len(handler.registeredPlugins()) == count + 1
    assert handler.pluginByName("once").self() is slicer.FirstSubjectHierarchyPlugin
    assert not slicer.qSlicerSubjectHierarchyScriptedPlugin(None).setPythonSource("a.txt")


def test_actions_are_hidden_until_a_plugin_shows_them(tmp_path, forget_plugins):
    body = """    def __init__(self, plugin):
        plugin.name = 'shy'
        self.action = qt.QAction('Shy', plugin)
        super().__init__(plugin)
    def itemContextMenuActions(self):
        return [self.action]
    def showContextMenuActionsForItem(self, item):
        self.action.visible = self.wanted
"""
    plugin = slicer.qSlicerSubjectHierarchyScriptedPlugin(None)
    plugin.setPythonSource(plugin_file(tmp_path, body, "Shy"))
    item = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(points())
    for wanted in (True, False):
        plugin.self().wanted = wanted
        assert ("Shy" in context_menu(item)) == wanted
    assert "Shy" not in context_menu()  # the scene's menu has actions of its own


def test_an_answer_of_the_wrong_type_is_refused(tmp_path, forget_plugins):
    body = """    def __init__(self, plugin):
        plugin.name = 'wrong'
        super().__init__(plugin)
    def canOwnSubjectHierarchyItem(self, item):
        return 1
    def itemContextMenuActions(self):
        return ['no action']
"""
    plugin = slicer.qSlicerSubjectHierarchyScriptedPlugin(None)
    plugin.setPythonSource(plugin_file(tmp_path, body, "Wrong"))
    with pytest.raises(TypeError, match="float"):
        plugin.canOwnSubjectHierarchyItem(1)
    with pytest.raises(TypeError, match="QAction"):
        context_menu()

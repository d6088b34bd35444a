"""A right click in the Data module leads to MedDL: what is offered for which item, and what it opens."""

import subprocess
import sys

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, finished, opened, phantom
from segmentation_panel import segmentations, thresholding  # noqa: F401
from volume_folders import folder, put

import host
from host.subject_hierarchy import context_menu
from meddl_slicer.panels.menu import data_menu

SEGMENT, SHARPEN = "Segment with MedDL...", "Super-resolve with MedDL..."
REGISTER, ALL = "Register to (MedDL)", "Segment all volumes with MedDL..."
REGISTER_ALL, SHARPEN_ALL = "Register all volumes with MedDL...", "Super-resolve all volumes with MedDL..."


@pytest.fixture
def scene(clean):
    """Three volumes, two of them in a folder of a patient; all modules loaded."""
    for name in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        host.load_module(name)
    nodes = [add_volume(phantom(), centered(np.eye(3)), f"head {n}") for n in range(3)]
    patient = folder("patient")
    study = folder("study", patient)
    for node, item in zip(nodes, (study, study, patient)):
        put(node, item)
    yield nodes, patient, study
    for name in ("MedDLSeg", "MedDLRegister", "MedDLSuperRes"):
        opened(name).widget.run.cancel()


def item_of(node) -> int:
    return slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(node)


def menu(*items) -> dict:
    """The actions of MedDL alone."""
    return {text: action for text, action in context_menu(*items).items() if "MedDL" in text}


def test_a_volume_can_be_segmented_registered_and_super_resolved(scene):
    nodes, _patient, _study = scene
    assert set(menu(item_of(nodes[0]))) == {SEGMENT, REGISTER, SHARPEN}
    assert [action.text for action in menu(item_of(nodes[0]))[REGISTER].menu().actions()] == ["head 1", "head 2"]


def test_a_folder_and_the_scene_have_all_their_volumes_segmented(scene):
    _nodes, patient, study = scene
    assert set(menu(patient)) == set(menu(study)) == set(menu()) == {ALL, REGISTER_ALL, SHARPEN_ALL}
    assert not menu(folder("empty"))


def test_nothing_is_offered_for_other_data_or_several_items(scene):
    nodes, _patient, _study = scene
    others = [slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}Node") for kind in (
        "LabelMapVolume", "VectorVolume", "Segmentation", "MarkupsFiducial", "LinearTransform")]
    assert not any(menu(item_of(node)) for node in others)
    assert not menu(*map(item_of, nodes))


def test_a_lonely_volume_is_registered_to_nothing(clean):
    host.load_module("MedDLRegister")
    node = add_volume(phantom(), centered(np.eye(3)), "alone")
    assert REGISTER not in menu(item_of(node))


def test_segment_opens_the_module_with_the_volume(scene):
    nodes, _patient, _study = scene
    menu(item_of(nodes[1]))[SEGMENT].trigger()
    assert slicer.util.selectedModule() == "MedDLSeg"
    widget = slicer.util.getModuleWidget("MedDLSeg")
    assert widget.ui.inputSelector.currentNode() is nodes[1] and widget._scope.single


def test_segment_all_opens_the_module_with_the_folder(scene):
    nodes, patient, study = scene
    widget = opened("MedDLSeg").widget
    for item, count in ((study, 2), (patient, 3), (None, 3)):
        menu(*([] if item is None else [item]))[ALL].trigger()
        assert slicer.util.selectedModule() == "MedDLSeg"
        assert widget._scope.count == count and f"All {count} volumes" in widget._scope.combo.currentText
    menu(item_of(nodes[2]))[SEGMENT].trigger()
    assert widget._scope.single and widget.ui.inputSelector.currentNode() is nodes[2]


def test_register_all_and_super_resolve_all_open_their_modules_with_the_folder(scene):
    nodes, patient, _study = scene
    menu(patient)[SHARPEN_ALL].trigger()
    assert slicer.util.selectedModule() == "MedDLSuperRes"
    assert slicer.util.getModuleWidget("MedDLSuperRes")._scope.count == 3
    widget = opened("MedDLRegister").widget
    widget.ui.fixedSelector.setCurrentNode(nodes[0])
    menu(patient)[REGISTER_ALL].trigger()
    assert slicer.util.selectedModule() == "MedDLRegister"
    assert widget.ui.fixedSelector.currentNode() is nodes[0]  # which is not registered to itself
    assert widget._scope.count == 2 and "All 2 volumes of 'patient'" in widget._scope.combo.currentText
    menu(item_of(nodes[2]))[REGISTER].menu().actions()[0].trigger()
    assert widget._scope.single


def test_segment_all_and_apply_segments_all(scene, thresholding):
    _nodes, patient, _study = scene
    menu(patient)[ALL].trigger()
    widget = slicer.util.getModuleWidget("MedDLSeg")
    widget.ui.applyButton.click()
    finished(widget, 60)
    assert not host.errors() and len(segmentations()) == 3


def test_super_resolve_opens_the_module_with_the_volume(scene):
    nodes, _patient, _study = scene
    menu(item_of(nodes[2]))[SHARPEN].trigger()
    assert slicer.util.selectedModule() == "MedDLSuperRes"
    assert slicer.util.getModuleWidget("MedDLSuperRes").ui.inputSelector.currentNode() is nodes[2]


@pytest.mark.parametrize("before", ["Rigid", "Time series"])
def test_register_carries_the_clicked_volume_onto_the_chosen_one(scene, before):
    nodes, _patient, _study = scene
    widget = opened("MedDLRegister").widget
    widget.ui.presetComboBox.currentText = before
    for moving, fixed in ((0, 2), (2, 0), (1, 0)):
        targets = menu(item_of(nodes[moving]))[REGISTER].menu().actions()
        next(action for action in targets if action.text == f"head {fixed}").trigger()
        assert slicer.util.selectedModule() == "MedDLRegister"
        assert widget.ui.movingSelector.currentNode() is nodes[moving]
        assert widget.ui.fixedSelector.currentNode() is nodes[fixed]
        assert widget.ui.applyButton.enabled and not widget.series


def test_the_actions_are_added_once(scene):
    nodes, _patient, _study = scene
    handler = slicer.qSlicerSubjectHierarchyPluginHandler.instance()
    count = len(handler.registeredPlugins())
    for _ in range(2):
        data_menu.register()
    host.reload_module("MedDLSeg")
    assert len(handler.registeredPlugins()) == count
    menu(item_of(nodes[1]))[SEGMENT].trigger()
    assert slicer.util.getModuleWidget("MedDLSeg").ui.inputSelector.currentNode() is nodes[1]


def test_a_module_that_is_not_loaded_is_not_offered_and_without_a_window_there_is_no_menu():
    code = """
import sys
sys.path[:0] = ["Testing/Python", "Testing/Python/support", "MedDLLib"]
import host
app = host.install()
import slicer
from host.subject_hierarchy import context_menu
from meddl_slicer.panels.menu import data_menu
window, slicer.util.mainWindow = slicer.util.mainWindow, lambda verbose=True: None
data_menu.register()
assert slicer.qSlicerSubjectHierarchyPluginHandler.instance().pluginByName("MedDL") is None
slicer.util.mainWindow = window
host.load_module("MedDLSuperRes")
from bridge_scene import add_volume, ramp
nodes = [add_volume(ramp(), name=name) for name in "ab"]
item = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(nodes[0])
print(*(text for text in context_menu(item) if "MedDL" in text), sep="|")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=host.repository, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == SHARPEN

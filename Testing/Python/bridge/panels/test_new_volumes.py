"""A volume that is loaded while a panel is open becomes its input, where it has none yet."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, opened, phantom, process_events

from meddl_slicer.mrml import nodes
from meddl_slicer.panels.views.previews import add_hidden
from meddl_slicer.runs import tasks


def volume(name):
    return add_volume(phantom(), centered(np.eye(3)), name)


@pytest.fixture
def panel(clean):
    widget = opened("MedDLRegister").widget
    yield widget
    widget.run.cancel()


def chosen(widget):
    process_events(seconds=0.05)
    return widget.ui.fixedSelector.currentNode(), widget.ui.movingSelector.currentNode()


def test_the_first_is_the_fixed_and_the_second_the_moving_one(panel):
    assert chosen(panel) == (None, None)
    first = volume("first")
    assert chosen(panel) == (first, None)
    second = volume("second")
    assert chosen(panel) == (first, second)
    volume("third")
    assert chosen(panel) == (first, second)


def test_a_node_is_chosen_once_its_voxels_are_there(panel):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "late")
    assert chosen(panel) == (None, None)
    node.SetAndObserveImageData(nodes.image_from_array(phantom()))
    assert chosen(panel) == (node, None)


def test_a_choice_is_never_replaced(panel):
    first = volume("first")
    process_events(seconds=0.05)
    panel.ui.movingSelector.setCurrentNode(first)
    volume("second")
    assert chosen(panel) == (first, first)


def test_labels_and_previews_are_passed_over(panel):
    add_volume(phantom(), centered(np.eye(3)), "labels", "vtkMRMLLabelMapVolumeNode")
    add_hidden("vtkMRMLScalarVolumeNode", "preview").SetAndObserveImageData(nodes.image_from_array(phantom()))
    assert chosen(panel) == (None, None)


def test_results_of_runs_are_passed_over(panel):
    made = tasks.run("bridge_targets:counting", 1, apply=lambda count: volume("result"))
    assert chosen(panel) == (None, None) and slicer.mrmlScene.IsNodePresent(made)


def test_a_panel_that_is_not_open_chooses_nothing(panel):
    opened("MedDLSuperRes")
    loaded = volume("for another")
    process_events(seconds=0.05)
    assert opened("MedDLSuperRes").widget.ui.inputSelector.currentNode() is loaded
    assert panel.logic.getParameterNode().fixedVolume is None


def test_a_volume_that_leaves_at_once_is_not_chosen(panel):
    slicer.mrmlScene.RemoveNode(volume("gone"))
    assert chosen(panel) == (None, None)

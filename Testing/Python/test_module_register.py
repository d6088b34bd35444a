"""MedDLRegister, clicked through, with the real registration in the real worker."""

import numpy as np
import pytest
import slicer
from bridge_scene import (  # noqa: F401
    add_volume,
    add_warp,
    bridge_worker,
    centered,
    clean,
    finished,
    opened,
    process_events,
    scene_contents,
    turned,
)

import host
from meddl.config import RegisterConfig
from meddl_slicer import nodes, runs

MOTION = turned(8, (6.0, -4.0, 3.0))


def lobes(shape=(48, 44, 40)):
    """A smooth asymmetric object, int16."""
    places = np.indices(shape).reshape(3, -1).T - (np.array(shape) - 1) / 2
    image = np.zeros(len(places))
    for center, width, height in (((0, 0, 0), 11, 600), ((8, -5, 3), 4, 500), ((-9, 6, -4), 5, -400),
                                  ((3, 9, 8), 3, 700)):
        image += height * np.exp(-((places - center) ** 2).sum(axis=1) / (2 * width**2))
    return image.clip(0).reshape(shape).astype(np.int16)


@pytest.fixture
def pair(clean):  # noqa: F811
    affine = centered(np.diag([2.0, 2.0, 2.0]), (48, 44, 40))
    return add_volume(lobes(), affine, "fixed"), add_volume(lobes(), MOTION @ affine, "moving")


@pytest.fixture
def widget(pair):
    widget = opened("MedDLRegister").widget
    widget.ui.fixedSelector.setCurrentNode(pair[0])
    widget.ui.movingSelector.setCurrentNode(pair[1])
    yield widget
    widget.run.cancel()
    process_events(seconds=0.1)


def from_parent(node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformFromParent(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def largest_error_mm(found, truth):
    corners = np.array([[x, y, z, 1] for x in (-30, 30) for y in (-30, 30) for z in (-30, 30)], float)
    return np.linalg.norm((corners @ (found - truth).T)[:, :3], axis=1).max()


def test_apply_carries_the_moving_volume_onto_the_fixed_one(widget, pair):
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()
    node = widget.ui.outputSelector.currentNode()
    assert node.GetName() == "moving to fixed"
    assert largest_error_mm(from_parent(node), MOTION) < 1.0
    warped = widget.ui.warpedSelector.currentNode()
    assert np.array_equal(nodes.affine_of_node(warped), nodes.affine_of_node(pair[0]))
    inside = (slice(4, -4),) * 3
    difference = nodes.volume_from_node(warped).data[0][inside].astype(float) - lobes()[inside]
    assert np.abs(difference).mean() < 0.05 * np.abs(lobes()[inside]).mean()
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == pair[0].GetID()
    assert composite.GetForegroundVolumeID() == warped.GetID()


def test_a_linear_result_is_a_linear_transform(widget):
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert widget.ui.outputSelector.currentNode().IsLinear()


def test_volumes_under_transforms_are_registered_where_they_are_seen(clean):  # noqa: F811
    affine = centered(np.diag([2.0, 2.0, 2.0]), (48, 44, 40))
    fixed, moving = add_volume(lobes(), affine, "fixed"), add_volume(lobes(), affine, "moving")
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(MOTION))
    moving.SetAndObserveTransformNodeID(parent.GetID())
    opened("MedDLRegister")
    node = slicer.util.getModuleLogic("MedDLRegister").register(fixed, moving)
    assert largest_error_mm(from_parent(node), MOTION) < 1.0
    assert moving.GetTransformNodeID() == parent.GetID()
    assert node.GetNodeReference(runs.WARPED_ROLE) is None


def test_the_same_volume_twice_is_refused_with_the_reason(widget, pair):
    widget.ui.movingSelector.setCurrentNode(pair[0])
    assert not widget.ui.applyButton.enabled
    assert "are the same" in widget.ui.applyButton.toolTip


def test_the_warped_volume_never_overwrites_an_input(widget, pair):
    widget.ui.warpedSelector.setCurrentNode(pair[1])
    assert not widget.ui.applyButton.enabled
    assert "overwrite" in widget.ui.applyButton.toolTip
    widget.ui.warpCheckBox.checked = False
    assert widget.ui.applyButton.enabled


def test_a_transform_that_moves_an_input_is_no_output(widget, pair):
    outer = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "outer")
    inner = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "inner")
    inner.SetAndObserveTransformNodeID(outer.GetID())
    pair[1].SetAndObserveTransformNodeID(inner.GetID())
    widget.ui.outputSelector.setCurrentNode(outer)
    assert not widget.ui.applyButton.enabled
    assert "already moves an input" in widget.ui.applyButton.toolTip
    widget.ui.outputSelector.setCurrentNode(None)
    assert widget.ui.applyButton.enabled


def test_the_widgets_show_the_defaults_of_the_config(widget):
    assert widget.ui.transformComboBox.currentText == RegisterConfig().transform
    assert widget.ui.metricComboBox.currentText == RegisterConfig().metric
    assert widget.ui.startComboBox.currentText == RegisterConfig().start
    assert widget.ui.searchRotationsSpinBox.value == RegisterConfig().search_rotations


def test_cancel_leaves_the_scene(widget):
    before = scene_contents()
    widget.ui.applyButton.click()
    process_events(lambda: widget.run.running and widget.ui.progressBar.value > 0)
    widget.ui.applyButton.click()
    process_events(seconds=1.0)
    assert scene_contents() == before


def test_two_volumes_of_the_scene_are_chosen_to_begin_with(pair):
    widget = opened("MedDLRegister").widget
    widget.initializeParameterNode()
    chosen = {widget.ui.fixedSelector.currentNode(), widget.ui.movingSelector.currentNode()}
    assert chosen == set(pair)
    assert widget.ui.applyButton.enabled

"""MedDLSuperRes, clicked through, with the real interpolation in the real worker."""

import numpy as np
import pytest
import slicer
from bridge_scene import (  # noqa: F401
    add_linear_transform,
    add_volume,
    add_warp,
    bridge_worker,
    centered,
    clean,
    finished,
    opened,
    phantom,
    process_events,
    scene_contents,
    turned,
)

import host
from meddl.config import SuperResolveConfig
from meddl_slicer import nodes

THICK = turned(25)[:3, :3] @ np.diag([-1.0, 1.0, 4.0])


@pytest.fixture
def thick(clean):  # noqa: F811
    return add_volume(phantom(), centered(THICK), "thick")


@pytest.fixture
def widget(thick):
    widget = opened("MedDLSuperRes").widget
    widget.ui.inputSelector.setCurrentNode(thick)
    yield widget
    widget.run.cancel()
    process_events(seconds=0.1)


def corners_mm(node):
    volume = nodes.volume_from_node(node)
    shape = np.array(volume.shape)
    ends = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * shape - 0.5
    return volume.grid.points_mm(ends)


def test_apply_makes_small_voxels_over_the_same_field_of_view(widget, thick):
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    sharp = widget.ui.outputSelector.currentNode()
    assert sharp.GetName() == "thick sharp"
    assert sharp.GetSpacing() == pytest.approx((1, 1, 1))
    assert np.allclose(corners_mm(sharp), corners_mm(thick))
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == thick.GetID()
    assert composite.GetForegroundVolumeID() == sharp.GetID()
    assert composite.GetForegroundOpacity() == 1


def test_the_wished_voxel_size_is_reached(widget):
    widget.ui.targetSpacingSpinBox.value = 2.0
    widget.ui.applyButton.click()
    finished(widget)
    assert widget.ui.outputSelector.currentNode().GetSpacing() == pytest.approx((1, 1, 2))


def test_an_automatic_voxel_size_is_told_in_words(widget):
    assert widget.ui.targetSpacingSpinBox.value == 0
    assert widget.ui.targetSpacingSpinBox.text == "Smallest of the volume"


def test_the_result_lies_under_the_transform_of_its_source(thick):
    transform = add_linear_transform(turned(40))
    thick.SetAndObserveTransformNodeID(transform.GetID())
    opened("MedDLSuperRes")
    sharp = slicer.util.getModuleLogic("MedDLSuperRes").superResolve(thick)
    assert sharp.GetTransformNodeID() == transform.GetID()
    assert np.allclose(corners_mm(sharp), corners_mm(thick))


def test_under_a_nonlinear_transform_the_result_lies_in_the_world(thick):
    thick.SetAndObserveTransformNodeID(add_warp((5.0, 3.0, 0.0), 5.0).GetID())
    opened("MedDLSuperRes")
    sharp = slicer.util.getModuleLogic("MedDLSuperRes").superResolve(thick)
    assert sharp.GetTransformNodeID() is None
    assert np.allclose(corners_mm(sharp), corners_mm(thick), atol=1e-3)


def test_the_input_is_never_the_output(widget, thick):
    widget.ui.outputSelector.setCurrentNode(thick)
    assert not widget.ui.applyButton.enabled
    assert "overwrite" in widget.ui.applyButton.toolTip


def test_the_input_is_unchanged(widget, thick):
    before = slicer.util.arrayFromVolume(thick).copy()
    widget.ui.applyButton.click()
    finished(widget)
    assert np.array_equal(slicer.util.arrayFromVolume(thick), before)


def test_an_impossible_target_is_told_and_the_scene_stays(thick):
    opened("MedDLSuperRes")
    before = scene_contents()
    with pytest.raises(ValueError):
        slicer.util.getModuleLogic("MedDLSuperRes").superResolve(
            thick, config=SuperResolveConfig(target_spacing_mm=-1.0))
    assert scene_contents() == before

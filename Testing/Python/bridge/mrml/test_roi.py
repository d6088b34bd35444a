"""A region of interest is read where it is seen, however it is turned."""

import numpy as np
import pytest
import slicer
import vtk
from bridge_scene import OBLIQUE, add_linear_transform, add_volume, add_warp, ramp, turned
from nnunet_folder import write_nnunet

import meddl
from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.models.store.store import ModelStore
from meddl.segmentation.region_of_interest import inside_roi
from meddl.spatial.grid import Grid
from meddl_slicer.mrml.nodes import volume_from_node
from meddl_slicer.mrml.roi import read_roi
from meddl_slicer.runs import verbs


@pytest.fixture(autouse=True)
def empty_scene():
    slicer.mrmlScene.Clear(0)
    yield
    slicer.mrmlScene.Clear(0)


def add_roi(center=(5.0, -10.0, 20.0), size=(20.0, 30.0, 16.0), turn=None):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    node.SetCenter(center)
    node.SetSize(size)
    if turn is not None:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn[:3, :3], center
        node.GetObjectToNodeMatrix().DeepCopy(slicer.util.vtkMatrixFromArray(matrix))
    return node


def seen_inside(node, points: np.ndarray) -> np.ndarray:
    """What Slicer itself says: distance to the box's planes, in world RAS mm."""
    planes = vtk.vtkPlanes()
    node.GetTransformedPlanes(planes)
    return np.array([planes.EvaluateFunction(point) <= 1e-6 for point in points])


@pytest.mark.parametrize("turn", [None, turned(35.0)])
@pytest.mark.parametrize("parents", [(), (turned(-25.0),), (turned(10.0), turned(50.0, (3, 4, 5)))])
def test_a_box_is_the_one_that_slicer_shows(turn, parents):
    node, above = add_roi(turn=turn), None
    for matrix in parents:
        parent = add_linear_transform(matrix)
        if above is not None:
            parent.SetAndObserveTransformNodeID(above.GetID())
        above = parent
    if above is not None:
        node.SetAndObserveTransformNodeID(above.GetID())
    center = np.zeros(3)
    node.GetCenterWorld(center)
    affine = np.eye(4)
    affine[:3, :3] *= 3.1
    affine[:3, 3] = center - 3.1 * 8
    grid = Grid((17, 17, 17), affine)
    inside = inside_roi(read_roi(node, None), grid)
    points = grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)).reshape(-1, 3)
    assert (inside.reshape(-1) == seen_inside(node, points)).all()
    assert 100 < inside.sum() < inside.size / 2


def test_a_label_map_counts_where_it_is_not_background():
    node = add_volume((ramp() % 3).astype(np.uint8), OBLIQUE, kind="vtkMRMLLabelMapVolumeNode")
    masks = read_roi(node, None)
    assert len(masks) == 1 and np.allclose(masks[0].affine, OBLIQUE)
    with pytest.raises(InputError, match="empty"):
        read_roi(add_volume(np.zeros((4, 4, 4), np.uint8), kind="vtkMRMLLabelMapVolumeNode"), None)


def test_what_is_no_region_is_refused():
    with pytest.raises(InputError, match="markups ROI"):
        read_roi(add_volume(ramp()), None)
    with pytest.raises(InputError, match="no size"):
        read_roi(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode"), None)
    warped = add_roi()
    warped.SetAndObserveTransformNodeID(add_warp(bend_mm=10).GetID())
    with pytest.raises(InputError, match="linear"):
        read_roi(warped, None)


@pytest.fixture
def small_model(tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    return ModelStore().import_model(write_nnunet(tmp_path / "model", mirror=None), identifier="small").id


def test_a_volume_under_a_transform_is_segmented_inside_a_turned_box_alone(small_model, own_worker):
    data = np.random.default_rng(0).normal(100, 30, (24, 20, 22)).astype(np.float32)
    head = add_volume(data, np.diag([2.0, 2.5, 2.0, 1.0]))
    head.SetAndObserveTransformNodeID(add_linear_transform(turned(20.0)).GetID())
    volume = volume_from_node(head)
    roi = add_roi(volume.grid.center_mm, (24.0, 18.0, 30.0), turned(40.0))
    config = SegmentConfig(float32=True)
    node = verbs.segment_node(head, small_model, config, roiNode=roi, device="cpu")
    inside = inside_roi(read_roi(roi, head), volume.grid)
    expected = np.where(inside, meddl.segment(volume, small_model, config, device="cpu").labels, 0)
    content = node.GetSegmentation()
    assert content.GetNumberOfSegments() == len(np.unique(expected)) - 1 > 0
    for index in range(content.GetNumberOfSegments()):
        name = content.GetNthSegmentID(index)
        found = slicer.util.arrayFromSegmentBinaryLabelmap(node, name, head).transpose(2, 1, 0)
        assert (found.astype(bool) == (expected == content.GetNthSegment(index).GetLabelValue())).all()

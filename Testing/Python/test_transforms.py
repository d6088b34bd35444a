"""A registration as a transform node carries moving points onto fixed points."""

import numpy as np
import pytest
import slicer
import vtk
from bridge_scene import AFFINES, add_volume, centered, phantom, turned

from meddl.errors import GeometryError
from meddl.geometry import Grid
from meddl.results import Registration
from meddl.volume import Volume
from meddl_slicer import nodes, transforms

GRID = Grid((12, 10, 8), centered(np.diag([8.0, 9.0, 10.0]), (12, 10, 8)))
POINTS = np.random.default_rng(0).uniform(-30, 30, (40, 3))


@pytest.fixture(autouse=True)
def empty_scene():
    slicer.mrmlScene.Clear(0)
    yield
    slicer.mrmlScene.Clear(0)


def through(node, points, to_parent):
    transform = node.GetTransformToParent() if to_parent else node.GetTransformFromParent()
    return np.array([transform.TransformPoint(*point) for point in points])


def bend(grid=GRID):
    """A smooth displacement field on the grid, mm along R, A, S."""
    places = grid.points_mm(np.indices(grid.shape).reshape(3, -1).T)
    field = np.stack([4 * np.sin(places[:, 1] / 25), 3 * np.cos(places[:, 0] / 30), places[:, 2] / 20])
    return Volume(field.reshape(3, *grid.shape), grid.affine)


def test_a_linear_result_is_a_matrix_from_fixed_to_moving():
    node = transforms.create_transform_node(Registration(turned(), None, GRID), "moving to fixed")
    assert node.IsLinear()
    assert np.allclose(through(node, POINTS, to_parent=False), Registration(turned(), None, GRID).points(POINTS))


def test_the_moving_volume_lands_on_the_fixed_one():
    fixed = add_volume(phantom(), AFFINES["oblique"], "fixed")
    moving = add_volume(phantom(), turned(40, (15, -3, 8)) @ AFFINES["oblique"], "moving")
    registration = Registration(turned(40, (15, -3, 8)), None, nodes.volume_from_node(fixed).grid)
    node = transforms.create_transform_node(registration, "moving to fixed")
    moving.SetAndObserveTransformNodeID(node.GetID())
    assert np.allclose(nodes.volume_from_node(moving).affine, nodes.volume_from_node(fixed).affine)


def test_hardening_the_node_on_the_moving_volume_equals_the_warp():
    array = phantom().astype(np.float32)
    fixed = add_volume(array, centered(np.eye(3)), "fixed")
    shift = np.eye(4)
    shift[:3, 3] = (3.0, -2.0, 1.0)
    moving = add_volume(array, shift @ centered(np.eye(3)), "moving")
    registration = Registration(shift, None, nodes.volume_from_node(fixed).grid)
    warped = registration.warp(nodes.volume_from_node(moving))
    assert np.allclose(warped.data[0], array, atol=1e-2)
    moving.SetAndObserveTransformNodeID(transforms.create_transform_node(registration, "t").GetID())
    moving.HardenTransform()
    assert np.allclose(nodes.volume_from_node(moving).affine, centered(np.eye(3)))


@pytest.mark.parametrize("affine", [np.eye(4), turned()], ids=["no affine", "affine after"])
@pytest.mark.parametrize("grid", [GRID, Grid((12, 10, 8), turned(30, (0, 0, 0)) @ GRID.affine),
                                  Grid((12, 10, 8), np.diag([-1.0, 1, 1, 1]) @ GRID.affine)],
                         ids=["straight", "oblique", "left-handed"])
def test_a_deformable_result_sends_points_where_the_registration_does(affine, grid):
    registration = Registration(affine, bend(grid), grid)
    node = transforms.create_transform_node(registration, "bent")
    assert not node.IsLinear()
    assert np.allclose(through(node, POINTS, to_parent=False), registration.points(POINTS), atol=1e-3)


def test_slicer_inverts_the_deformation():
    registration = Registration(turned(), bend(), GRID)
    node = transforms.create_transform_node(registration, "bent")
    moved = through(node, POINTS, to_parent=False)
    assert np.allclose(through(node, moved, to_parent=True), POINTS, atol=0.05)


def test_a_pure_deformation_is_one_grid_transform():
    node = transforms.create_transform_node(Registration(np.eye(4), bend(), GRID), "bent")
    array = slicer.util.arrayFromGridTransform(node)
    assert np.allclose(array.transpose(3, 2, 1, 0), bend().data)


def test_a_sheared_grid_is_refused():
    sheared = GRID.affine.copy()
    sheared[0, 1] = 3.0
    with pytest.raises(GeometryError, match="right angles"):
        transforms.grid_transform(Volume(bend().data, sheared))


def test_a_chosen_node_is_filled():
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "mine")
    assert transforms.create_transform_node(Registration(turned(), None, GRID), "other", chosen) is chosen
    assert chosen.GetName() == "mine"
    assert chosen.IsLinear()


def test_a_linear_node_reads_back_as_a_registration():
    node = transforms.create_transform_node(Registration(turned(), None, GRID), "t")
    assert np.allclose(transforms.registration_from_node(node, GRID).affine, turned())
    bent = transforms.create_transform_node(Registration(np.eye(4), bend(), GRID), "bent")
    with pytest.raises(GeometryError, match="linear"):
        transforms.registration_from_node(bent, GRID)


def test_the_file_of_the_node_and_of_the_registration_say_the_same(tmp_path):
    registration = Registration(turned(), None, GRID)
    registration.save(tmp_path / "ours.h5")
    node = slicer.util.loadTransform(str(tmp_path / "ours.h5"))
    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformFromParent(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), turned(), atol=1e-6)

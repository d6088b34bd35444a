"""A registration as a transform node carries moving points onto fixed points."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from bridge_scene import AFFINES, add_linear_transform, add_volume, add_warp, centered, phantom, turned

from meddl.core.errors import GeometryError
from meddl.io import load_transform
from meddl.results import Registration
from meddl.spatial.grid import Grid, centered_grid
from meddl.spatial.volume import Volume
from meddl_slicer.mrml import nodes, transforms

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


GRIDS = {"straight": GRID, "oblique": Grid((12, 10, 8), turned(30, (0, 0, 0)) @ GRID.affine),
         "left-handed": Grid((12, 10, 8), np.diag([-1.0, 1, 1, 1]) @ GRID.affine),
         "anisotropic": Grid((24, 20, 5), centered(np.diag([4.0, 4.0, 15.0]), (24, 20, 5)))}


def inside(grid, count=400):
    """Points in the field of view, to its very edge."""
    return grid.points_mm(np.random.default_rng(1).uniform(-0.5, np.array(grid.shape) - 0.5, (count, 3)))


@pytest.mark.parametrize("affine", [np.eye(4), turned()], ids=["no affine", "affine after"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_a_deformable_result_sends_points_where_the_registration_does(affine, grid):
    registration = Registration(affine, bend(grid), grid)
    node = transforms.create_transform_node(registration, "bent")
    assert not node.IsLinear()
    assert node.GetTransformFromParentAs("vtkOrientedGridTransform", False) is not None
    points = inside(grid)
    assert np.abs(through(node, points, to_parent=False) - registration.points(points)).max() < 1e-3


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_a_displacement_on_a_coarse_grid_is_sent_as_it_is(grid):
    coarse = Registration(turned(12, (3, 4, 5)), bend(centered_grid(grid, grid.spacing_mm * 1.6)), grid)
    node, points = transforms.create_transform_node(coarse, "bent"), inside(grid)
    assert np.abs(through(node, points, to_parent=False) - coarse.points(points)).max() < 1e-3


def test_slicer_inverts_the_deformation_in_the_whole_moving_volume():
    registration = Registration(turned(15, (10, -20, 5)), bend(), GRID)
    node, points = transforms.create_transform_node(registration, "bent"), inside(GRID)
    assert np.abs(through(node, registration.points(points), to_parent=True) - points).max() < 0.01


def test_far_outside_nothing_moves():
    node = transforms.create_transform_node(Registration(turned(), bend(), GRID), "bent")
    far = POINTS + 2000
    np.testing.assert_allclose(through(node, far, to_parent=False), far)


def test_a_map_that_turns_too_far_for_one_field_is_a_field_and_a_matrix():
    registration = Registration(turned(170), bend(), GRID)
    node, points = transforms.create_transform_node(registration, "bent"), inside(GRID)
    moved = registration.points(points)
    assert np.abs(through(node, points, to_parent=False) - moved).max() < 1e-3
    assert np.abs(through(node, moved, to_parent=True) - points).max() < 0.01


def test_a_deformation_is_the_flattened_field_of_the_registration():
    registration = Registration(np.eye(4), bend(), GRID)
    array = slicer.util.arrayFromGridTransform(transforms.create_transform_node(registration, "bent"))
    np.testing.assert_array_equal(array.transpose(3, 2, 1, 0), registration.flatten().data)


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
    parent = add_linear_transform(turned(20, (1, 2, 3)))
    node.SetAndObserveTransformNodeID(parent.GetID())
    found = transforms.registration_from_node(node)
    np.testing.assert_allclose(found.affine, turned() @ np.linalg.inv(turned(20, (1, 2, 3))), atol=1e-9)


@pytest.mark.parametrize("degrees", [15, 170])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_a_deformable_node_reads_back_as_a_registration(grid, degrees):
    registration = Registration(turned(degrees), bend(grid), grid)
    found = transforms.registration_from_node(transforms.create_transform_node(registration, "t"), grid)
    points = inside(grid)
    assert np.abs(found.points(points) - registration.points(points)).max() < 1e-3
    assert found.grid is grid


def test_other_transforms_are_refused():
    with pytest.raises(GeometryError, match="displacement field from parent"):
        transforms.registration_from_node(add_warp((1, 2, 3), 5))  # to parent
    node = transforms.create_transform_node(Registration(np.eye(4), bend(), GRID), "t")
    node.SetAndObserveTransformNodeID(add_linear_transform(turned()).GetID())
    with pytest.raises(GeometryError, match="displacement field from parent"):
        transforms.registration_from_node(node)


@pytest.mark.parametrize(("tolerance_mm", "within_mm"), [(0, 1e-3), (0.01, 0.011)])
@pytest.mark.parametrize("suffix", [".h5", ".tfm", ".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_slicer_reads_the_file_of_a_deformable_registration(tmp_path, grid, suffix, tolerance_mm, within_mm):
    registration = Registration(turned(15), bend(grid), grid)
    registration.save(tmp_path / f"ours{suffix}", tolerance_mm)
    node, points = slicer.util.loadTransform(str(tmp_path / f"ours{suffix}")), inside(grid)
    transform = node.GetTransformFromParentAs("vtkOrientedGridTransform", False)
    transform.SetInterpolationModeToLinear()  # read from a file it is cubic
    assert np.abs(through(node, points, to_parent=False) - registration.points(points)).max() < within_mm


@pytest.mark.parametrize("suffix", [".h5", ".nrrd"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_simpleitk_reads_what_slicer_saves_of_the_node(tmp_path, grid, suffix):
    registration = Registration(turned(15), bend(grid), grid)
    node = transforms.create_transform_node(registration, "bent")
    assert slicer.util.saveNode(node, str(tmp_path / f"theirs{suffix}"))
    points, far = inside(grid), inside(grid) * 4 + 40
    found = load_transform(tmp_path / f"theirs{suffix}")
    assert np.abs(found.points(points) - registration.points(points)).max() < 1e-3
    assert np.abs(found.points(far) - through(node, far, to_parent=False)).max() < 1e-3
    image = sitk.ReadImage(str(tmp_path / f"theirs{suffix}"), sitk.sitkVectorFloat64) if suffix == ".nrrd" else None
    itk = sitk.ReadTransform(str(tmp_path / "theirs.h5")) if image is None else sitk.DisplacementFieldTransform(image)
    flip = np.array([-1.0, -1, 1])
    for places in (points, far):
        moved = np.array([itk.TransformPoint((flip * point).tolist()) for point in places]) * flip
        assert np.abs(moved - through(node, places, to_parent=False)).max() < 1e-3


def test_the_file_of_the_node_and_of_the_registration_say_the_same(tmp_path):
    registration = Registration(turned(), None, GRID)
    registration.save(tmp_path / "ours.h5")
    node = slicer.util.loadTransform(str(tmp_path / "ours.h5"))
    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformFromParent(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), turned(), atol=1e-6)

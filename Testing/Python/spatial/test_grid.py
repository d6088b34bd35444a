"""Grids: what they promise about points."""


import numpy as np
import pytest
from affines import ALL_CODES, random_affine
from hypothesis import given
from hypothesis import strategies as st

from meddl.core.errors import GeometryError
from meddl.spatial.grid import Grid, axis_codes, centered_grid, check_affine, grid_around, reorient_grid, reorientation


def test_there_are_48_orientations():
    assert len(set(ALL_CODES)) == 48


@pytest.mark.parametrize("codes", ALL_CODES)
def test_axis_codes_name_the_orientation_that_was_asked_for(codes):
    grid = Grid((5, 6, 7), random_affine(1) * 0 + np.diag([1, 2, 3, 1]))
    turned = reorient_grid(grid, codes)
    assert axis_codes(turned.affine) == codes
    assert axis_codes(reorient_grid(turned, "RAS").affine) == "RAS"
    np.testing.assert_allclose(reorient_grid(turned, "RAS").affine, grid.affine, atol=1e-12)


@given(seed=st.integers(0, 10_000), codes=st.sampled_from(ALL_CODES), left_handed=st.booleans())
def test_reorienting_keeps_every_voxel_where_it_is(seed, codes, left_handed):
    grid = Grid((4, 5, 6), random_affine(seed, left_handed))
    permutation, flips = reorientation(grid.affine, codes)
    turned = reorient_grid(grid, codes)
    index = np.array([1, 2, 3])
    moved = [grid.shape[p] - 1 - index[p] if f else index[p] for p, f in zip(permutation, flips, strict=True)]
    np.testing.assert_allclose(turned.points_mm(moved), grid.points_mm(index), atol=1e-9)


def test_a_volume_turned_by_45_degrees_gets_three_different_axes():
    turn = np.eye(4)
    turn[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    permutation, _ = reorientation(turn, "RAS")
    assert sorted(permutation) == [0, 1, 2]


@given(seed=st.integers(0, 10_000), new=st.tuples(*[st.floats(0.2, 12)] * 3))
def test_a_centered_grid_keeps_center_and_directions_and_nearly_the_field_of_view(seed, new):
    grid = Grid((40, 30, 9), random_affine(seed))
    other = centered_grid(grid, new)
    np.testing.assert_allclose(other.center_mm, grid.center_mm, atol=1e-8)
    np.testing.assert_allclose(other.spacing_mm, new, rtol=1e-9)
    np.testing.assert_allclose(other.directions, grid.directions, atol=1e-9)
    allowed = np.maximum(np.array(new) / 2, new - grid.extent_mm) + 1e-9
    assert (np.abs(other.extent_mm - grid.extent_mm) <= allowed).all()


def test_indices_and_points_are_inverse():
    grid = Grid((4, 5, 6), random_affine(3))
    points = np.random.default_rng(0).uniform(-50, 50, (10, 3))
    np.testing.assert_allclose(grid.points_mm(grid.indices(points)), points, atol=1e-9)


def test_a_grid_around_a_point_has_it_in_its_center():
    grid = grid_around(np.array([1.0, 2, 3]), (4, 5, 6), np.diag([1.0, 2, 3]))
    np.testing.assert_allclose(grid.center_mm, (1, 2, 3))


def test_same_as_sees_a_shift_of_half_a_voxel():
    grid = Grid((4, 5, 6), np.eye(4))
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    assert grid.same_as(Grid((4, 5, 6), np.eye(4)))
    assert not grid.same_as(Grid((4, 5, 6), shifted))
    assert not grid.same_as(Grid((4, 5, 7), np.eye(4)))


@pytest.mark.parametrize("affine", [
    np.zeros((4, 4)), np.eye(3), np.diag([1, 1, 0, 1]), np.full((4, 4), np.nan), np.diag([1, 1, 1, 2]),
    np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
])
def test_an_impossible_affine_is_refused(affine):
    with pytest.raises(GeometryError):
        check_affine(affine)


@pytest.mark.parametrize("codes", ["RRS", "XYZ", "RA", "RASL"])
def test_impossible_codes_are_refused(codes):
    with pytest.raises(GeometryError):
        reorientation(np.eye(4), codes)


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, 2), (1, 2, 3, 4)])
def test_an_impossible_shape_is_refused(shape):
    with pytest.raises(GeometryError):
        Grid(shape, np.eye(4))


@pytest.mark.parametrize("spacing", [0, -1, np.nan, (1, 1, 0)])
def test_an_impossible_spacing_is_refused(spacing):
    with pytest.raises(GeometryError):
        centered_grid(Grid((4, 4, 4), np.eye(4)), spacing)

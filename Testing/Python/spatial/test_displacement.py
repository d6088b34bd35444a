"""Displacement fields: composed, inverted, differentiated and flattened into one field."""

import numpy as np
import pytest
from affines import random_affine
from displacements import GRIDS, grid, inside, oblique, smooth, turned  # noqa: F401

from meddl.core.errors import Cancelled
from meddl.spatial import displacement
from meddl.spatial.flatten import flatten
from meddl.spatial.grid import Grid, centered_grid, is_orthonormal
from meddl.spatial.resample import resample, sample_at
from meddl.spatial.volume import Volume


def mapped(affine, displacement, points):
    if displacement is not None:
        points = points + sample_at(displacement, points)
    return points @ affine[:3, :3].T + affine[:3, 3]


# --- sampling ---


def test_points_and_resampling_read_a_coarse_displacement_alike_also_outside_of_it():
    fine = oblique((1, 1, 1), shape=(30, 32, 28))
    coarse = smooth(centered_grid(fine, 4), 3, 6)
    ramp = np.zeros((1, 50, 50, 50), np.float32)
    ramp[0] = np.arange(50)[:, None, None]
    image = Volume(ramp, np.array([[1, 0, 0, -25], [0, 1, 0, -25], [0, 0, 1, -25], [0, 0, 0, 1.0]]))
    warped = resample(image, fine, displacement=coarse).scalar_data
    places = np.argwhere(np.ones(fine.shape, bool))
    points = fine.points_mm(places)
    expected = (mapped(np.eye(4), coarse, points) + 25)[:, 0]
    seen = (expected > 0) & (expected < 49) & (np.abs(points) < 20).all(axis=1)
    assert seen.sum() > 5000
    assert np.abs(warped.reshape(-1) - expected)[seen].max() < 1e-3
    corner = coarse.grid.points_mm([-0.5, -0.5, -0.5])[None]
    np.testing.assert_allclose(sample_at(coarse, corner)[0], coarse.data[:, 0, 0, 0], atol=1e-6)


# --- composition ---


def test_two_maps_composed_move_points_as_one_after_the_other(grid):
    first, second = smooth(grid, 4), smooth(grid, 4, seed=5)
    points = inside(grid, margin=2)
    affine, field = displacement.compose(turned(), first, turned(-0.2), second)
    expected = mapped(turned(-0.2), second, mapped(turned(), first, points))
    assert np.linalg.norm(mapped(affine, field, points) - expected, axis=1).mean() < 0.05


@pytest.mark.parametrize("order", ["linear first", "linear last", "linear only"])
def test_composition_with_a_linear_map_is_exact(grid, order):
    field = smooth(grid)
    first, second = {"linear first": (None, field), "linear last": (field, None), "linear only": (None, None)}[order]
    points = inside(grid)
    if order == "linear first":  # then the field is where the linear map leads
        points = mapped(np.linalg.inv(turned()), None, points)
    affine, composed = displacement.compose(turned(), first, turned(-0.2), second)
    expected = mapped(turned(-0.2), second, mapped(turned(), first, points))
    assert np.abs(mapped(affine, composed, points) - expected).max() < 1e-4


# --- inversion ---


def test_points_find_their_way_back(grid):
    field, points = smooth(grid, 8), inside(grid)
    back, residual = displacement.inverse_points(turned(), field, mapped(turned(), field, points))
    assert np.abs(back - points).max() < 0.01
    assert residual.max() <= displacement.INVERSE_TOLERANCE_MM


def test_newton_solves_what_the_fixed_point_iteration_does_not():
    """A stretch by more than two: the field's slope is above one, where the simple iteration runs away."""
    grid = Grid((60, 9, 9), np.diag([1.0, 1, 1, 1]))
    x = np.arange(60.0)
    data = np.zeros((3, 60, 9, 9), np.float32)
    data[0] = (1.6 * np.clip(x - 20, 0, 20))[:, None, None]
    field = Volume(data, grid.affine)
    points = np.random.default_rng(0).uniform((5, 1, 1), (55, 7, 7), (500, 3))
    back, residual = displacement.inverse_points(np.eye(4), field, mapped(np.eye(4), field, points))
    assert np.abs(back - points).max() < 0.01
    assert residual.max() < 1e-3


def test_an_inverse_field_undoes_the_field_to_a_tenth_of_a_millimeter(grid):
    field = smooth(grid, 5, 12)
    affine, inverse, unsolved = displacement.invert(turned(), field, Grid(grid.shape, turned() @ grid.affine))
    points = inside(grid, margin=4)
    assert unsolved == 0
    missed = np.linalg.norm(mapped(affine, inverse, mapped(turned(), field, points)) - points, axis=1)
    assert np.percentile(missed, 99.9) < (0.1 if grid.spacing_mm.max() < 3 else 0.3)
    assert missed.mean() < 0.03


def test_a_field_that_folds_is_inverted_as_far_as_it_can_be(grid):
    field = smooth(grid, 25, 6)
    assert displacement.folding_percent(displacement.jacobian_determinant(field).data) > 0
    _, inverse, unsolved = displacement.invert(np.eye(4), field, grid)
    assert np.isfinite(inverse.data).all()
    assert unsolved < 0.5


def test_an_inversion_can_be_cancelled(grid):
    def stop(fraction, message):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        displacement.invert(np.eye(4), smooth(grid), grid, on_progress=stop)


# --- Jacobian ---


def test_the_determinant_of_a_linear_field_is_that_of_its_matrix(grid):
    matrix = np.array([[0.1, 0.05, -0.02], [-0.03, 0.2, 0.04], [0.06, 0.01, -0.15]])
    points = grid.points_mm(np.indices(grid.shape).reshape(3, -1).T)
    field = Volume((points @ matrix.T).T.reshape(3, *grid.shape).astype(np.float32), grid.affine)
    found = displacement.jacobian_determinant(field, turned()).scalar_data
    expected = np.linalg.det(np.eye(3) + matrix) * np.linalg.det(turned()[:3, :3])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_determinant_is_the_change_of_volume_seen_through_points(grid):
    field = smooth(grid, 6, 14)
    places = np.random.default_rng(2).integers(3, np.array(grid.shape) - 3, (50, 3))
    steps = np.concatenate([np.eye(3), -np.eye(3)])
    around = grid.points_mm(places[:, None] + steps)
    ends = mapped(turned(), field, around.reshape(-1, 3)).reshape(50, 2, 3, 3)
    starts = around.reshape(50, 2, 3, 3)
    ratio = np.linalg.det(ends[:, 0] - ends[:, 1]) / np.linalg.det(starts[:, 0] - starts[:, 1])
    found = displacement.jacobian_determinant(field, turned()).scalar_data[tuple(places.T)]
    np.testing.assert_allclose(found, ratio, atol=2e-3)


def test_slabs_leave_no_seams(monkeypatch):
    field = smooth(oblique())
    whole = displacement.jacobian_determinant(field).data
    monkeypatch.setattr(displacement, "_SLAB_POINTS", 44 * 36 * 3)
    np.testing.assert_allclose(displacement.jacobian_determinant(field).data, whole, atol=1e-6)


def test_folding_is_counted_in_percent():
    assert displacement.folding_percent(np.array([1.0, 0.5, 0.0, -1.0])) == 50
    assert displacement.folding_percent(np.ones(4)) == 0


def test_sd_log_jacobian_is_that_of_the_logarithms():
    assert displacement.sd_log_jacobian(np.exp([1.0, -1.0])) == pytest.approx(1.0)
    assert displacement.sd_log_jacobian(np.full(9, 2.0)) == pytest.approx(0)
    assert np.isnan(displacement.sd_log_jacobian(np.array([-1.0])))


# --- flattening ---


def test_a_flattened_map_is_the_map_within_the_fixed_field_of_view(grid):
    coarse = smooth(centered_grid(grid, grid.spacing_mm * 1.7), 5)
    flat, invertible = flatten(turned(), coarse, grid)
    points = inside(grid)
    assert invertible
    assert np.abs(points + sample_at(flat, points) - mapped(turned(), coarse, points)).max() < 1e-4


def test_a_flattened_map_ends_in_zeros_and_does_not_fold(grid):
    flat, invertible = flatten(turned(), smooth(grid, 4, 14), grid)
    assert invertible
    for axis in (1, 2, 3):
        for end in (0, -1):
            assert not np.take(flat.data, end, axis=axis).any()
    assert displacement.jacobian_determinant(flat).data.min() > 0.05


def test_a_flattened_map_can_be_inverted_everywhere(grid):
    field = smooth(grid, 4, 14)
    flat, _ = flatten(turned(), field, grid)
    points = inside(grid, margin=-8)
    back, residual = displacement.inverse_points(np.eye(4), flat, points + sample_at(flat, points))
    assert np.abs(back - points).max() < 0.02


def test_a_given_margin_is_kept():
    grid = GRIDS["oblique"]
    flat, _ = flatten(np.eye(4), smooth(grid), grid, margin_mm=20)
    assert flat.shape == tuple(np.array(grid.shape) + 2 * (10 + 1))  # and one that holds the outer half voxel


def test_a_half_turn_says_that_no_margin_would_do():
    grid = GRIDS["oblique"]
    assert not flatten(np.diag([-1.0, -1, 1, 1]), smooth(grid), grid)[1]
    far = turned(0, (1, 1, 1), (900, 900, 900))
    assert not flatten(far, smooth(grid), grid)[1]


def test_a_sheared_grid_is_flattened_on_one_with_right_angles():
    affine = oblique().affine.copy()
    affine[:3, 1] += 0.3 * affine[:3, 0]
    grid = Grid((40, 44, 36), affine)
    field = smooth(grid, 4, 14)
    flat, _ = flatten(turned(), field, grid)
    assert is_orthonormal(flat.grid)
    points = inside(grid, margin=2)
    assert np.abs(points + sample_at(flat, points) - mapped(turned(), field, points)).max() < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_a_linear_map_is_flattened_exactly_on_any_grid(seed):
    grid = Grid((20, 18, 16), random_affine(seed))
    flat, _ = flatten(turned(), None, grid)
    points = inside(grid)
    assert np.abs(points + sample_at(flat, points) - mapped(turned(), None, points)).max() < 1e-3

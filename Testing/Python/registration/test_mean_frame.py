"""The middle of affine maps and of fields of view."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meddl.core.errors import InputError
from meddl.registration.mean_frame import geometric_mean, mean_grid
from meddl.spatial.grid import Grid, reorient_grid


def affine(seed: int, size: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.eye(4)
    found[:3, :3] = Rotation.from_rotvec(rng.normal(size=3) * size).as_matrix() @ np.diag(np.exp(
        rng.normal(size=3) * size / 2))
    found[:3, 3] = rng.normal(size=3) * 20
    return found


def test_the_mean_of_one_is_itself_and_opposite_ways_cancel():
    np.testing.assert_allclose(geometric_mean([affine(0)]), affine(0), atol=1e-9)
    np.testing.assert_allclose(geometric_mean([affine(1), np.linalg.inv(affine(1))]), np.eye(4), atol=1e-8)


def test_the_mean_goes_along_with_a_change_of_space_and_knows_no_order():
    maps = [affine(seed) for seed in range(4)]
    before, after = affine(7, 0.6), affine(8, 0.6)
    mean = geometric_mean(maps)
    np.testing.assert_allclose(geometric_mean([after @ one @ before for one in maps]), after @ mean @ before, atol=1e-6)
    np.testing.assert_allclose(geometric_mean(maps[::-1]), mean, atol=1e-7)


def test_rotations_and_sizes_have_the_mean_that_one_expects():
    turns = [Rotation.from_euler("z", angle, degrees=True).as_matrix() for angle in (-10, 20, 50)]
    maps = [np.block([[turn, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]) for turn in turns]
    np.testing.assert_allclose(geometric_mean(maps)[:3, :3], Rotation.from_euler("z", 20, degrees=True).as_matrix(),
                               atol=1e-9)
    sizes = [np.diag([2.0, 1, 1, 1]), np.diag([8.0, 1, 1, 1])]
    assert geometric_mean(sizes)[0, 0] == pytest.approx(4)


def test_half_a_turn_has_no_middle():
    with pytest.raises(InputError, match="half a turn"):
        geometric_mean([np.eye(4), np.diag([-1.0, -1, 1, 1])])


def test_one_field_of_view_is_its_own_mean_in_upright_order():
    grid = Grid((10, 12, 14), np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -3], [0, 0, -1.0, 9], [0, 0, 0, 1]]))
    assert mean_grid([grid], [np.eye(4)]).same_as(reorient_grid(grid))


def test_the_mean_field_of_view_lies_between_in_size_place_and_direction():
    one, two = Grid((20, 20, 20), np.eye(4)), Grid((30, 20, 20), np.diag([4.0, 1, 1, 1]))
    mean = mean_grid([one, two], [np.eye(4)] * 2)
    np.testing.assert_allclose(mean.spacing_mm, [2, 1, 1])
    assert mean.shape == (35, 20, 20)
    np.testing.assert_allclose(mean.center_mm, (one.center_mm + two.center_mm) / 2)
    turns = [affine(3), np.linalg.inv(affine(3))]
    there = mean_grid([one, one], turns)
    np.testing.assert_allclose(there.directions.T @ there.directions, np.eye(3), atol=1e-9)

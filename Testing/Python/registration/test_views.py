"""Checkerboard and difference: both volumes in one, in the same intensities."""

import numpy as np
import pytest

from meddl.registration.views import checkerboard, difference, footprint
from meddl.results import Registration
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

GRID = Grid((40, 30, 20), np.diag([2.0, 2, 2, 1]))
FIXED = Volume.scalar(np.random.default_rng(0).normal(100, 20, GRID.shape).astype(np.float32), GRID.affine)
EVERYWHERE = np.ones(GRID.shape, bool)


def test_the_same_image_in_other_intensities_leaves_no_difference():
    other = Volume.scalar(3 * FIXED.scalar_data - 50, GRID.affine)
    assert np.abs(difference(FIXED, other, EVERYWHERE).data).max() < 1e-3


def test_a_real_difference_is_seen_with_its_sign():
    data = FIXED.scalar_data.copy()
    data[10:12, 10:12, 10:12] += 40
    left = difference(FIXED, Volume.scalar(data, GRID.affine), EVERYWHERE).scalar_data
    assert left[10:12, 10:12, 10:12].min() > 30
    assert np.abs(np.delete(left, slice(10, 12), axis=0)).max() < 5


def test_a_checkerboard_shows_each_volume_in_half_of_the_cubes():
    ramp = Volume.scalar(np.indices(GRID.shape)[0].astype(np.float32), GRID.affine)
    reverse = Volume.scalar(39 - ramp.scalar_data, GRID.affine)
    board = checkerboard(ramp, reverse, EVERYWHERE, squares=8).scalar_data
    shown = np.isclose(board, ramp.scalar_data, atol=0.3)
    assert 0.4 < shown.mean() < 0.6
    assert shown[:5, :5, :5].all()
    assert not shown[5:10, :5, :5].any()


def test_outside_of_the_moving_volume_the_fixed_one_is_shown_and_no_difference():
    half = EVERYWHERE.copy()
    half[20:] = False
    other = Volume.scalar(np.random.default_rng(1).normal(size=GRID.shape).astype(np.float32), GRID.affine)
    np.testing.assert_array_equal(checkerboard(FIXED, other, half).scalar_data[20:], FIXED.scalar_data[20:])
    assert not difference(FIXED, other, half).scalar_data[20:].any()


def test_the_footprint_is_the_moving_field_of_view():
    shift = np.eye(4)
    shift[0, 3] = 20.0
    found = footprint(Registration(shift, None, GRID), FIXED)
    assert found[:30].all()
    assert not found[30:].any()


@pytest.mark.parametrize("view", [checkerboard, difference])
def test_without_overlap_the_views_are_sound(view):
    assert np.isfinite(view(FIXED, FIXED, np.zeros(GRID.shape, bool)).data).all()

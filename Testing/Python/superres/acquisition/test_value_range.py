"""Intensities to the common range and back: exact, nothing clipped."""

import numpy as np
import pytest

from meddl.spatial.volume import as_type
from meddl.superres.acquisition.value_range import ValueRange, work_type


@pytest.mark.parametrize(("low", "high"), [(-1024, 3071), (0, 1), (1e6, 1e6 + 5), (-5e-4, -1e-4)])
def test_there_and_back_is_the_same(low, high):
    values = np.random.default_rng(0).uniform(low, high, (20, 21, 22))
    values[0, 0, 0] = high + 10 * (high - low)  # a hot voxel stays hot
    ranged = ValueRange.of(values)
    unit = ranged.to_unit(values)
    assert unit.dtype == np.float32
    assert unit.max() > 5
    back = ranged.from_unit(unit, np.float64)
    np.testing.assert_allclose(back, values, atol=3e-6 * (high - low) * 11)
    assert -0.05 < np.percentile(unit, 1) < 0.05
    assert 0.95 < np.percentile(unit, 99) < 1.05


def test_a_constant_and_a_sparse_image():
    ranged = ValueRange.of(np.full((4, 4, 4), -1000, np.int16))
    assert ranged == ValueRange(-1000.0, 1.0)
    assert not ranged.to_unit(np.full((4, 4, 4), -1000, np.int16)).any()
    sparse = np.zeros((50, 50, 50))
    sparse[0, 0, 0] = 8
    assert ValueRange.of(sparse) == ValueRange(0.0, 8.0)


def test_types():
    assert [work_type(np.dtype(t)) for t in ("i2", "u1", "f4", "i4", "f8", "?")] == [
        np.dtype(t) for t in ("f4", "f4", "f4", "f8", "f8", "f4")]
    np.testing.assert_array_equal(as_type(np.array([-5.0, 1.5, 2.5, 300.0]), np.dtype("u1")), [0, 2, 2, 255])
    np.testing.assert_array_equal(as_type(np.array([-5.4, 40000.0]), np.dtype("i2")), [-5, 32767])
    np.testing.assert_array_equal(as_type(np.array([0.2, 0.7]), np.dtype("?")), [False, True])
    assert as_type(np.array([1e30]), np.dtype("i8"))[0] > 0

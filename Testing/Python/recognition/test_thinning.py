"""A large volume is read at fewer voxels, which lie where they lay."""

import numpy as np
import pytest

from meddl.recognition.coarse import coarse_copy
from meddl.recognition.thinning import LARGEST_MM, thin_out
from meddl.spatial.volume import Volume


def ramp(shape=(33, 40, 51), spacing=(0.5, 0.7, 3.0)) -> Volume:
    """Values that are the first coordinate in mm plus ten times the second and a hundred times the third."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (5.0, -7.0, 11.0)
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    return Volume.scalar(places @ [1.0, 10.0, 100.0], affine)


@pytest.mark.parametrize(("axes", "shape"), [((0, 1, 2), (9, 20, 51)), ((1, 2), (33, 20, 51)), ((0,), (9, 40, 51))])
def test_what_is_left_lies_where_it_lay(axes, shape):
    found = thin_out(ramp(), axes)
    assert found.shape == shape and np.shares_memory(found.data, found.data.base)
    places = found.grid.points_mm(np.moveaxis(np.indices(found.shape), 0, -1))
    np.testing.assert_allclose(found.scalar_data, places @ [1.0, 10.0, 100.0])
    assert found.spacing_mm.max() <= max(LARGEST_MM, 3.0)


def test_coarse_voxels_stay_as_they_are():
    volume = ramp(spacing=(2.0, 1.6, 5.0))
    assert thin_out(volume) is volume


def test_in_two_steps_it_is_the_same():
    volume = Volume.scalar(np.random.default_rng(0).normal(size=(64, 70, 81)), np.diag([0.9, 0.9, 0.5, 1.0]))
    once, twice = thin_out(volume), thin_out(thin_out(volume, (1, 2)))
    np.testing.assert_array_equal(once.data, twice.data)
    np.testing.assert_allclose(once.affine, twice.affine)
    for first, second in zip(coarse_copy(volume), coarse_copy(thin_out(volume, (1, 2))), strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())

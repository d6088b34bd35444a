"""The coarse copy shows the same whatever the voxels' order, size and unit, and frames the object."""

import numpy as np
import pytest
import torch

from meddl.recognition.coarse import SIZE, coarse_copy, frame_object
from meddl.spatial.volume import Volume


def ellipsoid(spacing=(2.0, 2.0, 2.0), extent=(180.0, 200.0, 190.0), center=(0.0, 0.0, 0.0), value=900.0):
    """An ellipsoid, brighter inside and in front, in faint noise, in RAS."""
    axes = [np.arange(round(size / step)) * step - (size - step) / 2
            for size, step in zip(extent, spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    place = np.sqrt(((x - center[0]) / 60) ** 2 + ((y - center[1]) / 75) ** 2 + ((z - center[2]) / 65) ** 2)
    image = np.where(place < 1, 0.4 + 0.4 * (1 - place) + 0.2 * (y > center[1] + 20), 0.0)
    image += np.abs(np.random.default_rng(0).normal(0, 0.01, image.shape))
    image = (value * image).astype(np.float32)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [axis[0] for axis in axes]
    return Volume.scalar(image, affine)


def cube_of(volume, **more):
    return frame_object(*coarse_copy(volume, **more))


@pytest.mark.parametrize("codes", ["LIA", "PSR", "ASL", "RAS"])
def test_the_order_of_the_axes_changes_nothing(codes):
    volume = ellipsoid()
    assert torch.allclose(cube_of(volume.reorient(codes)), cube_of(volume), atol=1e-4)


def test_unit_and_voxel_size_change_little():
    cube = cube_of(ellipsoid())
    assert cube.shape == (2, SIZE, SIZE, SIZE)
    assert torch.allclose(cube_of(ellipsoid(value=0.03)), cube, atol=1e-3)
    assert (cube_of(ellipsoid((1.0, 1.0, 5.0))) - cube).abs().mean() < 0.03


def test_the_object_is_in_the_middle_and_what_was_not_imaged_is_marked():
    volume = ellipsoid(extent=(240.0, 240.0, 240.0), center=(50.0, -40.0, 45.0))
    image, inside = cube_of(volume)
    weights = (image > 0.3).float()
    for axis in range(3):
        along = torch.arange(SIZE).float().reshape([-1 if a == axis else 1 for a in range(3)])
        assert float((weights * along).sum() / weights.sum()) == pytest.approx((SIZE - 1) / 2, abs=0.8)
    assert 0 < inside.mean() < 1 and not image[inside == 0].any()


def test_padding_and_numbers_that_are_none_change_nothing():
    volume = ellipsoid()
    data = volume.data.copy() + 500
    data[:, :6] = -30000
    assert (cube_of(Volume(data, volume.affine)) - cube_of(volume))[0].abs().mean() < 0.02
    broken = volume.data.copy()
    broken[:, :2, :2] = np.nan
    assert torch.isfinite(cube_of(Volume(broken, volume.affine))).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 200, 1), (2, 2, 400)])
def test_any_shape_gives_a_cube(shape):
    volume = Volume.scalar(np.random.default_rng(0).normal(size=shape), np.eye(4))
    assert torch.isfinite(cube_of(volume)).all()

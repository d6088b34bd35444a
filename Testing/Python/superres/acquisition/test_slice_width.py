"""The slices' width is read from the images across them, and a wrong one does no harm."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from superres_phantoms import affine, textured

from meddl.core.config import SuperResolveConfig
from meddl.measures.image_quality import image_quality
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.acquisition.slice_width import RATIOS

SHAPE = (72, 60, 96)


def acquired(truth: np.ndarray, factor: float, width: float, noise: float = 0.0, axis: int = 2) -> Volume:
    """Slices of `width` times their distance."""
    slices = Acquisition(factor, axis, thickness=width).forward(torch.from_numpy(truth)).numpy()
    spacing = np.ones(3)
    spacing[axis] = factor
    noisy = slices + noise * np.random.default_rng(0).normal(size=slices.shape)
    return Volume.scalar(noisy.astype(np.float32), affine(spacing))


def sharpened(volume: Volume, method: str, **choices):
    return super_resolve(volume, SuperResolveConfig(method=method, **choices), device="cpu")


def stretched(axis: int) -> np.ndarray:
    """A texture that changes half as fast along one axis as along the others."""
    shape = [n // 2 if a == axis else n for a, n in enumerate(SHAPE)]
    return np.repeat(textured(shape), 2, axis=axis)


@pytest.mark.parametrize("factor", [2.0, 3.2, 4.0])
@pytest.mark.parametrize("width", [0.7, 0.8, 0.9, 1.0, 1.3])
def test_it_finds_the_width_of_slices_that_are_thinner_than_stated(factor, width):
    texture = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(96, 96, 96)), 1.5)
    report = sharpened(acquired(texture / texture.std(), factor, width, 0.03), "back-projection").report
    assert report["thickness_share"] == pytest.approx(min(width, RATIOS[-1]), abs=0.05)


def test_an_axis_along_which_the_object_changes_less_does_not_mislead():
    for axis in (0, 1):
        report = sharpened(acquired(stretched(axis), 3.0, 0.7), "back-projection").report
        assert report["thickness_share"] < 0.85
    assert sharpened(acquired(stretched(2), 3.0, 1.0), "back-projection").report["thickness_share"] == RATIOS[-1]


@pytest.mark.parametrize("width", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("factor", [2.0, 4.0])
def test_a_wrong_width_never_makes_it_worse_than_interpolation(factor, width):
    truth = textured(SHAPE)
    volume = acquired(truth, factor, width, 0.01)
    plain, sharp = (image_quality(sharpened(volume, method).volume.scalar_data, truth).psnr_db
                    for method in ("cubic", "back-projection"))
    assert sharp > plain + 0.05


def test_what_is_stated_is_believed():
    volume = acquired(textured(SHAPE), 2.0, 0.7)
    assert "thickness_share" not in sharpened(volume, "back-projection", thickness_mm=1.4).report
    assert "thickness_share" not in sharpened(volume, "back-projection", profile_weights=(1.0, 2.0, 1.0)).report


def test_where_nothing_can_be_measured_a_little_is_left_blurred():
    few = Volume.scalar(textured((40, 40, 5)).astype(np.float32), affine((1, 1, 4)))
    assert sharpened(few, "back-projection").report["thickness_share"] == RATIOS[-1]
    cube = Volume.scalar(textured((20, 20, 20)).astype(np.float32), affine((1, 1, 1)))
    assert sharpened(cube, "back-projection", target_spacing_mm=0.5).report["thickness_share"] == RATIOS[-1]
    flat = Volume.scalar(np.full((30, 30, 12), 7.0, np.float32), affine((1, 1, 4)))
    assert np.allclose(sharpened(flat, "back-projection").volume.data, 7.0, atol=1e-4)

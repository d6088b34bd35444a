"""Random shapes and fields: repeatable, of the smoothness asked for, with lesions of a few voxels, in any range."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from meddl.synthesis.fields.noise_fields import blur, smooth_field, texture
from meddl.synthesis.shapes import ShapeGenerator, ShapesConfig

SMALL = ShapesConfig(shape=(32, 36, 40))
EMPTY = dataclasses.replace(SMALL, regions=(0, 0), ellipsoids=(0, 0), sheets=(0, 0), tubes=(0, 0), lesions=(0, 0),
                            texture_sd=(0.0, 0.0))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_seed_decides_every_volume():
    first, second = (ShapeGenerator(SMALL, seed=5) for _ in range(2))
    volumes = [first.sample() for _ in range(3)]
    for volume in volumes:
        torch.testing.assert_close(volume, second.sample())
    assert volumes[0].shape == (32, 36, 40)
    assert not torch.allclose(volumes[0], volumes[1])
    assert not torch.allclose(volumes[0], ShapeGenerator(SMALL, seed=6).sample())


def test_values_are_often_negative_and_always_finite():
    generator = ShapeGenerator(SMALL)
    lowest = [float(generator.sample().min()) for _ in range(8)]
    assert np.isfinite(lowest).all()
    assert sum(value < 0 for value in lowest) >= 2


def test_nothing_asked_for_nothing_there():
    volume = ShapeGenerator(EMPTY).sample()
    assert float(volume.max() - volume.min()) < 1e-5


@pytest.mark.parametrize(("part", "limits"), [("ellipsoids", (4, 4)), ("sheets", (1, 1)), ("tubes", (1, 1)),
                                              ("regions", (3, 3)), ("lesions", (10, 10)), ("texture_sd", (0.1, 0.1))])
def test_each_kind_of_shape_leaves_its_mark(part, limits):
    volume = ShapeGenerator(dataclasses.replace(EMPTY, **{part: limits}), seed=2).sample()
    assert float(volume.std()) > 1e-3


def test_lesions_are_a_few_voxels_large_bright_or_dark():
    config = dataclasses.replace(EMPTY, lesions=(6, 6), blur_sigma=(0.0, 0.0))
    signs, sizes = [], []
    for seed in range(6):
        volume = ShapeGenerator(config, seed).sample()
        change = (volume - volume.median()).numpy()
        parts, count = ndimage.label(abs(change) > 0.1)
        sizes += [int((parts == n + 1).sum()) for n in range(count)]
        signs += [np.sign(change[parts == n + 1].sum()) for n in range(count)]
    assert min(sizes) >= 1
    assert np.median(sizes) <= 27
    assert {-1.0, 1.0} <= set(signs)


@pytest.mark.parametrize("length", [2.0, 5.0])
def test_a_smooth_field_has_its_correlation_length(length):
    field = smooth_field((64, 64, 64), length, rng())
    slope = float(torch.diff(field, dim=0).square().mean().sqrt())
    assert float(field.std()) == pytest.approx(1, abs=1e-3)
    assert slope == pytest.approx(1 / length, rel=0.25)


def test_texture_grows_smoother_with_its_exponent():
    slopes = [float(torch.diff(texture((48, 48, 48), exponent, rng()), dim=2).std()) for exponent in (0, 1.5, 3)]
    assert slopes[0] == pytest.approx(2 ** 0.5, rel=0.05)
    assert slopes[0] > slopes[1] > slopes[2]


def test_blur_has_its_width_and_keeps_a_constant():
    impulse = torch.zeros(21, 21, 21)
    impulse[10, 10, 10] = 1
    spread = blur(impulse, 1.5).sum(dim=(1, 2))
    places = torch.arange(21.0) - 10
    assert float((spread * places.square()).sum() / spread.sum()) ** 0.5 == pytest.approx(1.5, rel=0.02)
    torch.testing.assert_close(blur(torch.full((5, 6, 7), 3.0), 0.8), torch.full((5, 6, 7), 3.0))

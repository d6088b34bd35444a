"""Values that are too large, truth values and half precision, single slices: the right result, or a refusal."""

import numpy as np
import pytest
from shell import blobs

import meddl
from meddl.core.errors import InputError
from meddl.measures.intensity_matching import match_intensities
from meddl.painting.config import PaintConfig
from meddl.preparation.steps import Normalize
from meddl.spatial.volume import Volume

HEAD = blobs(shape=(24, 22, 20))
MASK = np.zeros(HEAD.shape, np.uint8)
MASK[9:13, 9:13, 8:12] = 1
STILL = meddl.Registration(np.eye(4), None, HEAD.grid)
QUICK = meddl.RegisterConfig(transform_type="translation", levels_mm=(8.0,), estimate_quality=False,
                             large_displacement_search="off")
TWICE = meddl.UncertaintyConfig(runs=2)
STACKS = meddl.SuperResolveConfig(method="cubic")
DENOISE = meddl.SuperResolveConfig(method="denoise", noise_sigma=5.0)


def strokes(shape) -> meddl.Segmentation:
    labels = np.zeros(shape, np.uint8)
    labels[8:14, 6:15, :: max(1, shape[2] // 3)] = 1
    return meddl.Segmentation(labels, HEAD.affine, (meddl.Segment(1, "печень", (1, 0, 0)),))


def stacks(volume: Volume) -> list[Volume]:
    return [Volume(volume.data[..., ::3], volume.affine @ np.diag([1.0, 1, 3, 1])),
            Volume(volume.data[:, ::3], volume.affine @ np.diag([3.0, 1, 1, 1]))]


def paint(volume: Volume, tolerance: int = 0) -> Volume:
    found = meddl.segment_from_paint(volume, strokes(volume.shape), PaintConfig(steps=5, contour_tolerance=tolerance))
    return Volume.scalar(found.labels, found.affine)


VERBS = {
    "inpaint": lambda one: meddl.inpaint(one, Volume.scalar(MASK, one.affine), meddl.InpaintConfig(method="harmonic"),
                                         device="cpu").volume,
    "local PCA": lambda one: meddl.denoise_series([one, one], meddl.DenoiseSeriesConfig(method="local-pca"),
                                                  device="cpu").volume,
    "denoise series": lambda one: meddl.denoise_series([one], meddl.DenoiseSeriesConfig(passes="forward"),
                                                       device="cpu").volume,
    "match": lambda one: match_intensities(one, HEAD),
    "match to it": lambda one: match_intensities(HEAD, one),
    "compare": lambda one: meddl.compare(one, HEAD).difference,
    "change": lambda one: meddl.change(one, HEAD, registration=STILL, device="cpu").z,
    "register": lambda one: meddl.register(HEAD, one, QUICK, device="cpu").warp(one),
    "uncertain registration": lambda one: meddl.register_with_uncertainty(one, HEAD, QUICK, TWICE, device="cpu")[1].map,
    "uncertain denoising": lambda one: meddl.super_resolve_with_uncertainty(one, DENOISE, TWICE, device="cpu")[1].map,
    "stacks": lambda one: meddl.super_resolve(stacks(one), STACKS, device="cpu").volume,
    "paint": paint,
    "prepare": lambda one: meddl.prepare(one, [Normalize()]).volume,
}


@pytest.mark.parametrize("verb", VERBS)
def test_values_beyond_single_precision_are_refused_by_their_size(verb):
    with pytest.raises(InputError, match="can be computed with. Divide it"):
        VERBS[verb](Volume(HEAD.data * 1e297, HEAD.affine))
    with pytest.raises(InputError, match="can be computed with. Divide it"):
        VERBS[verb](Volume(HEAD.data.astype(np.float32) * np.float32(-1e28), HEAD.affine))


@pytest.mark.parametrize("verb", ["inpaint", "uncertain registration", "uncertain denoising", "paint", "compare"])
def test_truth_values_are_zero_and_one(verb):
    bright = Volume(HEAD.data > 300, HEAD.affine)
    found, expected = VERBS[verb](bright), VERBS[verb](bright.astype(np.uint8))
    np.testing.assert_allclose(found.data.astype(float), expected.data, atol=1e-6)
    assert np.isfinite(found.data.astype(float)).all()


@pytest.mark.parametrize("verb", ["uncertain registration", "uncertain denoising", "stacks"])
def test_half_precision_does_not_overflow(verb):
    half = HEAD.astype(np.float16)
    with np.errstate(over="raise"):
        found = VERBS[verb](half)
    expected = VERBS[verb](half.astype(np.float32))
    np.testing.assert_allclose(found.data.astype(float), expected.data, atol=1e-3 * float(HEAD.data.max()))


def test_infinite_voxels_do_not_take_all_others_with_them():
    data = HEAD.data.astype(np.float32)
    data[0, 3, 3, 3], data[0, 4, 4, 4], data[0, 5, 5, 5] = np.inf, -np.inf, np.nan
    spread = VERBS["uncertain registration"](Volume(data, HEAD.affine))
    assert np.isfinite(spread.data).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("tolerance", [0, 2])
def test_paint_in_a_volume_of_one_slice(axis, tolerance):
    data = np.take(HEAD.data, [10], axis=axis + 1)
    volume = Volume(data, HEAD.affine)
    labels = np.zeros(volume.shape, np.uint8)
    middle = tuple(slice(n // 3, n // 3 + max(1, n // 3)) for n in volume.shape)
    labels[middle] = 1
    painted = meddl.Segmentation(labels, HEAD.affine, (meddl.Segment(1, "肝臓", (1, 0, 0)),))
    found = meddl.segment_from_paint(volume, painted, PaintConfig(steps=5, contour_tolerance=tolerance))
    assert found.grid.same_as(volume.grid) and found.segments[0].name == "肝臓" and found.labels.any()

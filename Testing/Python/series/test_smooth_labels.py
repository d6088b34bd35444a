"""Segmentations smoothed in time: flicker goes, what really changes stays."""

import numpy as np
import pytest
from series_phantoms import AFFINE, noisy, still

import meddl
from meddl.core.errors import InputError
from meddl.results import Segment, Segmentation
from meddl.spatial.volume import Volume

SEGMENTS = (Segment(3, "dark", (1, 0, 0)), Segment(200, "bright", (0, 1, 0)))


def labels_of(clean):
    return np.select([clean > 900, clean > 300], [200, 3]).astype(np.uint8)


def segmentations(clean, wrong=0.1, seed=5):
    """One for each frame, with a fraction of the voxels of another label at random."""
    rng = np.random.default_rng(seed)
    found = []
    for frame in clean:
        labels = labels_of(frame)
        flips = rng.random(labels.shape) < wrong
        labels[flips] = rng.choice(np.array([0, 3, 200], np.uint8), int(flips.sum()))
        found.append(Segmentation(labels, AFFINE, SEGMENTS, report={"warnings": []}))
    return found


def errors(found, clean):
    return float(np.mean([one.labels != labels_of(frame) for one, frame in zip(found, clean, strict=True)]))


def flicker(found):
    return float(np.mean([a.labels != b.labels for a, b in zip(found, found[1:], strict=False)]))


def test_flicker_goes():
    clean = np.stack([still()] * 8)
    given = segmentations(clean)
    smooth = meddl.smooth_labels(Volume(noisy(clean), AFFINE), given, device="cpu")
    assert flicker(smooth) < 0.2 * flicker(given) and errors(smooth, clean) < 0.2 * errors(given, clean)
    one = smooth[3]
    assert one.labels.dtype == np.uint8 and one.segments == SEGMENTS and one.report["changed_percent"] > 1
    assert one.report["volumes_ml"]["bright"] == pytest.approx((one.labels == 200).sum() * 12 / 1000, rel=1e-3)


def test_what_moves_in_the_images_moves_in_the_labels():
    clean = np.stack([still() if t < 4 else np.roll(still(), 5, axis=1) for t in range(8)])
    given = segmentations(clean, 0.05)
    smooth = meddl.smooth_labels(Volume(noisy(clean), AFFINE), given, device="cpu")
    assert errors(smooth, clean) < 0.6 * errors(given, clean)


def test_equal_labels_and_single_frames_stay():
    clean = np.stack([still()] * 3)
    given = segmentations(clean, 0.0)
    volume = Volume(noisy(clean), AFFINE)
    assert meddl.smooth_labels(volume, given, device="cpu") == tuple(given)
    assert meddl.smooth_labels(Volume(volume.data[:1], AFFINE), given[:1], device="cpu") == tuple(given[:1])


def test_what_does_not_belong_together_is_refused():
    clean = np.stack([still()] * 2)
    given, volume = segmentations(clean), Volume(noisy(clean), AFFINE)
    with pytest.raises(InputError, match="2 frames and 1 segmentations"):
        meddl.smooth_labels(volume, given[:1], device="cpu")
    small = Segmentation(given[0].labels[1:].copy(), AFFINE, SEGMENTS)
    with pytest.raises(InputError, match="segmentation of frame 1 lies on another grid"):
        meddl.smooth_labels(volume, [given[0], small], device="cpu")

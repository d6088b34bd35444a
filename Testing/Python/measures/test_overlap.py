"""Metrics against MONAI, against counting by hand, and at their edges."""

import json

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_iou,
    get_confusion_matrix,
)
from monai.metrics.meandice import compute_dice
from scipy.spatial.distance import cdist

from meddl.core.errors import Cancelled, InputError
from meddl.measures import overlap

SPACING = (0.7, 1.3, 2.1)


@pytest.fixture(scope="module")
def blobs():
    """Two label maps with four structures that nearly agree; structure 900 occurs once in each, apart."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in (24, 20, 16)], indexing="ij"), axis=-1)
    truth, prediction = np.zeros((2, 24, 20, 16), np.uint16)
    for n, (value, center, radius) in enumerate([(2, (6, 6, 6), 5), (41, (17, 12, 8), 4.5), (17, (8, 15, 11), 3)]):
        truth[np.linalg.norm(grid - center, axis=-1) < radius] = value
        prediction[np.linalg.norm(grid - np.add(center, (1, n - 1, 0)), axis=-1) < radius + 0.4 * n] = value
    truth[0, 0, 0] = prediction[23, 19, 15] = 900
    return prediction, truth


def one_hot(labels, values):
    return torch.from_numpy(np.stack([labels == value for value in values]).astype(np.float32))[None]


def test_ratios_are_those_of_monai(blobs):
    prediction, truth = blobs
    counts = overlap.confusion(prediction, truth)
    assert counts.values.tolist() == [2, 17, 41, 900]
    p, t = one_hot(prediction, counts.values), one_hot(truth, counts.values)
    assert np.allclose(counts.dice, compute_dice(p, t)[0], atol=1e-6)
    assert np.allclose(counts.iou, compute_iou(p, t)[0], atol=1e-6)
    expected = get_confusion_matrix(p, t)[0].numpy().astype(int)  # TP, FP, TN, FN
    assert np.array_equal(expected[:, 0], counts.true_positive)
    assert np.array_equal(expected[:, 1], counts.false_positive)
    assert np.array_equal(expected[:, 2], counts.true_negative)
    assert np.array_equal(expected[:, 3], counts.false_negative)


def test_ratios_are_those_of_counting(blobs):
    prediction, truth = blobs
    counts = overlap.confusion(prediction, truth, [41])
    p, t = prediction == 41, truth == 41
    assert counts.sensitivity[0] == pytest.approx((p & t).sum() / t.sum())
    assert counts.precision[0] == pytest.approx((p & t).sum() / p.sum())
    assert counts.specificity[0] == pytest.approx((~p & ~t).sum() / (~t).sum())
    assert counts.accuracy[0] == pytest.approx((p == t).mean())
    assert counts.f1[0] == pytest.approx(2 / (1 / counts.sensitivity[0] + 1 / counts.precision[0]))
    assert counts.iou[0] == pytest.approx(counts.dice[0] / (2 - counts.dice[0]))


def test_slabs_do_not_change_the_counts(blobs, monkeypatch):
    whole = overlap.confusion(*blobs)
    monkeypatch.setattr(overlap, "_SLAB_VOXELS", 700)
    parts = overlap.confusion(*blobs)
    assert np.array_equal(whole.true_positive, parts.true_positive)
    assert np.array_equal(whole.false_negative, parts.false_negative)


def test_distances_are_those_of_monai_on_the_whole_grid(blobs):
    prediction, truth = blobs
    values = [2, 17, 41]
    found = overlap.compare(prediction, truth, SPACING, values)
    p, t = one_hot(prediction, values), one_hot(truth, values)
    hausdorff = compute_hausdorff_distance(p, t, include_background=True, percentile=95, spacing=SPACING)[0]
    mean = compute_average_surface_distance(p, t, include_background=True, symmetric=True, spacing=SPACING)[0]
    assert np.allclose([found[v].hd95_mm for v in values], hausdorff, atol=1e-4)
    assert np.allclose([found[v].mean_surface_distance_mm for v in values], mean, atol=1e-4)


def surface_points(mask):
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(3):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return (np.argwhere(padded & ~inner) - 1) * SPACING


def test_distances_are_those_of_brute_force(blobs):
    prediction, truth = (labels == 41 for labels in blobs)
    between = cdist(surface_points(prediction), surface_points(truth))
    there, back = between.min(axis=1), between.min(axis=0)
    found = overlap.surface_distances(prediction, truth, SPACING)
    assert found.hd95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-4)
    both = np.concatenate([there, back])
    assert found.mean_surface_distance_mm == pytest.approx(both.mean(), abs=1e-4)
    assert found.hausdorff_mm == pytest.approx(both.max(), abs=1e-4)
    assert found.surface_dice == pytest.approx((both <= 1).mean(), abs=1e-6)


def test_the_distance_of_a_shift_is_the_shift():
    truth = np.zeros((20, 12, 12), bool)
    truth[4:9, 4:8, 4:8] = True
    found = overlap.surface_distances(np.roll(truth, 3, axis=0), truth, (0.5, 1, 1))
    assert found.hausdorff_mm == pytest.approx(1.5)


def test_a_map_agrees_with_itself(blobs):
    for result in overlap.compare(blobs[1], blobs[1], SPACING).values():
        assert result.dice == result.iou == result.sensitivity == result.specificity == result.accuracy == 1
        assert result.hd95_mm == result.mean_surface_distance_mm == 0
        assert result.volume_ml == result.true_volume_ml


def test_swapping_prediction_and_truth_swaps_sensitivity_and_precision(blobs):
    there, back = overlap.confusion(*blobs), overlap.confusion(*blobs[::-1])
    assert np.array_equal(there.dice, back.dice)
    assert np.array_equal(there.sensitivity, back.precision)


def test_a_structure_missing_in_both_is_nan(blobs):
    result = overlap.compare(*blobs, SPACING, [5])[5]
    assert np.isnan([result.dice, result.iou, result.sensitivity, result.precision, result.hd95_mm]).all()
    assert result.accuracy == result.specificity == 1
    assert result.volume_ml == 0
    assert json.loads(json.dumps(result.as_dict()))["dice"] is None


def test_a_structure_missing_in_one_has_no_overlap_and_no_distance(blobs):
    prediction, truth = blobs
    result = overlap.compare(np.where(prediction == 2, 0, prediction), truth, SPACING, [2])[2]
    assert result.dice == result.iou == result.sensitivity == 0
    assert np.isnan([result.precision, result.hd95_mm, result.mean_surface_distance_mm]).all()
    assert overlap.surface_distances(prediction == 5, truth == 2, SPACING) == overlap.NO_SURFACE


def test_volumes_are_voxels_times_their_size(blobs):
    prediction, truth = blobs
    voxel = np.prod(SPACING) / 1000
    result = overlap.compare(prediction, truth, SPACING, [2], overlap.OverlapOptions(surfaces=False))[2]
    assert result.volume_ml == pytest.approx((prediction == 2).sum() * voxel)
    assert result.true_volume_ml == pytest.approx((truth == 2).sum() * voxel)
    assert np.isnan(result.hd95_mm)


def test_strides_and_types_do_not_matter(blobs):
    prediction, truth = blobs
    plain = overlap.confusion(prediction, truth)
    turned = overlap.confusion(prediction.transpose(2, 0, 1)[::-1].astype(np.int64), truth.transpose(2, 0, 1)[::-1])
    assert np.array_equal(plain.dice, turned.dice)


def test_masks_are_one_structure():
    mask = np.zeros((4, 4, 4), bool)
    mask[1:3] = True
    assert overlap.dice(mask, mask).tolist() == [1.0]


def test_empty_maps_have_no_structures():
    empty = np.zeros((3, 3, 3), np.uint8)
    assert overlap.compare(empty, empty, SPACING) == {}
    assert overlap.dice(empty, empty).shape == (0,)


@pytest.mark.parametrize("call", [
    lambda a: overlap.dice(a, a[:2]),
    lambda a: overlap.dice(a, a, [0]),
    lambda a: overlap.dice(a, a, [1, 1]),
    lambda a: overlap.dice(a, a, [70000]),
    lambda a: overlap.dice(a.astype(float), a),
    lambda a: overlap.dice(a - 1, a),
    lambda a: overlap.compare(a, a, (1, 1)),
    lambda a: overlap.compare(a, a, (1, 0, 1)),
    lambda a: overlap.compare(a, a, (1, np.nan, 1)),
])
def test_impossible_input_is_refused(call):
    with pytest.raises(InputError):
        call(np.zeros((3, 4, 5), np.int32))


def test_a_comparison_can_be_cancelled(blobs):
    def stop(fraction, message):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        overlap.compare(*blobs, SPACING, on_progress=stop)

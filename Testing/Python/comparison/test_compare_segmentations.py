"""Two segmentations compared: MONAI and SimpleITK as witnesses, matching, other grids, undefined figures."""

import numpy as np
import pytest
import SimpleITK
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from nibabel.affines import apply_affine, from_matvec
from scipy import ndimage
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

import meddl
from meddl.comparison.segmentations import compare_segmentations
from meddl.core.errors import InputError
from meddl.spatial.volume import Volume

AFFINE = np.array([[0.0, -1.2, 0.3, 5.0], [0.9, 0.1, 0.2, -4.0], [-0.1, 0.2, 2.4, 7.0], [0, 0, 0, 1]])


def segmentation(labels, names=None, affine=AFFINE, codes=None):
    labels = np.asarray(labels, np.uint8)
    names = names or {int(value): f"structure {value}" for value in np.unique(labels) if value}
    return meddl.Segmentation(labels, affine, tuple(
        meddl.Segment(value, name, (1.0, 0.0, 0.0), (codes or {}).get(value)) for value, name in names.items()))


def random_pair(seed, shape=(12, 11, 9)):
    """Two label maps of three smooth structures, one of them shifted and rough."""
    random = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(random.normal(size=(3, *shape)), (0, 2, 2, 2))
    truth = np.where(fields.max(axis=0) > 0.03, fields.argmax(axis=0) + 1, 0)
    fields += ndimage.gaussian_filter(random.normal(size=fields.shape), (0, 1, 1, 1)) * 0.1
    return np.where(fields.max(axis=0) > 0.03, fields.argmax(axis=0) + 1, 0), truth


SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 100))]


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_are_those_of_monai_and_simpleitk(seed):
    ours, theirs = random_pair(seed)
    found = compare_segmentations(segmentation(ours), segmentation(theirs), tolerance_mm=1.5)
    spacing = np.linalg.norm(AFFINE[:3, :3], axis=0)
    images = [SimpleITK.GetImageFromArray(labels.astype(np.uint8)) for labels in (ours, theirs)]
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)  # ITK's target is the reference
    for match, metrics in zip(found.structures, found.metrics, strict=True):
        value = match.reference
        assert metrics.dice == pytest.approx(overlap.GetDiceCoefficient(value), abs=1e-6)
        assert metrics.iou == pytest.approx(overlap.GetJaccardCoefficient(value), abs=1e-6)
        assert 1 - metrics.sensitivity == pytest.approx(overlap.GetFalseNegativeError(value), abs=1e-6)
        assert 1 - metrics.precision == pytest.approx(overlap.GetFalseDiscoveryRate(value), abs=1e-6)
        masks = [torch.from_numpy((labels == value).astype(np.float32))[None, None] for labels in (ours, theirs)]
        options = {"include_background": True, "spacing": list(spacing)}
        assert metrics.hausdorff_mm == pytest.approx(float(compute_hausdorff_distance(*masks, **options)), abs=1e-5)
        assert metrics.hd95_mm == pytest.approx(
            float(compute_hausdorff_distance(*masks, percentile=95, **options)), abs=3e-5)  # torch's in float32
        assert metrics.mean_surface_distance_mm == pytest.approx(
            float(compute_average_surface_distance(*masks, symmetric=True, **options)), abs=1e-5)
        assert metrics.surface_dice == pytest.approx(float(compute_surface_dice(*masks, [1.5], **options)), abs=1e-6)
        assert metrics.true_volume_ml == pytest.approx((theirs == value).sum() * abs(np.linalg.det(AFFINE)) / 1000)


def test_the_largest_surface_distance_is_simpleitks_hausdorff_distance():
    ours, theirs = random_pair(3)
    found = compare_segmentations(segmentation(ours), segmentation(theirs))
    spacing = np.linalg.norm(AFFINE[:3, :3], axis=0)
    for match, metrics in zip(found.structures, found.metrics, strict=True):
        images = []
        for labels in (ours, theirs):
            image = SimpleITK.GetImageFromArray((labels == match.reference).astype(np.uint8).T)
            image.SetSpacing([float(one) for one in spacing])
            images.append(image)
        witness = SimpleITK.HausdorffDistanceImageFilter()
        witness.Execute(*images)
        assert metrics.hausdorff_mm == pytest.approx(witness.GetHausdorffDistance(), abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_surface_distances_on_an_oblique_anisotropic_grid_are_those_of_brute_force_in_mm(seed):
    ours, theirs = random_pair(seed)
    affine = from_matvec(Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()
                         @ np.diag((-0.6, 1.1, 2.5)), (10, -20, 30))
    found = compare_segmentations(segmentation(ours, affine=affine), segmentation(theirs, affine=affine))
    for match, metrics in zip(found.structures, found.metrics, strict=True):
        there, back = (surface_points_mm(labels == match.reference, affine) for labels in (ours, theirs))
        between = cdist(there, back)
        there, back = between.min(axis=1), between.min(axis=0)
        both = np.concatenate((there, back))
        assert metrics.hausdorff_mm == pytest.approx(both.max(), abs=1e-4)
        assert metrics.hd95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-4)
        assert metrics.mean_surface_distance_mm == pytest.approx(both.mean(), abs=1e-4)
        assert metrics.surface_dice == pytest.approx((both <= 1).mean(), abs=1e-6)


def surface_points_mm(mask, affine):
    """World coordinates of the voxels of a mask with a neighbor outside of it, (N, 3)."""
    inner = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))
    return apply_affine(affine, np.argwhere(mask & ~inner))


def test_structures_are_matched_by_name_then_terminology_then_value():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:2], labels[2:4] = 1, 2
    other = np.where(labels == 1, 7, np.where(labels == 2, 8, 0))
    liver = {"category": ["SCT", "123037004", "Anatomical"], "type": ["SCT", "10200004", "Liver"], "modifier": None}
    ours = segmentation(labels, {1: "left_kidney", 2: "Leber"}, codes={2: liver})
    theirs = segmentation(other, {7: "Left kidney", 8: "Liver"}, codes={8: liver})
    found = compare_segmentations(ours, theirs)
    assert [(one.name, one.prediction, one.reference, one.rule) for one in found.structures] == [
        ("Left kidney", 1, 7, "name"), ("Liver", 2, 8, "terminology")]
    assert [one.dice for one in found.metrics] == [1, 1]
    by_value = compare_segmentations(ours, theirs, match="value")
    assert len(by_value.structures) == 4 and "matches" in by_value.report["warnings"][0]
    unnamed = compare_segmentations(segmentation(labels, {1: "a", 2: "b"}), segmentation(labels, {1: "c", 2: "d"}))
    assert [one.rule for one in unnamed.structures] == ["value", "value"]


def test_a_structure_of_one_alone_has_no_distance_and_is_named_in_a_warning():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:2], labels[2:4] = 1, 2
    found = compare_segmentations(segmentation(np.where(labels == 1, 1, 0)), segmentation(labels))
    row = found.rows()[1]
    assert (row["dice"], row["hd95_mm"], row["precision"], row["volume_ml"]) == (0, None, None, 0)
    assert found.report["warnings"] == ["Found in one of the two alone: structure 2."]
    assert found.report["mean"]["dice"] == 0.5
    assert repr(found) == "SegmentationComparison(2 structures, mean Dice 0.500)"


def test_an_empty_structure_of_both_is_shown_without_figures():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:2] = 1
    names = {1: "one", 2: "two"}
    row = compare_segmentations(segmentation(labels, names), segmentation(labels, names)).rows()[1]
    assert row["structure"] == "two" and row["dice"] is None and row["hausdorff_mm"] is None


@pytest.mark.parametrize("place", [(0, 0, 0), (5, 5, 5), (3, 2, 1)])
def test_a_structure_of_one_voxel(place):
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[place] = 1
    metrics = compare_segmentations(segmentation(labels), segmentation(labels)).metrics[0]
    assert (metrics.dice, metrics.hausdorff_mm, metrics.surface_dice) == (1, 0, 1)


def test_other_grids_are_resampled_to_the_references_once():
    fine = np.zeros((20, 20, 20), np.uint8)
    fine[4:16, 4:16, 4:16] = 1
    coarse_affine = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse_affine[:3, 3] = 0.5
    coarse = np.zeros((10, 10, 10), np.uint8)
    coarse[2:8, 2:8, 2:8] = 1
    found = compare_segmentations(segmentation(fine, affine=np.eye(4)), segmentation(coarse, affine=coarse_affine))
    assert found.metrics[0].dice == 1 and found.report["resampled"] == "prediction to the reference's grid"
    assert found.errors.grid.same_as(segmentation(coarse, affine=coarse_affine).grid)
    flipped = coarse[::-1]
    turn = coarse_affine @ np.array([[-1.0, 0, 0, 9], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert compare_segmentations(segmentation(flipped, affine=turn),
                                 segmentation(coarse, affine=coarse_affine)).metrics[0].dice == 1


def test_the_region_rules_specificity_and_accuracy_alone():
    labels, truth = np.zeros((2, 20, 20, 20), np.uint8)
    truth[8:12, 8:12, 8:12] = 1
    labels[8:12, 8:12, 8:13] = 1
    image = np.zeros((20, 20, 20), np.float32)
    image[4:16, 4:16, 4:16] = 100
    pair = segmentation(labels), segmentation(truth)
    grid, box, body = (compare_segmentations(*pair, region=region, image=Volume.scalar(image, AFFINE))
                       for region in ("grid", "box", "body"))
    assert 12 ** 3 <= body.confusion.sum() < 8000
    for one, voxels in ((grid, 8000), (box, 80), (body, body.confusion.sum())):
        metrics = one.metrics[0]
        assert metrics.dice == grid.metrics[0].dice
        assert metrics.accuracy == pytest.approx(1 - 16 / voxels)
        assert metrics.specificity == pytest.approx(1 - 16 / (voxels - 64))
        assert one.confusion.sum() == voxels
    with pytest.raises(InputError, match="image"):
        compare_segmentations(*pair, region="body")


def test_the_map_of_errors_tells_missed_extra_and_swapped():
    labels, truth = np.zeros((2, 4, 4, 4), np.uint8)
    truth[0, 0, 0] = truth[1, 0, 0] = 1
    labels[1, 0, 0], labels[2, 0, 0] = 2, 2
    truth[3, 0, 0] = labels[3, 0, 0] = 2
    found = compare_segmentations(segmentation(labels, {1: "a", 2: "b"}), segmentation(truth, {1: "a", 2: "b"}))
    assert found.errors.labels[:, 0, 0].tolist() == [1, 3, 2, 0]
    assert [one.name for one in found.errors.segments] == ["Missed", "Extra", "Another structure"]


def test_an_image_by_mistake_is_refused_by_name():
    image = np.arange(27000).reshape(30, 30, 30).astype(np.uint16)
    with pytest.raises(InputError, match="looks like an image"):
        compare_segmentations(meddl.Segmentation(image, AFFINE, ()), segmentation(np.ones((30, 30, 30))))


def test_nothing_to_compare_is_refused():
    nothing = segmentation(np.zeros((4, 4, 4)))
    with pytest.raises(InputError, match="nothing to compare"):
        meddl.compare(nothing, nothing)
    with pytest.raises(InputError, match="Segmentation and Volume"):
        meddl.compare(nothing, Volume.scalar(np.zeros((4, 4, 4)), AFFINE))


def test_codes_that_several_segments_share_match_nothing():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[:2], labels[2:4] = 1, 2
    tissue = {"category": ["SCT", "85756007", "Tissue"], "type": ["SCT", "85756007", "Tissue"], "modifier": None}
    codes = {1: tissue, 2: tissue}
    ours = segmentation(labels, {1: "Tumor", 2: "Segment_2"}, codes=codes)
    theirs = segmentation(labels, {1: "Edema", 2: "Tumor"}, codes=codes)
    assert [(one.name, one.prediction, one.reference) for one in compare_segmentations(ours, theirs).structures] == [
        ("Edema", None, 1), ("Tumor", 1, 2), ("Segment_2", 2, None)]

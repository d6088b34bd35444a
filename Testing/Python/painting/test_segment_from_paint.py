"""Interactive segmentation: a structure painted in a few slices is found in the rest of the volume."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter

import meddl
from meddl.cli import main
from meddl.core.errors import GeometryError, InputError
from meddl.measures.overlap import dice
from meddl.painting import features
from meddl.painting.contours import Offset, move_contours
from meddl.painting.paint import Paint, find_region, find_slices, read_paint

AFFINE = np.diag([1.5, 1.5, 2.0, 1.0])
SHAPE = (40, 36, 30)


def tube():
    """(volume, true labels): a bent bright tube of varying width in noise, with a dark one inside."""
    i, j, k = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    middle = 20 + 5 * np.sin(k / 6)
    distance = np.hypot(i - middle, j - 18)
    width = 9 - 0.15 * np.abs(k - 15)
    true = ((distance < width) & (k > 3) & (k < 27)).astype(np.uint8)
    true[(distance < width / 2) & (true > 0)] = 2
    noise = gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 0.5)
    return meddl.Volume.scalar((np.array([100, 160, 60])[true] + 40 * noise).astype(np.float32), AFFINE), true


def painted(labels, names=("wall", "lumen"), affine=AFFINE):
    return meddl.Segmentation(labels, affine, tuple(
        meddl.Segment(value, name, (1.0, 0.5, 0.0)) for value, name in enumerate(names, start=1)))


def in_slices(true, slices=(8, 15, 22), axis=2):
    result = np.zeros_like(true)
    np.moveaxis(result, axis, 0)[list(slices)] = np.moveaxis(true, axis, 0)[list(slices)]
    return result


def test_three_slices_give_the_rest_and_stay_as_they_are():
    volume, true = tube()
    paint = in_slices(true)
    found = meddl.segment_from_paint(volume, painted(paint))
    assert (dice(found.labels, true, [1, 2]) > 0.9).all()
    assert np.array_equal(found.labels[..., [8, 15, 22]], true[..., [8, 15, 22]])
    assert (found.confidence[..., 15] == 1).all() and found.confidence[..., 11].min() < 1
    assert found.report["axis"] == "k" and found.report["slices"] == 3


def test_the_axes_order_does_not_matter():
    volume, true = tube()
    along_k = meddl.segment_from_paint(volume, painted(in_slices(true))).labels
    turned = meddl.Volume(volume.data.transpose(0, 3, 2, 1), AFFINE[[2, 1, 0, 3]])
    along_i = meddl.segment_from_paint(
        turned, painted(np.ascontiguousarray(in_slices(true).transpose(2, 1, 0)), affine=turned.affine)).labels
    assert (dice(np.ascontiguousarray(along_i.transpose(2, 1, 0)), along_k, [1, 2]) > 0.95).all()


def test_the_same_paint_gives_the_same_result():
    volume, true = tube()
    first, second = (meddl.segment_from_paint(volume, painted(in_slices(true))).labels for _ in range(2))
    assert np.array_equal(first, second)


def test_features_are_computed_once_for_a_volume():
    volume, true = tube()
    features._cache.clear()
    meddl.segment_from_paint(volume, painted(in_slices(true)))
    kept = next(iter(features._cache.values()))
    meddl.segment_from_paint(volume, painted(in_slices(true, (8, 15, 20, 22))))
    assert list(features._cache.values()) == [kept]
    changed = meddl.Volume(volume.data + np.float32(1) * (volume.data > 150), AFFINE)
    meddl.segment_from_paint(changed, painted(in_slices(true)))
    assert len(features._cache) == 2


def test_another_slice_makes_it_better():
    volume, true = tube()
    few, more = (dice(meddl.segment_from_paint(volume, painted(in_slices(true, slices))).labels, true, [1, 2]).mean()
                 for slices in ((14, 16), (6, 11, 16, 21, 25)))
    assert more > few


def test_strokes_count_where_there_are_any():
    """With a segment for background, what is not painted is not known: half of each slice is enough."""
    volume, true = tube()
    half = np.zeros_like(true)
    half[:21, :, [8, 15, 22]] = np.where(true > 0, true, 3)[:21, :, [8, 15, 22]]
    found = meddl.segment_from_paint(volume, painted(half, ("wall", "lumen", "Background")))
    assert (dice(found.labels, true, [1, 2]) > 0.8).all()
    assert [segment.name for segment in found.segments] == ["wall", "lumen"] and found.labels.max() == 2


def test_contours_that_are_off_are_mended_within_the_tolerance():
    volume, true = tube()
    shifted = in_slices(np.roll(true, (1, 1), (0, 1)))
    kept, mended = (dice(meddl.segment_from_paint(
        volume, painted(shifted), meddl.PaintConfig(contour_tolerance=tolerance)).labels, true, [1, 2]).mean()
        for tolerance in (0, 1))
    assert mended > kept + 0.02


def test_exact_contours_are_not_moved_and_the_report_says_what_was():
    volume, true = tube()
    exact, shifted = (in_slices((labels > 0).astype(np.uint8)) for labels in (true, np.roll(true, (1, 1), (0, 1))))
    keep, moved = (meddl.segment_from_paint(volume, painted(paint, ("tube",)), meddl.PaintConfig(contour_tolerance=1))
                   for paint in (exact, shifted))
    assert keep.report["contours"] is None
    assert moved.report["contours"]["shift"] == (-1, -1)
    assert np.array_equal(keep.labels[..., 15] > 0, exact[..., 15] > 0)
    agreement = dice((moved.labels[..., 15:16] > 0).astype(np.uint8), exact[..., 15:16], [1])
    assert agreement > 0.95  # the painted slice itself is changed


def test_contours_within_the_structure_are_grown():
    volume, true = tube()
    eroded = np.zeros_like(true)
    for k in (8, 15, 22):
        eroded[..., k] = binary_erosion(true[..., k] > 0)
    found = meddl.segment_from_paint(volume, painted(eroded, ("tube",)), meddl.PaintConfig(contour_tolerance=1))
    assert found.report["contours"] == {"growth": 1.0, "shift": (0, 0)}


def test_a_slice_without_a_structure_has_no_contour_of_it():
    classes = np.zeros((9, 9, 3), np.uint8)
    classes[3:6, 3:6, 1] = 1
    paint = Paint(np.ones(classes.shape, bool), classes, (1, 2), 2, (0, 1, 2))
    assert np.array_equal(move_contours(paint, Offset()).classes, classes)
    grown = move_contours(paint, Offset(1.0)).classes
    assert not grown[..., (0, 2)].any() and np.count_nonzero(grown) == 25


def test_the_shell_segments_from_paint(tmp_path, capsys):
    volume, true = tube()
    meddl.save(volume, tmp_path / "v.nii.gz")
    meddl.save_segmentation(painted(in_slices(true)), tmp_path / "strokes.seg.nrrd")
    words = ["paint", *(str(tmp_path / name) for name in ("v.nii.gz", "strokes.seg.nrrd")), "-o",
             str(tmp_path / "o.seg.nrrd"), "--steps", "60"]
    assert main(words) == 0
    found = meddl.load_segmentation(tmp_path / "o.seg.nrrd")
    assert [segment.name for segment in found.segments] == ["wall", "lumen"]
    assert (dice(found.labels, true, [1, 2]) > 0.85).all()
    assert "3 painted slices" in capsys.readouterr().out
    meddl.save_segmentation(painted(np.zeros_like(true)), tmp_path / "empty.seg.nrrd")
    words[2] = str(tmp_path / "empty.seg.nrrd")
    assert main([*words, "--overwrite"]) == 2 and "Nothing is painted" in capsys.readouterr().err


def test_parts_without_paint_are_taken_away_unless_they_are_wanted():
    volume, true = tube()
    data = volume.data.copy()
    data[0, 33:39, 28:34, 10:20] = 160
    volume = meddl.Volume(data, AFFINE)
    paint = in_slices(np.where(true > 0, 1, 0).astype(np.uint8), (8, 22))
    connected = meddl.segment_from_paint(volume, painted(paint, ("tube",))).labels
    assert not connected[33:, 28:].any()


def test_a_large_region_is_sampled_coarser_and_says_so():
    volume, true = tube()
    found = meddl.segment_from_paint(volume, painted(in_slices(true)), meddl.PaintConfig(largest_region=12000))
    assert "coarser" in found.report["warnings"][0]
    assert (dice(found.labels, true, [1, 2]) > 0.75).all()


def test_slices_are_found_across_any_axis_and_across_each_other():
    _volume, true = tube()
    for axis, slices in ((0, (15, 22)), (1, (12, 18, 24)), (2, (8, 15, 22))):
        assert find_slices(in_slices(true, slices, axis)) == (axis, slices)
    both = np.maximum(in_slices(true), in_slices(true, (20,), 0))
    assert find_slices(both) == (2, (8, 15, 22))
    paint = read_paint(both, (1, 2), None, True)
    assert paint.known[20].all() and paint.known[..., 15].all() and not paint.known[3, 3, 3]


def test_the_region_holds_the_paint_and_goes_on_across_the_slices():
    paint = in_slices(tube()[1])
    box = find_region(paint)
    assert box[2].start <= 1 and box[2].stop >= 29
    assert np.count_nonzero(paint[box]) == np.count_nonzero(paint)


def test_background_far_away_does_not_make_the_region_larger():
    labels = np.zeros((100, 100, 30), np.uint8)
    labels[40:50, 40:50, [8, 15, 22]] = 1
    assert find_region(labels, 2) == find_region(labels)
    labels[2:98, 2:98, 15] = np.where(labels[2:98, 2:98, 15] > 0, 1, 2)
    assert find_region(labels, 2)[0] == slice(8, 88)


@pytest.mark.parametrize(("labels", "names", "message"), [
    (np.zeros(SHAPE, np.uint8), ("wall", "lumen"), "Nothing is painted"),
    (in_slices(tube()[1] * 0 + 3), ("wall", "lumen", "background"), "No structure is painted"),
])
def test_what_is_missing_is_said(labels, names, message):
    with pytest.raises(InputError, match=message):
        meddl.segment_from_paint(tube()[0], painted(labels, names))


def test_strokes_without_background_are_refused():
    volume, true = tube()
    with pytest.raises(InputError, match="what is background"):
        meddl.segment_from_paint(volume, painted((in_slices(true) > 0).astype(np.uint8)),
                                 meddl.PaintConfig(unpainted="unknown"))


def test_another_grid_and_a_volume_without_contrast_are_refused():
    volume, true = tube()
    with pytest.raises(GeometryError, match="another grid"):
        meddl.segment_from_paint(volume, painted(in_slices(true), affine=np.eye(4)))
    with pytest.raises(InputError, match="one value"):
        meddl.segment_from_paint(meddl.Volume.scalar(np.full(SHAPE, 7.0), AFFINE), painted(in_slices(true)))


def test_one_slice_is_enough_to_begin():
    volume, true = tube()
    found = meddl.segment_from_paint(volume, painted(in_slices(true, (15,))))
    assert (dice(found.labels, true, [1, 2]) > 0.6).all()

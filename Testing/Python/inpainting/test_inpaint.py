"""The verb: what is outside of the mask stays, what is inside is marked, and what cannot be right is refused."""

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

import meddl
from meddl.core.errors import Cancelled, GeometryError, InputError, OutOfMemoryError
from meddl.inpainting import inpaint as verb
from meddl.spatial.volume import Volume

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -94, -110, -90
SHAPE = (48, 56, 46)
HARMONIC = meddl.InpaintConfig(method="harmonic")


def at(center_mm, radii_mm, shape=SHAPE, affine=AFFINE):
    """An ellipsoid (I, J, K) bool in RAS mm."""
    points = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) @ affine[:3, :3].T + affine[:3, 3]
    return (((points - center_mm) / radii_mm) ** 2).sum(-1) < 1


def head(dtype=np.float32):
    """Two hemispheres that are alike, each with a nucleus and a ventricle, in a skull."""
    rng = np.random.default_rng(0)
    data = np.zeros(SHAPE)
    data[at((0, 0, 0), (75, 95, 75))] = 300
    data[at((0, 0, 0), (68, 88, 68))] = 60
    for side in (-1, 1):
        for center, radii, value in (((34, 0, 0), (30, 78, 60), 500), ((30, 10, 5), (14, 26, 12), 800),
                                     ((14, -20, 12), (8, 24, 10), 120), ((40, -40, -20), (10, 12, 20), 700)):
            data[at(np.multiply((side, 1, 1), center), radii)] = value
    return Volume.scalar((data + rng.normal(0, 8, SHAPE)).astype(dtype), AFFINE)


def mask_of(inside, affine=AFFINE):
    return Volume.scalar(inside.astype(np.uint8), affine)


LESION = at((32, 12, 6), (16, 20, 14))  # over the right nucleus and around it


def error(made, truth, inside=LESION):
    return float(np.sqrt(np.square(made.volume.scalar_data[inside].astype(float) - truth.scalar_data[inside]).mean()))


def test_only_masked_voxels_change_and_each_is_marked():
    volume = head(np.int16)
    made = meddl.inpaint(volume, mask_of(LESION), HARMONIC, device="cpu")
    assert made.volume.data.dtype == np.int16
    np.testing.assert_array_equal(made.volume.scalar_data[~LESION], volume.scalar_data[~LESION])
    assert (made.volume.scalar_data[LESION] != volume.scalar_data[LESION]).mean() > 0.9
    np.testing.assert_array_equal(made.filled.scalar_data, LESION)
    assert made.report["filled_voxels"] == LESION.sum()
    assert made.report["filled_ml"] == pytest.approx(LESION.sum() * 0.064, rel=1e-3)
    assert "synthesized" in made.report["name_suffix"] and "synthesized" in made.report["reading"]
    assert any("Measure nothing" in text for text in made.report["warnings"])


def test_a_lesion_of_a_head_is_filled_from_the_other_hemisphere_where_it_is_nearer_the_truth():
    truth = head()
    sick = truth.data.copy()
    sick[0][LESION] = 1500
    results = {method: meddl.inpaint(Volume(sick, AFFINE), mask_of(LESION), meddl.InpaintConfig(method=method),
                                     device="cpu") for method in ("harmonic", "mirror")}
    assert results["mirror"].report["hemisphere_agreement"] > 0.9
    assert meddl.inpaint(Volume(sick, AFFINE), mask_of(LESION), device="cpu").report["method"] == "mirror"
    assert error(results["mirror"], truth) < 0.5 * error(results["harmonic"], truth)


def test_a_volume_without_symmetry_falls_back_and_says_so():
    rng = np.random.default_rng(1)
    data = np.zeros(SHAPE)
    for _ in range(12):
        data[at(rng.uniform(-60, 60, 3), rng.uniform(12, 30, 3))] = rng.uniform(100, 900)
    made = meddl.inpaint(Volume.scalar(data, AFFINE), mask_of(LESION), meddl.InpaintConfig(method="mirror"),
                         device="cpu")
    assert made.report["method"] == "biharmonic" and any("not symmetric" in text for text in made.report["warnings"])
    tiny = Volume.scalar(data[:4, :4, :2], AFFINE)
    inside = np.zeros(tiny.shape, bool)
    inside[1, 1, 0] = True
    assert meddl.inpaint(tiny, mask_of(inside), device="cpu").report["method"] == "biharmonic"


def test_all_axis_orders_have_one_result():
    volume = head()
    expected = meddl.inpaint(volume, mask_of(LESION), HARMONIC, device="cpu").volume
    for codes in ("RAS", "PIL", "SLA"):
        turned, mask = volume.reorient(codes), mask_of(LESION).reorient(codes)
        found = meddl.inpaint(turned, mask, HARMONIC, device="cpu").volume.reorient("RAS")
        np.testing.assert_allclose(found.data, expected.reorient("RAS").data, atol=0.5)


def test_a_mask_of_another_grid_is_resampled_once_and_that_is_said():
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] = AFFINE[:3, 3] - 1
    inside = at((32, 12, 6), (16, 20, 14), tuple(2 * n for n in SHAPE), fine)
    made = meddl.inpaint(head(), mask_of(inside, fine), HARMONIC, device="cpu")
    assert made.report["mask_resampled"] and "nearest neighbor" in made.report["reading"]
    assert made.filled.grid.same_as(head().grid) and 0.8 < made.filled.data.sum() / LESION.sum() < 1.2


def test_frames_share_a_mask_or_have_one_each():
    one = head()
    series = Volume(np.concatenate([one.data, one.data * 0.5, one.data * 2]), AFFINE)
    made = meddl.inpaint(series, mask_of(LESION), HARMONIC, device="cpu")
    np.testing.assert_allclose(made.volume.data[1], 0.5 * made.volume.data[0], atol=1.0)
    assert made.filled.channels == 1
    masks = np.stack([LESION, np.zeros_like(LESION), at((-30, 0, 0), (9, 9, 9))]).astype(np.uint8)
    made = meddl.inpaint(series, Volume(masks, AFFINE), HARMONIC, device="cpu")
    np.testing.assert_array_equal(made.volume.data != series.data, masks > 0)
    with pytest.raises(InputError, match="one for each of the volume's 3"):
        meddl.inpaint(series, Volume(masks[:2], AFFINE), HARMONIC)


def test_missing_values_inside_are_filled_and_outside_refused():
    volume = head()
    volume.data[0][LESION] = np.nan
    assert np.isfinite(meddl.inpaint(volume, mask_of(LESION), device="cpu").volume.data).all()
    volume.data[0, 0, 0, 0] = np.inf
    with pytest.raises(InputError, match="1 values that are not finite outside"):
        meddl.inpaint(volume, mask_of(LESION), HARMONIC)


def test_masks_that_are_empty_cover_everything_or_lie_elsewhere():
    volume = head()
    made = meddl.inpaint(volume, mask_of(np.zeros(SHAPE, bool)), device="cpu")
    np.testing.assert_array_equal(made.volume.data, volume.data)
    assert not made.filled.data.any() and "empty" in made.report["reading"]
    assert any("nothing was changed" in text for text in made.report["warnings"])
    with pytest.raises(InputError, match="covers the whole volume"):
        meddl.inpaint(volume, mask_of(np.ones(SHAPE, bool)))
    away = AFFINE.copy()
    away[0, 3] += 900
    with pytest.raises(GeometryError, match="no voxel of the volume"):
        meddl.inpaint(volume, mask_of(LESION, away))
    nothing = meddl.inpaint(volume, Volume.scalar(np.full(SHAPE, np.nan), AFFINE))  # NaN is not set
    assert not nothing.filled.data.any()


def test_a_margin_grows_the_mask_by_millimeters():
    made = meddl.inpaint(head(), mask_of(LESION), meddl.InpaintConfig(method="harmonic", margin_mm=4.0), device="cpu")
    np.testing.assert_array_equal(made.filled.scalar_data > 0, binary_dilation(LESION))  # a voxel is 4 mm long


def test_it_is_cancelled_and_refuses_what_does_not_fit_into_memory(monkeypatch):
    def stop(fraction, _message):
        if fraction > 0.1:
            raise Cancelled

    for method in ("harmonic", "mirror"):
        with pytest.raises(Cancelled):
            meddl.inpaint(head(), mask_of(LESION), meddl.InpaintConfig(method=method), device="cpu", on_progress=stop)
    monkeypatch.setattr(verb, "free_memory_bytes", lambda _: 1000)
    with pytest.raises(OutOfMemoryError, match="Crop them around the mask"):
        meddl.inpaint(head(), mask_of(LESION))


def test_values_stay_within_the_range_of_what_is_known():
    volume = head()
    for method in ("harmonic", "biharmonic", "mirror"):
        made = meddl.inpaint(volume, mask_of(LESION), meddl.InpaintConfig(method=method), device="cpu")
        known = volume.scalar_data[~LESION]
        assert known.min() <= made.volume.data.min() and made.volume.data.max() <= known.max()

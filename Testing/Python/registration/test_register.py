"""Rigid and affine registration: known maps are found again, on phantoms and on real volumes."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from registration_phantoms import box, rigid, rotation
from registration_pictures import assert_found, disagreement_mm, picture

import meddl
from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl.core.errors import Cancelled, GeometryError, InputError
from meddl.io import to_sitk
from meddl.registration import register
from meddl.registration.linear.motion import rotation_angle_deg
from meddl.results import Registration
from meddl.spatial.resample import to_tensor
from meddl.spatial.volume import Volume

QUICK = RegisterConfig(levels_mm=(8.0, 4.0), samples=30_000, estimate_quality=False)


# --- the verb on phantoms ---


@pytest.mark.parametrize("other_contrast", [False, True], ids=["same contrast", "other contrast"])
@pytest.mark.parametrize(("angle", "axis", "shift"), [
    (12, (1, 2, 3), (15, -8, 6)), (25, (0, 0, 1), (0, 0, 0)), (0, (1, 0, 0), (-40, 25, 10))])
def test_a_known_rigid_motion_is_recovered(angle, axis, shift, other_contrast):
    truth = rigid(angle, axis, shift)
    result = register(picture(box()), picture(box(), np.linalg.inv(truth), other_contrast), QUICK, device="cpu")
    assert_found(result, truth, within_mm=1.0)
    assert result.displacement is None
    assert result.report["metric"]["after"] > result.report["metric"]["before"]
    assert result.report["rotation_deg"] == pytest.approx(angle, abs=1)
    assert result.report["warnings"] == []


def test_the_defaults_are_accurate_to_a_tenth_of_a_voxel():
    truth = rigid(9, (2, 1, -1), (6, 7, -12))
    result = register(picture(box()), picture(box(), np.linalg.inv(truth)), device="cpu")
    assert_found(result, truth, within_mm=0.3, within_deg=0.2)


def test_oblique_left_handed_thick_volumes_are_registered_in_world_space():
    truth = rigid(14, (1, -1, 2), (60, -20, 35))
    fixed = picture(box((2.5, 2.5, 6), (62, 66, 26), rotation(20, (1, 0, 1)) @ np.diag([-1, 1, 1]), (3, 4, 5)))
    moving_grid = box((6, 3, 3), (27, 60, 55), rotation(-25, (0, 1, 1)), (60, -20, 35))
    result = register(fixed, picture(moving_grid, np.linalg.inv(truth), True), QUICK, device="cpu")
    assert_found(result, truth, within_mm=1.0)


def test_identity_in_identity_out():
    volume = picture(box())
    result = register(volume, volume, QUICK, device="cpu")
    assert_found(result, np.eye(4), within_mm=0.1, within_deg=0.05)
    assert result.report["start"] == "the given alignment"
    assert result.report["overlap"] == pytest.approx(1, abs=0.02)


def test_the_axis_order_of_storage_changes_nothing():
    truth = rigid(10, (1, 0, 1), (10, 5, -5))
    fixed, moving = picture(box()), picture(box(), np.linalg.inv(truth))
    expected = register(fixed, moving, QUICK, device="cpu").affine
    for fixed_codes, moving_codes in (("LIA", "RAS"), ("PSR", "SAL"), ("LPI", "ASL")):
        again = register(fixed.reorient(fixed_codes), moving.reorient(moving_codes), QUICK, device="cpu")
        np.testing.assert_allclose(again.affine, expected, atol=1e-7)


def test_the_same_volumes_give_the_same_map():
    fixed, moving = picture(box()), picture(box(), rigid(5, (0, 1, 0), (4, 4, 4)))
    first, second = (register(fixed, moving, QUICK, device="cpu") for _ in range(2))
    np.testing.assert_array_equal(first.affine, second.affine)


def test_translation_does_not_turn_and_affine_finds_a_stretch():
    fixed = picture(box())
    only_shift = register(fixed, picture(box(), rigid(6, (0, 0, 1), (9, 0, 0))),
                          RegisterConfig(transform_type="translation", levels_mm=(8.0, 4.0)), device="cpu")
    np.testing.assert_allclose(only_shift.affine[:3, :3], np.eye(3), atol=1e-12)
    truth = rigid(8, (1, 1, 0), (5, -6, 3)) @ np.diag([1.08, 0.95, 1.03, 1])
    truth[0, 1] += 0.04
    stretched = register(fixed, picture(box(), np.linalg.inv(truth)),
                         RegisterConfig(transform_type="affine", levels_mm=(8.0, 4.0)), device="cpu")
    assert disagreement_mm(stretched.affine, truth, fixed.grid) < 1


def test_a_search_over_rotations_rights_a_volume_that_lies_upside_down():
    truth = rigid(155, (1, 0.3, 0.2), (0, 30, 0))
    moving = picture(box(3.0, (60, 60, 60), shift_mm=(0, 30, 0)), np.linalg.inv(truth))
    config = RegisterConfig(levels_mm=(8.0, 4.0), search_rotations=100)
    result = register(picture(box()), moving, config, device="cpu")
    assert_found(result, truth, within_mm=1.0)
    assert result.report["start"] in ("the centers of mass, turned", "the second moments")


def test_each_preset_is_a_valid_choice():
    fixed, moving = picture(box(6.0, (28, 30, 26))), picture(box(6.0, (28, 30, 26)), rigid(0, (1, 0, 0), (2, 0, 0)))
    for config in REGISTER_PRESETS.values():
        quick = replace(config, samples=2000, iterations=3)
        assert register(fixed, moving, quick, device="cpu").report["transform"] == config.transform_type


def test_the_alignment_is_shown_after_each_level_and_at_the_end():
    seen = []

    def listen(fraction, text):
        pass

    listen.preview = seen.append
    volume = picture(box(6.0, (28, 30, 26)))
    result = register(volume, volume, QUICK, device="cpu", on_progress=listen)
    assert [shown["kind"] for shown in seen] == ["affine", "affine", "affine"]  # two levels, and the end
    np.testing.assert_array_equal(seen[-1]["affine"], result.affine)


def test_volumes_that_do_not_meet_under_their_headers_are_brought_together():
    truth = rigid(5, (0, 1, 0), (900, -400, 300))
    moving = picture(box(shift_mm=(900, -400, 300)), np.linalg.inv(truth))
    result = register(picture(box()), moving, QUICK, device="cpu")
    assert_found(result, truth, within_mm=1.0)
    assert result.report["metric"]["before"] is None
    left = register(picture(box()), moving, RegisterConfig(initialization="given", levels_mm=(8.0,)), device="cpu")
    assert any("0%" in text for text in left.report["warnings"])


def test_a_small_field_of_view_is_placed_in_a_large_one():
    truth = rigid(6, (1, 1, 1), (8, -4, 6))
    slab = picture(box((2, 2, 2), (70, 75, 20), shift_mm=truth[:3, 3]), np.linalg.inv(truth))
    assert_found(register(picture(box()), slab, QUICK, device="cpu"), truth, within_mm=1.5)
    back = register(slab, picture(box()), QUICK, device="cpu")
    assert disagreement_mm(back.affine, np.linalg.inv(truth), slab.grid) < 1.5


# --- bad and odd input ---


def test_unusable_volumes_are_refused_with_what_was_expected():
    good = picture(box(8.0, (20, 20, 20)))
    affine = good.affine
    for bad, words in (
            (Volume.scalar(np.full((20, 20, 20), 3.0), affine), "constant"),
            (Volume.scalar(np.full((20, 20, 20), np.nan), affine), "no finite value"),
            (Volume.scalar(np.zeros((20, 20, 1)), affine), "at least 8"),
            (Volume.scalar(np.arange(64.0).reshape(4, 4, 4), affine), "at least 8"),
            (Volume(np.random.default_rng(0).random((3, 20, 20, 20)), affine), "3 channels")):
        with pytest.raises(InputError, match=f"fixed.*{words}"):
            register(bad, good, device="cpu")
        with pytest.raises(InputError, match=f"moving.*{words}"):
            register(good, bad, device="cpu")


def test_nan_is_taken_for_background_and_said():
    truth = rigid(8, (0, 1, 1), (5, 5, 0))
    fixed, moving = picture(box()), picture(box(), np.linalg.inv(truth))
    holed = fixed.data.copy()
    holed[:, :4] = np.nan
    holed[:, 30:33, 30:33, 20:22] = np.inf
    result = register(Volume(holed, fixed.affine), moving, QUICK, device="cpu")
    assert_found(result, truth, within_mm=1.0)
    assert any("NaN" in text and "fixed" in text for text in result.report["warnings"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float64, bool])
def test_any_number_type_is_registered(dtype):
    truth = rigid(0, (1, 0, 0), (9, -6, 3))
    volumes = [picture(box(), matrix) for matrix in (np.eye(4), np.linalg.inv(truth))]
    fixed, moving = (Volume((np.clip(v.data, 0, 1000) / 4 > (60 if dtype is bool else -1)) if dtype is bool
                            else np.clip(v.data / 4, 0, 250).astype(dtype), v.affine) for v in volumes)
    config = RegisterConfig(transform_type="translation", levels_mm=(8.0, 4.0))
    assert_found(register(fixed, moving, config, device="cpu"), truth, within_mm=1.0)


def test_a_few_thick_slices_are_registered():
    truth = rigid(0, (0, 0, 1), (3, -2, 0))

    def seen(matrix):
        enlarge = np.diag([5.0, 5, 5, 1])
        return picture(box((0.75, 0.75, 4), (40, 40, 5)), enlarge @ matrix)

    result = register(seen(np.eye(4)), seen(np.linalg.inv(truth)), device="cpu")
    assert disagreement_mm(result.affine, truth, result.grid) < 1


def test_progress_rises_to_one_and_cancel_passes_through():
    volume = picture(box(6.0, (28, 30, 26)))
    told = []
    register(volume, volume, QUICK, device="cpu", on_progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert all(text for _, text in told)

    def stop(fraction, text):
        if fraction > 0.4:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        register(volume, volume, QUICK, device="cpu", on_progress=stop)


# --- what the result does, seen by SimpleITK ---


def test_warp_agrees_with_simpleitk():
    moving = picture(box((2, 3, 4), (80, 55, 40), rotation(15, (1, 2, 0)), (2, 3, -4)))
    result = Registration(rigid(11, (1, 1, 2), (6, -3, 8)), None, box(4.0, (40, 44, 38), rotation(-10, (0, 0, 1))))
    flip = np.diag([-1.0, -1, 1, 1])
    lps = flip @ result.affine @ flip
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    reference = to_sitk(Volume.scalar(np.zeros(result.grid.shape, np.float32), result.grid.affine))
    witness = sitk.GetArrayFromImage(sitk.Resample(to_sitk(moving), reference, transform, sitk.sitkLinear, 0.0))
    difference = np.abs(witness.transpose(2, 1, 0) - result.warp(moving).data[0])
    assert np.quantile(difference, 0.999) < 0.05
    assert result.warp(moving).grid.same_as(result.grid)


@pytest.mark.parametrize("suffix", [".tfm", ".h5"])
def test_a_saved_transform_maps_points_for_simpleitk_as_for_us(tmp_path, suffix):
    result = Registration(rigid(33, (1, 2, -1), (10, 20, -30), (5, 5, 5)), None, box())
    result.save(tmp_path / f"map{suffix}")
    read = sitk.ReadTransform(str(tmp_path / f"map{suffix}"))
    points = np.random.default_rng(0).uniform(-100, 100, (10, 3))
    theirs = np.array([read.TransformPoint((-x, -y, z)) for x, y, z in points]) * (-1, -1, 1)
    np.testing.assert_allclose(result.points(points), theirs, atol=1e-6)
    np.testing.assert_allclose(result.invert().points(result.points(points)), points, atol=1e-9)


# --- real volumes ---


def moved(volume: Volume, motion: np.ndarray) -> Volume:
    """The same volume lying elsewhere."""
    return Volume(volume.data, motion @ volume.affine)


@pytest.mark.parametrize("pair", [
    ("brain/chris_t1.nii.gz", "brain/chris_PD.nii.gz"),
    ("sarcoma/sts02_ct.nii.gz", "sarcoma/sts02_mr.nii.gz"),
    ("sarcoma/sts03_ct.nii.gz", "sarcoma/sts03_pet.nii.gz")], ids=["T1 to PD", "CT to MR", "CT to PET"])
def test_a_known_motion_between_real_modalities_is_recovered(data_folder, pair):
    fixed, moving = (meddl.load(data_folder / name) for name in pair)
    # Where the header fits, it stays: what is found again is the optimum beside it.
    at_rest = register(fixed, moving, RegisterConfig(least_gain_percent=0.0), device="cpu")
    motion = rigid(12, (1, 2, 3), (15, -8, 6), moving.grid.center_mm)
    after = register(fixed, moved(moving, motion), device="cpu")
    assert disagreement_mm(after.affine, motion @ at_rest.affine, fixed.grid) < 1
    assert rotation_angle_deg(np.linalg.inv(motion @ at_rest.affine) @ after.affine) < 1


def test_forward_and_backward_agree_between_real_modalities(data_folder):
    t1, pd = (meddl.load(data_folder / "brain" / f"chris_{name}.nii.gz") for name in ("t1", "PD"))
    there, back = register(t1, pd, device="cpu"), register(pd, t1, device="cpu")
    assert disagreement_mm(back.affine @ there.affine, np.eye(4), t1.grid) < 1
    # The headers of these two are about 9 degrees apart from the truth, as their pictures show.
    assert 7 < there.report["rotation_deg"] < 11


def test_a_header_turned_by_20_degrees_is_found(data_folder):
    straight, turned = (meddl.load(data_folder / "body" / f"chest_ct{tail}.nrrd") for tail in ("", "_oblique"))
    result = register(straight, turned, device="cpu")
    truth = turned.affine @ np.linalg.inv(straight.affine)
    assert rotation_angle_deg(truth) == pytest.approx(20, abs=0.1)
    assert_found(result, truth, within_mm=0.1, within_deg=0.05)


def test_tensors_of_views_with_reversed_axes_are_sampled_alike():
    volume = picture(box(8.0, (20, 20, 20)))
    torch.testing.assert_close(to_tensor(volume.reorient("LPI").data),
                               to_tensor(np.ascontiguousarray(volume.reorient("LPI").data)))


def test_thin_bright_structures_alone_are_registered():
    """Vessels: brighter than all else, and thinner than a coarse voxel."""
    grid = box(2.0, (50, 54, 48))
    indices = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    points = grid.points_mm(indices)
    truth = rigid(7, (0, 1, 1), (8, -5, 6))

    def vessels(at):
        lines = (((0, 0, 0), (1, 0.2, 0)), ((10, 0, 5), (0, 1, 0.4)), ((-15, 10, 0), (0.3, 0.2, 1)))
        value = np.zeros(at.shape[:-1])
        for start, along in lines:
            along = np.array(along) / np.linalg.norm(along)
            away = at - np.array(start)
            value += 900 * np.exp(-((away - (away @ along)[..., None] * along) ** 2).sum(-1) / (2 * 1.5 ** 2))
        return value.astype(np.float32)

    fixed = Volume.scalar(vessels(points), grid.affine)
    back = np.linalg.inv(truth)
    moving = Volume.scalar(vessels(points @ back[:3, :3].T + back[:3, 3]), grid.affine)
    assert_found(register(fixed, moving, device="cpu"), truth, within_mm=1.0)


# --- masks, initial transforms, landmarks ---


def test_masks_say_what_is_compared():
    truth = rigid(9, (0, 1, 2), (8, -5, 4))
    fixed, moving = picture(box()), picture(box(), np.linalg.inv(truth))
    spoilt = moving.data.copy()
    spoilt[:, 36:, :, :] = 4000 * np.random.default_rng(0).random(spoilt[:, 36:].shape)
    spoilt = Volume(spoilt, moving.affine)
    kept = Volume((np.arange(54)[None, :, None, None] < 34) & np.ones(spoilt.data.shape, bool), moving.affine)
    assert_found(register(fixed, spoilt, QUICK, moving_mask=kept, device="cpu"), truth, within_mm=1.0)
    finer = box(2.0, (90, 90, 80))  # a mask's grid is its own
    egg = Volume(picture(finer).data > 200, finer.affine)
    assert_found(register(fixed, spoilt, QUICK, fixed_mask=egg, moving_mask=kept, device="cpu"), truth, within_mm=1.0)


@pytest.mark.parametrize(("mask", "words"), [
    (Volume.scalar(np.zeros((9, 9, 9)), np.eye(4)), "mask is empty"),
    (Volume.scalar(np.full((9, 9, 9), np.nan), np.eye(4)), "mask is empty"),
    (Volume.scalar(np.ones((9, 9, 9)), rigid(0, (1, 0, 0), (900, 0, 0))), "mask lies outside"),
    (Volume(np.ones((2, 9, 9, 9)), np.eye(4)), "mask has 2 channels"),
    (Volume.scalar(np.arange(9)[:, None, None] * np.ones((9, 9, 9)) == 4, np.eye(4)), "mask is one slice thick")])
def test_masks_that_say_nothing_are_refused(mask, words):
    good = picture(box(8.0, (20, 20, 20)))
    for side in ("fixed", "moving"):
        with pytest.raises(InputError, match=f"{side} {words}"):
            register(good, good, device="cpu", **{f"{side}_mask": mask})


def test_an_initial_transform_is_where_the_search_begins():
    truth = rigid(150, (1, 1, 0), (300, 20, -10))
    fixed, moving = picture(box()), picture(box(shift_mm=truth[:3, 3]), np.linalg.inv(truth))
    near = truth @ rigid(8, (0, 0, 1), (4, 4, -6))
    for initial in (near, Registration(near, None, fixed.grid)):
        found = register(fixed, moving, QUICK, initial=initial, device="cpu")
        assert_found(found, truth, within_mm=1.0)
        assert found.report["start"] == "the initial transform"
    for bad in (np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan)):
        with pytest.raises(GeometryError):
            register(fixed, moving, QUICK, initial=bad, device="cpu")


def test_landmarks_are_a_start_and_are_measured():
    truth = rigid(150, (1, 1, 0), (300, 20, -10))
    fixed, moving = picture(box()), picture(box(shift_mm=truth[:3, 3]), np.linalg.inv(truth))
    here = np.random.default_rng(0).uniform(-40, 40, (6, 3))
    there = here @ truth[:3, :3].T + truth[:3, 3] + np.random.default_rng(1).normal(0, 3, (6, 3))
    found = register(fixed, moving, QUICK, landmarks=(here, there), device="cpu")
    assert_found(found, truth, within_mm=1.0)
    assert found.report["start"] == "the landmarks"
    assert found.report["landmarks_mm"]["after"] < 10 < 200 < found.report["landmarks_mm"]["before"]
    for bad in ((here, there[:3]), (here[:0], there[:0]), (here[:, :2], there[:, :2]), here, (here, there * np.nan)):
        with pytest.raises(InputError):
            register(fixed, moving, QUICK, landmarks=bad, device="cpu")

"""Time series: motion that was put in is found again and taken out, and what cannot be a series is refused."""

from dataclasses import replace

import numpy as np
import pytest
from registration_phantoms import box, rigid, tissue

import meddl
from meddl.core.config import REGISTER_PRESETS
from meddl.core.errors import Cancelled, InputError
from meddl.io import load
from meddl.registration.series import motion_of, register_series
from meddl.results import Registration
from meddl.spatial.volume import Volume

PRESET = REGISTER_PRESETS["Time series"]
QUICK = replace(PRESET, samples=20_000)
GRID = box(3.0, (50, 56, 48))
# A slow drift with a jump: maps from points of frame 0 to points of each frame.
DRIFT = (np.eye(4), rigid(0.6, (1, 2, 0), (0.8, 0.3, -0.5)), rigid(1.5, (1, 1, 1), (1.6, 0.9, -1.1)),
         rigid(4.0, (0, 1, 1), (6.0, -3.0, 4.0)))


def frame(moved: np.ndarray, seed: int = 0) -> Volume:
    """The phantom after a motion, with noise of its own."""
    indices = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1)
    back = np.linalg.inv(moved)
    value = tissue(GRID.points_mm(indices) @ back[:3, :3].T + back[:3, 3])
    noise = np.random.default_rng(seed).normal(size=GRID.shape)
    return Volume.scalar((1000 * value + 10 * noise).astype(np.float32), GRID.affine)


def series(moves=DRIFT) -> Volume:
    frames = [frame(moved, seed) for seed, moved in enumerate(moves)]
    return Volume(np.concatenate([one.data for one in frames]), GRID.affine)


def error_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """The largest distance between two maps on the phantom's surface, an ellipsoid."""
    directions = np.random.default_rng(2).normal(size=(500, 3))
    surface = directions / np.linalg.norm(directions, axis=1)[:, None] * (60, 75, 55)
    return float(np.linalg.norm((np.c_[surface, np.ones(500)] @ (found - truth).T)[:, :3], axis=1).max())


@pytest.fixture(scope="module")
def drifting() -> Volume:
    return series()


@pytest.fixture(scope="module")
def found(drifting):
    return register_series(drifting, QUICK, device="cpu")


# --- what is found ---


def test_a_drift_is_found_within_a_fifth_of_a_millimeter(found):
    for one, truth in zip(found.frames, DRIFT, strict=True):
        assert error_mm(one.affine, truth) < 0.2


def test_the_corrected_frames_lie_on_the_reference_and_vary_less(drifting, found):
    assert found.corrected.shape == drifting.shape and found.corrected.channels == len(DRIFT)
    np.testing.assert_array_equal(found.corrected.data[0], drifting.data[0])
    middle = (slice(11, -11),) * 3
    raw = np.abs(drifting.data[3] - drifting.data[0])[middle].mean()
    assert np.abs(found.corrected.data[3] - drifting.data[0])[middle].mean() < 0.25 * raw
    assert found.report["temporal_sd"]["after"] < 0.4 * found.report["temporal_sd"]["before"]


def test_the_report_tells_the_motion_frame_by_frame(found):
    report = found.report
    assert report["reference"] == 0 and report["metric"][0] is None
    assert {len(report[name]) for name in ("translation_mm", "rotation_deg", "framewise_displacement_mm",
                                           "metric")} == {len(DRIFT)}
    assert report["translation_mm"][0] == report["rotation_deg"][0] == [0, 0, 0]
    for angles, truth in zip(report["rotation_deg"], (0, 0.6, 1.5, 4.0), strict=True):
        assert np.linalg.norm(angles) == pytest.approx(truth, abs=0.3)
    steps = report["framewise_displacement_mm"]
    assert steps[0] == 0 and steps[3] > 10 > steps[1] > 1


def test_framewise_displacement_counts_a_degree_as_its_way_on_a_sphere_of_50_mm():
    turned = Registration(rigid(2.0, (0, 0, 1), (0, 0, 0)), None, None, {"translation_mm": [1.0, -2.0, 0.5]})
    motion = motion_of([Registration(np.eye(4), None, None), turned, turned])
    assert motion["framewise_displacement_mm"] == pytest.approx([0, 3.5 + 50 * np.radians(2), 0])
    assert motion["rotation_deg"][1] == pytest.approx([0, 0, 2])


def test_any_frame_can_be_the_reference(drifting):
    number = 2
    result = register_series(drifting, QUICK, reference=number, device="cpu")
    for one, truth in zip(result.frames, DRIFT, strict=True):
        assert error_mm(one.affine, truth @ np.linalg.inv(DRIFT[number])) < 0.2
    np.testing.assert_array_equal(result.reference.data, drifting.data[number:number + 1])


def test_to_the_mean_the_frames_agree_as_well_and_the_mean_has_less_noise(drifting, found):
    result = register_series(drifting, QUICK, reference="mean", device="cpu")
    to_first = np.linalg.inv(result.frames[0].affine)
    for one, truth in zip(result.frames, DRIFT, strict=True):
        assert error_mm(one.affine @ to_first, truth) < 0.2
    clean = frame(np.eye(4)).data - 10 * np.random.default_rng(0).normal(size=GRID.shape)
    middle = (slice(None), *(slice(13, -13),) * 3)
    error = [np.abs(one.reference.data - clean)[middle].mean() for one in (found, result)]
    assert error[1] < error[0]
    assert result.report["reference"] == "mean" and None not in result.report["metric"]


def test_a_series_without_motion_stays():
    still = series((np.eye(4),) * 3)
    result = register_series(still, QUICK, device="cpu")
    for one in result.frames:
        assert error_mm(one.affine, np.eye(4)) < 0.1
    assert max(result.report["framewise_displacement_mm"]) < 0.3


def test_frames_as_a_list_give_the_same_and_other_kinds_of_motion_can_be_chosen(drifting, found):
    frames = [Volume(drifting.data[k:k + 1], GRID.affine) for k in range(2)]
    listed = register_series(frames, QUICK, device="cpu")
    np.testing.assert_array_equal(listed.frames[1].affine, found.frames[1].affine)
    shifted = register_series(frames, replace(QUICK, transform_type="translation"), device="cpu")
    np.testing.assert_allclose(shifted.frames[1].affine[:3, :3], np.eye(3), atol=1e-12)


def test_a_frame_that_jumps_back_starts_from_the_given_alignment_too():
    far = rigid(25.0, (1, 0, 1), (25.0, -15.0, 10.0))
    result = register_series(series((np.eye(4), far, np.eye(4))), replace(QUICK, initialization="auto",
                                                                              search_rotations=24), device="cpu")
    assert error_mm(result.frames[2].affine, np.eye(4)) < 0.2


# --- what is refused ---


def test_what_is_no_series_is_refused_and_the_frame_is_named(drifting):
    with pytest.raises(InputError, match="at least two frames; this one has 1"):
        register_series(Volume(drifting.data[:1], GRID.affine))
    moved = Volume(drifting.data[2:3], rigid(0, (1, 0, 0), (0, 9, 0)) @ GRID.affine)
    with pytest.raises(InputError, match="Frame 1 lies on another grid"):
        register_series([Volume(drifting.data[:1], GRID.affine), moved])
    with pytest.raises(InputError, match="Frame 1 has 2 channels"):
        register_series([Volume(drifting.data[:1], GRID.affine), Volume(drifting.data[:2], GRID.affine)])
    data = drifting.data.copy()
    data[2] = np.nan
    with pytest.raises(InputError, match="frame 2 .*no finite value"):
        register_series(Volume(data, GRID.affine))
    for reference in (4, -1, "median", True, 1.0):
        with pytest.raises(InputError, match="'mean' or a frame from 0 to 3"):
            register_series(drifting, reference=reference)
    with pytest.raises(InputError, match="Interpolation"):
        register_series(drifting, interpolation="none")


def test_missing_voxels_are_named_by_frame_and_do_not_spoil_the_rest(drifting):
    data = drifting.data[:3].copy()
    data[1:, :2] = np.nan
    result = register_series(Volume(data, GRID.affine), QUICK, device="cpu")
    assert any(text.startswith("Frames 1, 2: ") and "NaN" in text for text in result.report["warnings"])
    assert np.isfinite(result.report["temporal_sd"]["after"])
    assert error_mm(result.frames[2].affine, DRIFT[2]) < 0.3


def test_it_can_be_canceled_wherever_it_tells_its_progress(drifting):
    told = []
    small = Volume(drifting.data[:2], GRID.affine)
    register_series(small, QUICK, device="cpu", on_progress=lambda fraction, text: told.append((fraction, text)))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert any(text.startswith("Frame 2 of 2: ") for _, text in told)
    for stop in np.linspace(0, len(told) - 1, 6).astype(int):
        count = 0

        def cancel(_fraction, _text, stop=stop):
            nonlocal count
            count += 1
            if count > stop:
                raise Cancelled("Stop.")

        with pytest.raises(Cancelled):
            register_series(small, QUICK, device="cpu", on_progress=cancel)
        assert count == stop + 1


# --- real series ---


def test_motion_put_into_a_real_series_is_taken_out(data_folder):
    """Spinal cord: frames moved further by a known shift in the plane."""
    whole = load(data_folder / "spine" / "fmri_fmri.nii.gz", "all")
    few = Volume(whole.data[:4], whole.affine)
    still = meddl.register_series(few, replace(PRESET, transform_type="translation"), device="cpu")
    shift = np.eye(4)
    shift[:3, 3] = (1.5, -1.0, 0.0)
    frames = [Volume(few.data[k:k + 1], shift @ few.affine if k > 1 else few.affine) for k in range(4)]
    frames = [Volume(meddl.Registration(np.eye(4), None, few.grid).warp(one, "cubic").data, few.affine)
              for one in frames]
    moved = meddl.register_series(frames, replace(PRESET, transform_type="translation"), device="cpu")
    for number in (2, 3):
        extra = moved.frames[number].affine[:3, 3] - still.frames[number].affine[:3, 3]
        np.testing.assert_allclose(extra[:2], shift[:2, 3], atol=0.3)
    assert moved.report["temporal_sd"]["after"] < moved.report["temporal_sd"]["before"]

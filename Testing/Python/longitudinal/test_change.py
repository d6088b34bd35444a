"""What has changed between two dates: nothing where nothing has, lesions where they are, and volumes of structures."""

import numpy as np
import pytest
import SimpleITK as sitk
from two_dates import GRIDS, GROWN_RADIUS_MM, MOTION, date, growth, lesion_labels, spheres

import meddl
from meddl.core.config import RegisterConfig
from meddl.core.errors import Cancelled, InputError
from meddl.longitudinal.config import ChangeConfig
from meddl.results import Registration
from meddl.spatial.volume import Volume

QUICK = RegisterConfig(levels_mm=(8.0, 4.0))
LESION = ((20.0, 10.0, 5.0), 4.0)


def known(grid, motion=None):
    return Registration(np.eye(4) if motion is None else motion, None, grid)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("gain", [(1.0, 0.0), (1.3, 5.0)])
def test_a_volume_with_itself_and_with_a_rescaled_copy_has_not_changed(name, gain):
    baseline = date(GRIDS[name])
    found = meddl.change(baseline, Volume(baseline.data * gain[0] + gain[1], baseline.affine), registration=QUICK)
    assert np.abs(found.z.data).max() < found.report["threshold"]
    assert found.report["increased_ml"] == found.report["decreased_ml"] == 0 and not found.report["warnings"]
    assert np.abs(found.matched.data - baseline.data)[found.z.data != 0].max(initial=0) < 10


def test_false_alarms_of_noise_are_as_rare_as_stated():
    grid = GRIDS["upright"]
    first, second = date(grid, noise=30.0), date(grid, noise=30.0, seed=1)
    found = meddl.change(first, Volume(second.data * 0.7 + 30, grid.affine), registration=known(grid))
    body = found.z.data != 0
    assert found.report["noise_sd"] == pytest.approx(30 * np.sqrt(2), rel=0.05)
    for threshold, most in ((3.0, 2.0), (4.0, 3.0)):
        chance = {3.0: 2.7e-3, 4.0: 6.3e-5}[threshold]
        assert (np.abs(found.z.data[body]) > threshold).mean() < most * chance


@pytest.mark.parametrize("name", ["oblique", "left-handed"])
def test_a_lesion_is_seen_where_it_is_and_moves_neither_noise_nor_matching(name):
    here, there = GRIDS[name], GRIDS["upright"]
    first = date(here, noise=20.0)
    second = date(there, [LESION], MOTION, noise=20.0, seed=1)
    second = Volume(200 * (second.data / 1000) ** 1.2 + 40, there.affine)
    found = meddl.change(first, second, registration=QUICK)
    centers = np.array([[0.0, 0, 0], [30, 20, 10], [-30, 20, -10]])
    assert np.linalg.norm(found.registration.points(centers) - known(here, MOTION).points(centers), axis=1).max() < 0.5
    lesion = spheres(here, [LESION])
    seen = found.z.scalar_data > found.report["threshold"]
    assert seen[lesion].mean() > 0.85 and seen[~lesion].mean() < 1e-3
    assert (found.z.scalar_data < -found.report["threshold"]).mean() < 1e-3
    assert found.report["increased_ml"] == pytest.approx(LESION[1], rel=0.35) and found.report["modality"] == "MR"
    assert "brighter" in found.report["reading"] and not found.report["warnings"]


def test_an_order_of_axes_changes_nothing():
    grid = GRIDS["oblique"]
    first, second = date(grid, noise=20.0), date(grid, [LESION], noise=20.0, seed=1)
    plain = meddl.change(first, second, registration=known(grid)).z.reorient("RAS")
    turned = meddl.change(first.reorient("SPL"), second.reorient("ARI"), registration=known(grid)).z.reorient("RAS")
    assert np.allclose(turned.affine, plain.affine) and np.abs(turned.data - plain.data).max() < 0.02


def ct(grid, lesions=(), seed=0):
    image = date(grid, lesions, noise=10.0, seed=seed, height=100.0).scalar_data
    return Volume.scalar(np.where(image < 200, -1000, image * 0.1 - 40).astype(np.int16), grid.affine)


def test_ct_is_subtracted_in_hounsfield_units():
    grid = GRIDS["upright"]
    first = ct(grid)
    second = Volume.scalar((ct(grid, seed=1).scalar_data + 7).astype(np.int16), grid.affine)
    found = meddl.change(first, second, ChangeConfig(modality="CT"), registration=known(grid))
    body = first.scalar_data > -500
    assert np.median(found.difference.scalar_data[body]) == pytest.approx(7, abs=1)
    assert np.allclose(found.matched.scalar_data[body], second.scalar_data[body], atol=0.01)


@pytest.mark.parametrize("percent", [5, 10, 20])
@pytest.mark.parametrize("name", ["upright", "anisotropic", "left-handed"])
def test_the_volume_change_of_a_structure_is_that_of_the_deformation(name, percent):
    grid = GRIDS[name]
    center = np.array([10.0, -5.0, 5.0])
    deformation = growth(grid, center, percent)
    labels = lesion_labels(grid, [(center, 4 / 3 * np.pi * GROWN_RADIUS_MM ** 3 / 1000)])
    volume = date(grid)
    found = meddl.change(volume, volume, registration=deformation, segmentations=(labels, None))
    row, = found.structures
    assert row["jacobian_change_percent"] == pytest.approx(percent, abs=0.8)
    assert row["mean_log_jacobian"] == pytest.approx(np.log(1 + percent / 100), abs=0.008)
    along_axes = np.tensordot(grid.directions.T, deformation.displacement.data, axes=1)
    witness = sitk.GetImageFromArray(np.ascontiguousarray(along_axes.T), isVector=True)
    witness.SetSpacing(grid.spacing_mm.tolist())
    jacobian = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(witness)).T
    assert row["mean_jacobian"] == pytest.approx(jacobian[labels.labels > 0].mean(), abs=2e-3)


def test_two_segmentations_give_volumes_and_lesions():
    here, there = GRIDS["anisotropic"], GRIDS["upright"]
    grown = (LESION[0], 1.2 * LESION[1])
    first, second = lesion_labels(here, [LESION]), lesion_labels(there, [grown, ((-30, 0, 0), 1.0)], MOTION)
    found = meddl.change(date(here), date(there, (), MOTION), registration=known(here, MOTION),
                         segmentations=(first, second))
    row, = found.structures
    assert row["baseline_ml"] == pytest.approx(4.0, rel=0.06) and row["follow_up_ml"] == pytest.approx(5.8, rel=0.06)
    assert found.report["lesion_states"] == {"new": 1, "grown": 1, "stable": 0, "shrunk": 0, "gone": 0,
                                             "not covered": 0}
    alone = meddl.change(date(here), date(there, (), MOTION), registration=known(here, MOTION),
                         segmentations=(first, None))
    assert not alone.lesions and "deformable preset" in " ".join(alone.report["warnings"])


def test_other_contrasts_and_a_small_field_of_view_are_doubted():
    grid = GRIDS["upright"]
    first = date(grid, noise=10.0)
    other = Volume.scalar(np.random.default_rng(2).permutation(first.scalar_data), grid.affine)
    found = meddl.change(first, other, registration=known(grid))
    assert any("differ in contrast" in text for text in found.report["warnings"])
    half = Volume(first.data[:, :24], first.affine)
    found = meddl.change(first, half, registration=known(grid))
    assert any("covers" in text for text in found.report["warnings"])


def test_what_cannot_be_compared_is_refused():
    grid = GRIDS["upright"]
    first = date(grid)
    with pytest.raises(InputError, match="One channel"):
        meddl.change(Volume(np.concatenate([first.data] * 2), grid.affine), first)
    with pytest.raises(InputError, match="not both"):
        meddl.change(first, first, registration=known(grid), preset="rigid")
    away = Registration(np.array([[1, 0, 0, 999.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), None, grid)
    with pytest.raises(InputError, match="nothing in common"):
        meddl.change(first, first, registration=away)


def test_a_cancelled_run_ends_at_once():
    calls = []

    def stop(fraction, message):
        calls.append(fraction)
        if fraction > 0.6:
            raise Cancelled("stopped")

    first = date(GRIDS["upright"])
    with pytest.raises(Cancelled):
        meddl.change(first, first, registration=known(GRIDS["upright"]), on_progress=stop)
    assert calls == sorted(calls)

"""What is detected of an acquisition: noise, zero-filling, the thick axis; and what a person states comes first."""

import numpy as np
import pytest
from scipy import signal
from superres_phantoms import affine, textured, thick_slices

import meddl
from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.spatial.normalize import isodata_threshold
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve
from meddl.superres.acquisition.detect import detect, measured_grid
from meddl.superres.acquisition.noise import noise_sigma
from meddl.superres.acquisition.zero_filling import undo_matrix, zero_filling


def zero_filled(truth: np.ndarray, factor: float, axis: int) -> np.ndarray:
    """The lowest frequencies along an axis alone, as many voxels as before."""
    count = truth.shape[axis]
    return signal.resample(signal.resample(truth, round(count / factor), axis=axis), count, axis=axis)


def scanned(shape, seed: int = 0, noise: float = 0.01) -> np.ndarray:
    return textured(shape, seed) + noise * np.random.default_rng(seed + 1).normal(size=shape)


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_the_noise_of_an_object_with_edges_is_found(sigma):
    edges = np.zeros((64, 60, 20))
    edges[8:40, 10:50], edges[20:30, 15:30], edges[45:60, 20:40] = 1.0, 0.4, 0.7
    noisy = edges + sigma * np.random.default_rng(0).normal(size=edges.shape)
    assert noise_sigma(noisy, 2) == pytest.approx(sigma, rel=0.25)
    assert noise_sigma(1000 * noisy - 500, 2) == pytest.approx(1000 * sigma, rel=0.25)


def test_the_background_of_a_magnitude_image_tells_its_noise():
    rng = np.random.default_rng(0)
    head = np.zeros((64, 64, 12))
    head[16:48, 16:48] = 100 + 30 * textured((32, 32, 12))
    magnitude = np.hypot(head + 4 * rng.normal(size=head.shape), 4 * rng.normal(size=head.shape))
    assert noise_sigma(magnitude, 2) == pytest.approx(4, rel=0.15)


def test_no_noise_is_found_where_there_is_none():
    assert noise_sigma(np.full((20, 20, 5), 7.0), 2) == 0
    assert noise_sigma(np.ones((2, 2, 2)), 0) == 0


def test_the_threshold_lies_between_object_and_background():
    values = np.concatenate([np.zeros(900), np.full(100, 10.0)])
    assert isodata_threshold(values) == pytest.approx(5)
    assert isodata_threshold(np.full(5, 3.0)) == 3


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("factor", [1.25, 1.5, 2.0, 2.5])
def test_zero_filling_is_found_with_its_factor(axis, factor):
    truth = scanned((80, 96, 100))
    filled = np.rint(1000 * zero_filled(truth, factor, axis))
    assert zero_filling(filled, axis) == pytest.approx(factor, rel=0.05)
    others = [a for a in range(3) if a != axis]
    assert [zero_filling(filled, other) for other in others] == [1.0, 1.0]


def test_what_was_measured_is_not_taken_for_zero_filled():
    assert [zero_filling(scanned((80, 96, 100)), axis) for axis in range(3)] == [1.0] * 3
    assert [zero_filling(textured((60, 60, 60)), axis) for axis in range(3)] == [1.0] * 3  # smooth, no noise
    assert zero_filling(np.ones((40, 40, 40)), 0) == 1.0
    assert zero_filling(scanned((40, 40, 9)), 2) == 1.0


@pytest.mark.parametrize("name", [
    "brain/chris_t1", "brain/chris_PD", "brain/ecog_t1", "body/aorta_cta", "body/abdomen_ct", "spine/t2s_t2s"])
def test_real_volumes_are_not_taken_for_zero_filled(name, data_folder):
    volume = meddl.load(data_folder / f"{name}.nii.gz")
    assert detect(volume).zero_filling == (1.0, 1.0, 1.0)


def test_undoing_zero_filling_gives_back_what_was_measured():
    count, fewer = 60, 31
    places = np.arange(count) * 2 * np.pi / count
    wave = 3 + np.cos(4 * places + 1) + 0.5 * np.sin(9 * places)
    undone = undo_matrix(count, count / fewer) @ wave
    centers = ((np.arange(fewer) - (fewer - 1) / 2) * count / fewer + (count - 1) / 2) * 2 * np.pi / count
    np.testing.assert_allclose(undone, 3 + np.cos(4 * centers + 1) + 0.5 * np.sin(9 * centers), atol=1e-9)
    np.testing.assert_allclose(undo_matrix(60, 2.0).sum(axis=1), 1, atol=1e-9)


def test_a_thick_volume_s_facts_from_the_volume(data_folder):
    volume = meddl.load(data_folder / "brain" / "chris_PD.nii.gz")
    found = detect(volume)
    assert found.axis == 2
    assert found.slice_distance_mm == pytest.approx(2.4, abs=0.01)
    assert found.factor == pytest.approx(2.4 / 0.86, rel=0.01)
    assert not found.thickness_known
    assert 0 < found.noise_sigma[0] < 0.03 * volume.data.max()


def test_zero_filled_slices_are_undone_before_they_are_sharpened():
    thick = thick_slices(textured((64, 60, 192)), 4, 0.02)
    filled = Volume.scalar(signal.resample(thick.data[0], 96, axis=2).astype(np.float32), affine((1, 1, 2)))
    found = detect(filled)
    assert found.axis == 2
    assert found.zero_filling[2] == pytest.approx(2, rel=0.05)
    assert measured_grid(filled.grid, found).shape[2] == pytest.approx(48, abs=2)
    outcome = super_resolve(filled, SuperResolveConfig(method="cubic"), device="cpu")
    assert outcome.volume.shape == (64, 60, 192)
    assert any("zero-filled" in text for text in outcome.report["warnings"])
    left = super_resolve(filled, SuperResolveConfig(method="cubic", zero_filling=1.0), device="cpu")
    assert left.report["zero_filling"][2] == 1
    np.testing.assert_allclose(left.volume.grid.center_mm, outcome.volume.grid.center_mm, atol=1e-9)


def test_what_the_person_states_comes_first():
    volume = thick_slices(textured((48, 44, 48)), 4, 0.02)
    stated = SuperResolveConfig(axis=0, thickness_mm=0.7, noise_sigma=0.5)
    found = detect(volume, stated)
    assert (found.axis, found.thickness_mm, found.thickness_known, found.noise_sigma) == (0, 0.7, True, (0.5,))
    seen = detect(volume)
    shown = seen.apply_to(SuperResolveConfig(thickness_mm=3.0))
    assert (shown.axis, shown.thickness_mm, shown.zero_filling) == (2, 3.0, 1.0)
    assert shown.noise_sigma == seen.noise_sigma[0]
    assert seen.apply_to(SuperResolveConfig(factor=2.0)).axis is None


@pytest.mark.parametrize("change", [
    {"thickness_mm": 0.0}, {"thickness_mm": float("nan")}, {"zero_filling": 0.5}, {"noise_sigma": -1.0}, {"axis": 3}])
def test_impossible_facts_are_refused(change):
    with pytest.raises(InputError):
        detect(thick_slices(textured((20, 20, 16)), 2), SuperResolveConfig(**change))

"""Repeated runs of the three verbs: reproducible, larger where the result is in doubt, cancelled at once."""

import numpy as np
import pytest
from channel_images import blobs
from nnunet_folder import write_nnunet
from scipy.ndimage import gaussian_filter

import meddl
from meddl.core.config import RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.core.errors import Cancelled, OutOfMemoryError
from meddl.models.store.store import ModelStore
from meddl.spatial.volume import Volume
from meddl.uncertainty import segmentation
from meddl.uncertainty.config import UncertaintyConfig
from meddl.uncertainty.perturbation import shifted_grid
from meddl.uncertainty.segmentation import mirrored_values

AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])
FEW = UncertaintyConfig(runs=5)


@pytest.fixture
def store(tmp_path, monkeypatch) -> ModelStore:
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    store = ModelStore()
    store.import_model(write_nnunet(tmp_path / "folds", folds=(0, 1), mirror=(0, 1, 2)), identifier="folds")
    store.import_model(write_nnunet(tmp_path / "single", mirror=None), identifier="single")
    return store


def test_the_segmentation_is_that_of_a_single_run_and_the_map_shows_where_runs_differ(store):
    volume = blobs((24, 22, 20), AFFINE)
    found, uncertainty = meddl.segment_with_uncertainty(volume, "folds", uncertainty=FEW, device="cpu")
    alone = meddl.segment(volume, "folds", device="cpu")
    assert (found.labels == alone.labels).all()
    assert uncertainty.map.grid.same_as(volume.grid) and uncertainty.map.data.dtype == np.float32
    assert 0 < uncertainty.map.data.max() <= np.log(5) + 1e-5
    assert uncertainty.report["folds"] == [None, "fold_0", "fold_1", "fold_0", "fold_1"]
    assert [change["mirror"] for change in uncertainty.report["perturbations"]] == [False, True, False, True, False]
    for row in uncertainty.report["structures"]:
        assert row["low_ml"] <= row["mean_ml"] <= row["high_ml"]
    again = meddl.segment_with_uncertainty(volume, "folds", uncertainty=FEW, device="cpu")[1]
    np.testing.assert_array_equal(again.map.data, uncertainty.map.data)


def test_runs_without_any_perturbation_agree(store):
    still = UncertaintyConfig(runs=3, shift_voxels=0, noise=0, gamma=0, mirror=False)
    uncertainty = meddl.segment_with_uncertainty(blobs((20, 18, 16), AFFINE), "single", uncertainty=still,
                                                 device="cpu")[1]
    assert not uncertainty.map.data.any()
    assert all(row["dice"] == 1 and row["sd_ml"] == 0 for row in uncertainty.report["structures"])


def test_more_noise_gives_more_uncertainty(store):
    volume = blobs((20, 18, 16), AFFINE)
    means = [float(meddl.segment_with_uncertainty(
        volume, "single", uncertainty=UncertaintyConfig(runs=4, noise=noise, shift_voxels=0, gamma=0),
        device="cpu")[1].map.data.mean()) for noise in (0.005, 0.2)]
    assert means[1] > 2 * means[0]


def test_outside_of_the_region_of_interest_nothing_is_uncertain(store):
    volume = blobs((24, 22, 20), AFFINE)
    mask = np.zeros((1, *volume.shape), dtype=np.uint8)
    mask[:, 3:11, 4:15, 5:16] = 1
    uncertainty = meddl.segment_with_uncertainty(volume, "folds", uncertainty=FEW, roi=Volume(mask, volume.affine),
                                                 device="cpu")[1]
    assert uncertainty.map.data[mask > 0].any() and not uncertainty.map.data[mask == 0].any()


def test_a_mirrored_copy_needs_a_model_that_was_trained_so_or_names_the_other_side(store):
    assert mirrored_values(store.card("single")) is None
    assert mirrored_values(store.card("folds")).tolist() == [0, 1, 2]
    brain = store.card("brain")
    table = mirrored_values(brain)
    left, right = (next(one for one in brain.labels if one.name == f"{side} hippocampus") for side in ("left", "right"))
    assert table[left.value] == right.value and table[table[left.value]] == left.value


def test_label_maps_that_do_not_fit_into_memory_are_refused_before_the_work(store, monkeypatch):
    monkeypatch.setattr(segmentation, "free_memory_bytes", lambda device: 1000)
    with pytest.raises(OutOfMemoryError, match="fewer runs"):
        meddl.segment_with_uncertainty(blobs((20, 18, 16), AFFINE), "single", device="cpu")


def test_progress_counts_the_runs_and_may_cancel_them(store):
    seen = []

    def watch(fraction, message):
        seen.append((fraction, message))
        if "Run 3 of 5" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        meddl.segment_with_uncertainty(blobs((20, 18, 16), AFFINE), "single", uncertainty=FEW, device="cpu",
                                       on_progress=watch)
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert any("Run 2 of 5, about" in message and "left" in message for _, message in seen)


@pytest.mark.slow
def test_a_registration_is_more_uncertain_where_there_is_nothing_to_hold_on_to():
    """Two volumes with structure in one half alone: rotations leave the other half loose."""
    random = np.random.default_rng(0)
    data = 100 * gaussian_filter(random.standard_normal((30, 30, 30)), 2)
    data[:, :, 15:] = 0
    fixed = Volume.scalar((data + random.standard_normal(data.shape)).astype(np.float32), AFFINE)
    moving = Volume(fixed.data, shifted_grid(fixed.grid, (1.0, -0.5, 0.3)).affine)
    config = RegisterConfig(levels_mm=(4.0,), samples=5000)
    found, uncertainty = meddl.register_with_uncertainty(
        fixed, moving, config, UncertaintyConfig(runs=4, noise=0.1), device="cpu")
    assert np.allclose(found.affine, meddl.register(fixed, moving, config, device="cpu").affine)
    spread = uncertainty.map.data[0]
    assert uncertainty.map.grid.same_as(fixed.grid) and 0 < spread.max() < 5
    assert spread[:, :, 25:].mean() > spread[:, :, 2:10].mean()
    figures = uncertainty.report["spread_mm"]
    assert 0 < figures["mean"] <= figures["p95"] <= figures["max"]


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_super_resolution_spreads_with_the_noise_and_its_residual_is_a_map(dtype):
    random = np.random.default_rng(0)
    noise, other = random.standard_normal((2, 20, 20, 12))
    data = 200 + 100 * gaussian_filter(noise, 2) + 4 * other
    volume = Volume.scalar(data.astype(dtype), np.diag([1.0, 1.0, 3.0, 1.0]))
    config = SuperResolveConfig(method="back-projection", noise_sigma=4.0)
    found, uncertainty = meddl.super_resolve_with_uncertainty(volume, config, UncertaintyConfig(runs=4), device="cpu")
    alone = meddl.super_resolve(volume, config, device="cpu")
    np.testing.assert_array_equal(found.volume.data, alone.volume.data)
    assert alone.residual is None and found.residual.grid.same_as(volume.grid)
    assert np.sqrt(np.mean(found.residual.data**2)) == pytest.approx(found.report["residual"], rel=1e-3)
    assert uncertainty.map.grid.same_as(found.volume.grid)
    assert 1 < np.median(uncertainty.map.data) < 8  # noise of 4 was added
    assert uncertainty.report["noise_sigma"] == [4.0]


def test_a_configuration_of_the_segmentation_is_passed_on(store):
    found, uncertainty = meddl.segment_with_uncertainty(
        blobs((20, 18, 16), AFFINE), "folds", SegmentConfig(structures=("liver",), folds=("1",)), FEW, device="cpu")
    assert [segment.name for segment in found.segments] == ["liver"] and "folds" not in uncertainty.report
    assert {row["structure"] for row in uncertainty.report["structures"]} == {"liver"}

"""What every method of super-resolution holds to, whatever it does to sharpen."""

import numpy as np
import pytest
from superres_phantoms import TURNED, affine, blob, centroid_mm, textured, thick_slices

import meddl
from meddl.core.config import SuperResolveConfig
from meddl.core.errors import Cancelled, InputError
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve
from meddl.superres.methods.registry import METHODS

SHARPENERS = ["cubic", "back-projection", "network", "self-training"]


def config(method: str, **more) -> SuperResolveConfig:
    return SuperResolveConfig(method=method, seconds=0.3, **more)


def run(volume: Volume, method: str, **more):
    return super_resolve(volume, config(method, **more), device="cpu")


def test_every_choice_is_a_method_and_every_method_a_choice():
    choices = SuperResolveConfig.__dataclass_fields__["method"].metadata["choices"]
    assert set(choices) == set(METHODS)
    with pytest.raises(InputError, match="method is one of"):
        super_resolve(thick_slices(np.zeros((8, 8, 8)), 2), SuperResolveConfig(method="magic"))


@pytest.mark.parametrize("method", SHARPENERS)
@pytest.mark.parametrize("factor", [2, 2.5, 3, 3.7, 4])
def test_a_phantom_s_centroid_moves_less_than_a_twentieth_of_a_voxel(method, factor):
    grid = Grid((34, 31, 17), affine((1, 1, factor), TURNED))
    volume = Volume.scalar(blob(grid, grid.center_mm + np.array([0.7, -1.1, 0.4]), 1.3 * factor), grid.affine)
    result = run(volume, method, keep_range=False, noise_sigma=0.0).volume
    moved = result.grid.indices(centroid_mm(result)) - result.grid.indices(centroid_mm(volume))
    assert np.abs(moved).max() < 0.05
    np.testing.assert_allclose(result.grid.center_mm, volume.grid.center_mm, atol=1e-9)


@pytest.mark.parametrize("method", SHARPENERS)
@pytest.mark.parametrize(("dtype", "value"), [
    (np.int16, -1000), (np.float32, -1234.567), (np.float64, 1e9 + 0.25), (np.uint16, 65535)])
def test_a_constant_stays_that_constant_in_its_type(method, dtype, value):
    volume = Volume.scalar(np.full((34, 31, 9), value, dtype=dtype), affine((1, 1, 3)))
    result = run(volume, method).volume
    assert result.data.dtype == dtype
    assert result.shape == (34, 31, 27)
    np.testing.assert_array_equal(result.data, np.full(result.data.shape, value, dtype=dtype))


@pytest.mark.parametrize("method", SHARPENERS)
def test_hounsfield_units_keep_sign_and_mean(method):
    truth = np.full((40, 36, 96), -1000.0)
    truth[8:32, 8:28, 8:88] = 40
    truth[14:20, 12:20, 12:80] = 1200
    volume = thick_slices(truth, 4, noise=10)
    volume = Volume(volume.data.round().astype(np.int16), volume.affine)
    result = run(volume, method).volume
    assert result.data.dtype == np.int16
    tissue = (0, slice(23, 30), slice(10, 26), slice(28, 68))
    measured = (0, slice(23, 30), slice(10, 26), slice(7, 17))
    assert abs(result.data[tissue].mean() - volume.data[measured].mean()) < 1
    assert abs(result.data[0, :5].mean() - volume.data[0, :5].mean()) < 1
    assert result.data.min() >= volume.data.min()


@pytest.mark.parametrize("method", ["back-projection", "network", "self-training"])
@pytest.mark.parametrize(("factor", "noise"), [(2, 0.01), (4, 0.01), (3, 0.05)])
def test_the_result_is_closer_to_the_truth_than_interpolation(method, factor, noise):
    truth = textured((48, 44, 48))
    volume = thick_slices(truth, factor, noise)
    reference = Volume.scalar(truth, super_resolve(volume, config("cubic"), device="cpu").volume.affine)
    figures = {name: super_resolve(volume, config(name), reference=reference, device="cpu").report
               for name in ("cubic", method)}
    assert figures[method]["psnr_db"] > figures["cubic"]["psnr_db"] - (0.15 if noise > 0.02 else -0.1)
    assert figures[method]["residual_over_noise"] < max(1.2, figures["cubic"]["residual_over_noise"])


@pytest.mark.parametrize("method", SHARPENERS)
def test_axis_order_and_handedness_of_storage_change_nothing(method):
    truth = textured((40, 36, 24))
    volume = thick_slices(truth, 3, 0.02)
    seconds = 1e-6  # no step of training: what is learned depends on the clock
    first = super_resolve(volume, SuperResolveConfig(method=method, seconds=seconds), device="cpu").volume
    turned = super_resolve(volume.reorient("LIA"), SuperResolveConfig(method=method, seconds=seconds), device="cpu")
    np.testing.assert_allclose(turned.volume.reorient("RAS").data, first.data, atol=2e-4)


@pytest.mark.parametrize("method", SHARPENERS)
@pytest.mark.parametrize(("shape", "dtype"), [
    ((31, 37, 5), np.int16), ((30, 33, 7), np.float64), ((29, 40, 6), np.uint8)])
def test_odd_sizes_and_few_slices(method, shape, dtype):
    values = 100 + 50 * textured((*shape[:2], shape[2]))
    volume = Volume.scalar(values.astype(dtype), affine((0.9, 0.9, 3.1), TURNED))
    result = run(volume, method).volume
    assert result.data.dtype == dtype
    assert result.shape == (*shape[:2], round(shape[2] * 3.1 / 0.9))
    assert np.isfinite(result.data).all()
    assert abs(result.data.mean(dtype=float) - volume.data.mean(dtype=float)) < 2


@pytest.mark.parametrize("method", SHARPENERS)
def test_several_channels_are_each_sharpened(method):
    one = thick_slices(textured((36, 34, 24)), 3, 0.02)
    both = Volume(np.concatenate([one.data, 500 * one.data - 1000]), one.affine)
    result = super_resolve(both, SuperResolveConfig(method=method, seconds=1e-6), device="cpu").volume
    assert result.channels == 2
    np.testing.assert_allclose(result.data[1], 500 * result.data[0] - 1000, atol=0.5)


@pytest.mark.parametrize("method", SHARPENERS)
def test_what_cannot_be_done_is_refused(method):
    volume = thick_slices(textured((36, 34, 24)), 3)
    volume.data[0, 3, 3, 3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        run(volume, method)
    with pytest.raises(InputError, match="single slice"):
        run(Volume.scalar(np.ones((30, 30, 1), np.float32), affine((1, 1, 5))), method)


@pytest.mark.parametrize("method", SHARPENERS)
def test_cancel_ends_the_run(method):
    told = []

    def stop(fraction, text):
        told.append(fraction)
        if len(told) > 3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        super_resolve(thick_slices(textured((40, 40, 24)), 3), config(method), device="cpu", on_progress=stop)
    assert told == sorted(told)


@pytest.mark.parametrize("method", ["cubic", "back-projection", "network"])
def test_all_axes_of_an_isotropic_volume_become_finer(method):
    volume = Volume.scalar(textured((20, 22, 18)).astype(np.float32), affine((2, 2, 2)))
    outcome = run(volume, method, factor=2.0)
    assert outcome.volume.shape == (40, 44, 36)
    assert outcome.report["factors"] == [2.0, 2.0, 2.0]
    if method == "network":
        with pytest.raises(InputError, match="several axes"):
            run(volume, "self-training", factor=2.0)


def test_the_report_says_what_was_assumed_and_measured():
    volume = thick_slices(textured((40, 36, 32)), 4, 0.02)
    given = SuperResolveConfig(method="network", thickness_mm=3.0, profile="rect", noise_sigma=0.02)
    report = super_resolve(volume, given, device="cpu").report
    assert (report["profile"], report["thickness_mm"], report["noise_sigma"]) == ("rect", 3.0, [0.02])
    assert report["zero_filling"] == [1.0, 1.0, 1.0]
    assert report["residual_over_noise"] == pytest.approx(report["residual"] / 0.02)
    assert report["model"].startswith("superres-through-plane")


def test_without_the_network_back_projection_does_the_work_and_says_so(monkeypatch):
    monkeypatch.setattr("meddl.superres.methods.through_plane.MODEL", "not-there")
    volume = thick_slices(textured((30, 30, 24)), 3)
    outcome = run(volume, "network")
    assert outcome.report["method"] == "back-projection"
    assert any("not installed" in text for text in outcome.report["warnings"])
    np.testing.assert_allclose(outcome.volume.data, run(volume, "back-projection").volume.data, atol=1e-3)
    cold = run(volume, "self-training")
    assert any("from nothing" in text for text in cold.report["warnings"])


def test_a_real_volume_of_few_very_thick_slices(data_folder):
    volume = meddl.load(data_folder / "spine" / "t2s_t2s.nii.gz")
    outcome = run(volume, "network")
    assert outcome.volume.data.dtype == volume.data.dtype
    np.testing.assert_allclose(outcome.volume.grid.center_mm, volume.grid.center_mm, atol=1e-6)
    assert any("interpolation" in text for text in outcome.report["warnings"])  # slices 15 times as thick as wide
    with pytest.raises(InputError, match="too small for self-training"):
        run(volume, "self-training")


def test_a_count_of_voxels_that_rounds_both_ways(monkeypatch):
    volume = Volume.scalar(textured((30, 34, 31)).astype(np.float32), affine((0.4, 0.4, 1.0)))
    assert run(volume, "network").volume.shape in ((30, 34, 77), (30, 34, 78))


def test_the_network_shows_a_slice_before_and_after():
    shown = []

    def look(fraction, text):
        return None

    look.preview = shown.append
    volume = thick_slices(textured((40, 36, 24)), 3)
    super_resolve(volume, config("network"), device="cpu", on_progress=look)
    assert shown[0]["kind"] == "slice"
    assert shown[0]["image"].shape == shown[0]["before"].shape == (24, 36)  # superior on top
    assert shown[0]["spacing_mm"] == pytest.approx((1, 1))

"""Cubic super-resolution: exact, on the same field of view, and true to the values."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

import meddl
from meddl.core.config import SuperResolveConfig
from meddl.core.errors import Cancelled, InputError, OutOfMemoryError
from meddl.io import to_sitk
from meddl.spatial.bspline import cubic_weights
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume
from meddl.superres import super_resolve as resolve
from meddl.superres.plan import plan_resolution

TURNED = np.array([[0.9, -0.35, 0.2], [0.3, 0.93, 0.2], [-0.25, -0.12, 0.96]])


def super_resolve(volume: Volume, config: SuperResolveConfig | None = None, **more):
    return resolve(volume, replace(config or SuperResolveConfig(), method="cubic"), **more)


def affine(spacing_mm, directions=None, origin=(3.0, -20.0, 7.0)) -> np.ndarray:
    """An affine with orthonormal axes near `directions`."""
    u, _, vt = np.linalg.svd(np.eye(3) if directions is None else directions)
    result = np.eye(4)
    result[:3, :3] = (u @ vt) * np.asarray(spacing_mm, dtype=float)
    result[:3, 3] = origin
    return result


def noise(shape, spacing_mm=(1, 1, 4), dtype=np.float32, directions=None) -> Volume:
    values = 100 * np.random.default_rng(0).normal(size=shape)
    return Volume.scalar(values.astype(dtype), affine(spacing_mm, directions))


def blob(grid: Grid, center_mm, width_mm: float) -> np.ndarray:
    indices = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return np.exp(-((grid.points_mm(indices) - center_mm) ** 2).sum(axis=-1) / (2 * width_mm ** 2))


def places_along(grid: Grid, new: Grid, axis: int) -> np.ndarray:
    """Continuous indices in `grid` along `axis` of the voxel centers of `new`."""
    steps = np.zeros((new.shape[axis], 3))
    steps[:, axis] = np.arange(new.shape[axis])
    return grid.indices(new.points_mm(steps))[:, axis]


@pytest.mark.parametrize("count", [12, 40])  # for fewer SciPy cuts its prefilter short
def test_weights_are_those_of_scipy_s_spline_with_reflection(count):
    places = np.linspace(-0.49, count - 0.51, 31)
    signal = np.random.default_rng(count).normal(size=count)
    coefficients = ndimage.spline_filter1d(signal, order=3, mode="reflect")
    expected = ndimage.map_coordinates(coefficients, places[None], order=3, mode="reflect", prefilter=False)
    weights = cubic_weights(count, places)
    np.testing.assert_allclose(weights @ signal, expected, atol=1e-9)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)


def test_samples_are_kept_where_new_voxels_lie_on_old_ones():
    for count in (1, 2, 3, 9):
        np.testing.assert_allclose(cubic_weights(count, np.arange(float(count))), np.eye(count), atol=1e-12)


def test_the_volume_is_that_of_scipy_on_the_new_grid():
    volume = noise((14, 11, 9), (1, 1.2, 3.3), directions=TURNED)
    result = super_resolve(volume, SuperResolveConfig(keep_range=False), device="cpu").volume
    k = places_along(volume.grid, result.grid, 2)
    places = np.meshgrid(np.arange(14.0), np.arange(11.0), k, indexing="ij")
    expected = ndimage.map_coordinates(volume.data[0].astype(float), places, order=3, mode="reflect")
    np.testing.assert_allclose(result.data[0], expected, atol=2e-4)


def test_away_from_the_edges_the_volume_is_that_of_simpleitk():
    volume = noise((12, 13, 24), (1, 1, 2.5), directions=TURNED)
    result = super_resolve(volume, SuperResolveConfig(keep_range=False), device="cpu").volume
    reference = to_sitk(result)
    witness = sitk.Resample(to_sitk(volume), reference, sitk.Transform(), sitk.sitkBSpline, 0.0)
    witness = sitk.GetArrayFromImage(witness).transpose(2, 1, 0)
    inner = (slice(None), slice(None), slice(18, -18))
    np.testing.assert_allclose(result.data[0][inner], witness[inner], atol=0.05)


@pytest.mark.parametrize("spacing", [(1, 1, 4), (0.9, 0.9, 2.4), (3.7, 1, 1), (1, 5.1, 0.8)])
@pytest.mark.parametrize("directions", [np.eye(3), np.diag([-1, 1, 1]), TURNED], ids=["straight", "left", "oblique"])
def test_the_field_of_view_s_center_does_not_move(spacing, directions):
    volume = noise((10, 9, 11), spacing, directions=directions)
    result = super_resolve(volume, device="cpu").volume
    axis = int(np.argmax(spacing))
    np.testing.assert_allclose(result.grid.center_mm, volume.grid.center_mm, atol=1e-9)
    np.testing.assert_allclose(result.grid.directions, volume.grid.directions, atol=1e-9)
    assert result.spacing_mm[axis] == pytest.approx(min(spacing))
    assert result.shape[axis] == round(volume.shape[axis] * spacing[axis] / min(spacing))
    first = result.grid.points_mm([0, 0, 0]) - volume.grid.points_mm([0, 0, 0])
    old, new = spacing[axis], min(spacing)
    n, m = volume.shape[axis], result.shape[axis]
    assert first @ volume.grid.directions[:, axis] == pytest.approx((new - old) / 2 + (n * old - m * new) / 2)


@pytest.mark.parametrize("factor", [2, 3, 3.7, 4])
def test_a_phantom_s_centroid_moves_less_than_a_twentieth_of_a_voxel(factor):
    grid = Grid((24, 24, 20), affine((1, 1, factor), TURNED))
    center = grid.center_mm + np.array([0.7, -1.1, 0.4])
    volume = Volume.scalar(blob(grid, center, 1.6 * factor), grid.affine)
    result = super_resolve(volume, SuperResolveConfig(keep_range=False), device="cpu").volume

    def centroid(seen: Volume) -> np.ndarray:
        weights = seen.data[0].astype(float)
        places = np.argwhere(np.ones_like(weights, bool))
        return seen.grid.points_mm((places * weights.reshape(-1, 1)).sum(axis=0) / weights.sum())

    shift = result.grid.indices(centroid(result)) - result.grid.indices(centroid(volume))
    assert np.abs(shift).max() < 0.05


def test_a_smooth_structure_comes_back_closer_than_by_linear_interpolation():
    fine = Grid((20, 20, 96), affine((1, 1, 1)))
    thick = Grid((20, 20, 24), affine((1, 1, 4), origin=np.array([3.0, -20.0, 8.5])))
    truth, seen = (blob(g, (12.0, -10.0, 60.0), 7.0) for g in (fine, thick))
    result = super_resolve(Volume.scalar(seen, thick.affine), device="cpu").volume
    assert result.grid.same_as(fine)
    linear = ndimage.map_coordinates(seen, np.meshgrid(
        np.arange(20.0), np.arange(20.0), places_along(thick, fine, 2), indexing="ij"), order=1, mode="nearest")
    assert np.abs(result.data[0] - truth).mean() < 0.2 * np.abs(linear - truth).mean()


@pytest.mark.parametrize(("dtype", "value"), [
    (np.int16, -1000), (np.uint8, 255), (np.float32, -1234.567), (np.float64, 1e9 + 0.25), (np.uint16, 65535),
    (np.int32, 2 ** 31 - 1), (np.uint32, 7), (bool, True)])
def test_a_constant_stays_that_constant_in_its_type(dtype, value):
    volume = Volume.scalar(np.full((6, 7, 5), value, dtype=dtype), affine((1, 1, 3)))
    result = super_resolve(volume, device="cpu").volume
    assert result.data.dtype == dtype
    assert result.shape == (6, 7, 15)
    np.testing.assert_array_equal(result.data, np.full(result.data.shape, value, dtype=dtype))


def test_hounsfield_units_keep_sign_and_range():
    values = np.full((12, 12, 10), -1000, np.int16)
    values[3:9, 3:9, 4:7] = 3000
    volume = Volume.scalar(values, affine((1, 1, 4)))
    held = super_resolve(volume, device="cpu").volume.data
    assert held.dtype == np.int16
    assert (held.min(), held.max()) == (-1000, 3000)
    free = super_resolve(volume, SuperResolveConfig(keep_range=False, keep_type=False), device="cpu").volume.data
    assert free.dtype == np.float32
    assert free.min() < -1000
    assert free.max() > 3000


def test_a_whole_number_type_is_rounded_and_held_at_its_limits():
    values = np.zeros((8, 8, 8), np.uint8)
    values[2:6, 2:6, 3:5] = 255
    config = SuperResolveConfig(keep_range=False)
    exact = super_resolve(Volume.scalar(values.astype(np.float32), affine((1, 1, 3))), config, device="cpu").volume
    result = super_resolve(Volume.scalar(values, affine((1, 1, 3))), config, device="cpu").volume
    assert exact.data.max() > 255
    np.testing.assert_array_equal(result.data, np.clip(np.rint(exact.data), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("order", ["LIA", "PSR", "IAL"])
def test_the_axis_order_of_storage_changes_nothing(order):
    volume = noise((9, 10, 8))
    expected = super_resolve(volume, device="cpu").volume
    again = super_resolve(volume.reorient(order), device="cpu").volume.reorient("RAS")
    assert again.grid.same_as(expected.grid)
    np.testing.assert_allclose(again.data, expected.data, atol=1e-3)


def test_channels_are_treated_alike():
    one, two = noise((6, 7, 5)), noise((6, 7, 5))
    both = super_resolve(Volume(np.concatenate([one.data, 2 * two.data]), one.affine), device="cpu").volume
    single = super_resolve(one, device="cpu").volume
    assert both.channels == 2
    np.testing.assert_allclose(both.data[1], 2 * single.data[0], rtol=0.2, atol=60)  # the range is held over both
    free = SuperResolveConfig(keep_range=False)
    both = super_resolve(Volume(np.concatenate([one.data, 2 * two.data]), one.affine), free, device="cpu").volume
    np.testing.assert_allclose(both.data[1], 2 * super_resolve(one, free, device="cpu").volume.data[0], atol=1e-3)


# --- what is made, by choice ---


def test_by_default_only_the_thickest_axis_changes():
    plan = plan_resolution(Grid((10, 10, 10), affine((0.5, 0.6, 3.0))), SuperResolveConfig())
    assert plan.axes == (2,)
    assert plan.factors == (1, 1, 6)
    assert plan.axis == 2


def test_a_target_makes_every_coarser_axis_finer():
    volume = noise((8, 9, 10), (0.4, 1, 4))
    result = super_resolve(volume, SuperResolveConfig(target_spacing_mm=0.5), device="cpu")
    np.testing.assert_allclose(result.volume.spacing_mm, (0.4, 0.5, 0.5))
    assert result.volume.shape == (8, 18, 80)
    assert result.report["axis"] == 2
    assert result.report["factor"] == pytest.approx(8)


def test_a_chosen_axis_alone_changes():
    volume = noise((8, 9, 10), (2, 1, 4))
    result = super_resolve(volume, SuperResolveConfig(axis=0), device="cpu")
    np.testing.assert_allclose(result.volume.spacing_mm, (1, 1, 4))
    assert result.report["axis"] == 0


def test_an_isotropic_volume_is_handed_back_with_a_word_about_it():
    volume = noise((8, 9, 10), (1, 1, 1))
    result = super_resolve(volume, device="cpu")
    assert result.volume is volume
    assert "nothing was changed" in result.report["warnings"][0]
    doubled = super_resolve(volume, SuperResolveConfig(target_spacing_mm=0.5), device="cpu")
    assert doubled.volume.shape == (16, 18, 20)
    assert doubled.report["warnings"] == []


@pytest.mark.parametrize("choices", [
    {"axis": 3}, {"axis": -1}, {"target_spacing_mm": 0.0}, {"target_spacing_mm": float("nan")},
    {"target_spacing_mm": 5.0}, {"target_spacing_mm": 1.0, "axis": 0}])
def test_impossible_choices_are_refused(choices):
    with pytest.raises(InputError):
        super_resolve(noise((6, 6, 6)), SuperResolveConfig(**choices), device="cpu")


def test_unusable_volumes_are_refused():
    with pytest.raises(InputError, match="single slice"):
        super_resolve(noise((8, 8, 1), (1, 1, 5)), device="cpu")
    for value in (np.nan, np.inf, -np.inf):
        volume = noise((6, 6, 6))
        volume.data[0, 2, 2, 2] = value
        with pytest.raises(InputError, match="1 voxels that are NaN or infinite"):
            super_resolve(volume, device="cpu")
    with pytest.raises(OutOfMemoryError, match="larger target"):
        super_resolve(noise((6, 6, 6)), SuperResolveConfig(target_spacing_mm=1e-4), device="cpu")


def test_cancel_stops_between_slabs(monkeypatch):
    monkeypatch.setattr("meddl.superres.methods.slabs.SLAB_VOXELS", 600)
    told = []

    def stop(fraction, text):
        told.append(fraction)
        if fraction > 0.3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        super_resolve(noise((12, 12, 12)), device="cpu", on_progress=stop)
    assert len(told) > 2
    assert told[-1] < 0.6


def test_slabs_make_the_same_volume(monkeypatch):
    volume, config = noise((12, 11, 9)), SuperResolveConfig(target_spacing_mm=0.7)
    whole = super_resolve(volume, config, device="cpu").volume.data
    monkeypatch.setattr("meddl.superres.methods.slabs.SLAB_VOXELS", 500)
    told = []
    parts = super_resolve(volume, config, device="cpu", on_progress=lambda fraction, _: told.append(fraction))
    np.testing.assert_allclose(parts.volume.data, whole, atol=1e-3)
    assert told == sorted(told)
    assert told[-1] == 1


def test_the_report_is_plain_and_complete():
    report = super_resolve(noise((6, 6, 6)), device="cpu").report
    assert report["method"] == "cubic"
    assert report["factor"] == pytest.approx(4)
    assert report["spacing_mm"] == {"before": pytest.approx([1, 1, 4]), "after": pytest.approx([1, 1, 1])}
    assert report["seconds"]["total"] > 0
    assert report["device"].startswith("cpu")


def test_a_real_thick_volume_gets_its_smallest_voxel_size(data_folder):
    volume = meddl.load(data_folder / "brain" / "chris_PD.nii.gz")
    result = super_resolve(volume, device="cpu").volume
    assert result.shape == (191, 256, round(54 * volume.spacing_mm[2] / volume.spacing_mm.min()))
    assert result.data.dtype == volume.data.dtype
    np.testing.assert_allclose(result.grid.center_mm, volume.grid.center_mm, atol=1e-6)
    assert result.data.mean() == pytest.approx(volume.data.mean(), rel=0.02)


def test_homogeneous_tissue_in_a_real_ct_keeps_its_mean(data_folder):
    volume = meddl.load(data_folder / "body" / "aorta_cta.nii.gz")
    result = super_resolve(volume, SuperResolveConfig(target_spacing_mm=0.75), device="cpu").volume
    assert result.data.min() >= volume.data.min()
    box = tuple(slice(50, 60) for _ in range(3))
    fine = tuple(slice(100, 120) for _ in range(3))
    assert float(result.data[0][fine].mean()) == pytest.approx(float(volume.data[0][box].mean()), abs=12)
    assert float(result.data.mean()) == pytest.approx(float(volume.data.mean()), abs=1)

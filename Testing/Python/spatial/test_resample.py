"""Resampling, with SimpleITK as an independent witness."""

import numpy as np
import pytest
import SimpleITK as sitk
from affines import random_affine

from meddl.core.config import INTERPOLATIONS
from meddl.core.errors import InputError
from meddl.spatial.grid import Grid, centered_grid, grid_around
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

FLIP = np.diag([-1.0, -1, 1])


def smooth_volume(seed=0, shape=(22, 19, 17)):
    rng = np.random.default_rng(seed)
    coarse = Volume.scalar(rng.normal(size=(6, 6, 6)).astype(np.float32) * 100, np.eye(4))
    fine = Grid(shape, np.diag([5 / (n - 1) for n in shape] + [1]))
    return Volume.scalar(resample(coarse, fine, "cubic").scalar_data, random_affine(seed))


def to_sitk(volume):
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.scalar_data.T))
    image.SetSpacing(volume.spacing_mm.tolist())
    image.SetOrigin((FLIP @ volume.affine[:3, 3]).tolist())
    image.SetDirection((FLIP @ volume.grid.directions).ravel().tolist())
    return image


def witness(volume, grid, interpolator, transform=None):
    itk = sitk.AffineTransform(3)
    if transform is not None:
        itk.SetMatrix((FLIP @ transform[:3, :3] @ FLIP).ravel().tolist())
        itk.SetTranslation((FLIP @ transform[:3, 3]).tolist())
    like = to_sitk(Volume.scalar(np.zeros(grid.shape, np.float32), grid.affine))
    return sitk.GetArrayFromImage(sitk.Resample(to_sitk(volume), like, itk, interpolator, 0.0)).T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "interpolator", "tolerance"),
                         [("linear", sitk.sitkLinear, 0.02), ("cubic", sitk.sitkBSpline, 0.5)])
def test_it_agrees_with_simpleitk_on_oblique_grids(seed, name, interpolator, tolerance):
    volume = smooth_volume(seed)
    turned = random_affine(seed + 50)[:3, :3]
    turned = turned / np.linalg.norm(turned, axis=0)
    grid = grid_around(volume.grid.center_mm, (15, 14, 13), turned * volume.spacing_mm.min())
    transform = np.eye(4)
    transform[:3, 3] = volume.spacing_mm * 0.4
    expected = witness(volume, grid, interpolator, transform)
    found = resample(volume, grid, name, transform=transform).scalar_data
    places = volume.grid.indices(grid.points_mm(np.stack(np.meshgrid(
        *[np.arange(n) for n in grid.shape], indexing="ij"), -1)) @ transform[:3, :3].T + transform[:3, 3])
    margin = 0.1 if name == "linear" else 3.0  # splines treat the edge each in their way
    inner = ((places > margin) & (places < np.array(volume.shape) - 1 - margin)).all(-1)
    assert inner.sum() > 50
    assert np.abs(found - expected)[inner].max() < tolerance


@pytest.mark.parametrize("name", ["nearest", "linear", "cubic"])
def test_a_volume_on_its_own_grid_in_another_axis_order_is_itself(name):
    volume = smooth_volume(3)
    for codes in ("RAS", "LPS", "SLA", "IPR"):
        turned = volume.reorient(codes)
        np.testing.assert_allclose(resample(volume, turned.grid, name).data, turned.data, atol=2e-3)


@pytest.mark.parametrize("name", ["nearest", "linear", "cubic"])
def test_the_center_of_mass_stays_when_voxels_change_size(name):
    blob = np.exp(-((np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1) - 10.3) ** 2).sum(-1) / 18)
    volume = Volume.scalar(blob.astype(np.float32), np.diag([1, 1, 1, 1.0]))
    spacings = (0.5, 1.5, 2.0, (1, 1, 3)) if name != "nearest" else (0.2, 3)  # two nearest voxels are no answer
    for spacing in spacings:
        out = resample(volume, centered_grid(volume.grid, spacing), name)
        places = out.grid.points_mm(np.stack(np.meshgrid(*[np.arange(n) for n in out.shape], indexing="ij"), -1))
        found = (places * out.scalar_data[..., None]).sum((0, 1, 2)) / out.scalar_data.sum()
        np.testing.assert_allclose(found, 10.3, atol=0.05)


def test_nearest_keeps_type_and_values_of_labels():
    labels = np.random.default_rng(0).choice([0, 7, 60, 4000], size=(9, 8, 7)).astype(np.uint16)
    out = resample(Volume.scalar(labels, np.eye(4)), centered_grid(Grid((9, 8, 7), np.eye(4)), 0.5), "nearest")
    assert out.data.dtype == np.uint16
    assert set(np.unique(out.data)) == {0, 7, 60, 4000}


def test_a_constant_stays_constant_inside_and_zero_outside():
    volume = Volume.scalar(np.full((8, 8, 8), 5, np.int16), np.eye(4))
    out = resample(volume, grid_around(np.full(3, 3.5), (20, 20, 20), np.eye(3)), "linear").scalar_data
    assert set(np.unique(np.round(out, 4))) == {0.0, 5.0}
    assert (out == 5).sum() == 512


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(InputError, match="sinc"):
        resample(smooth_volume(), Grid((2, 2, 2), np.eye(4)), "sinc")


# --- windowed sinc ---


def test_lanczos_agrees_with_simpleitk_s_windowed_sinc_on_band_limited_data():
    """Theirs reaches five voxels, ours three: on data without fine detail both give the same."""
    places = np.indices((30, 28, 26)).astype(float)
    wave = 100 * sum(np.sin(2 * np.pi * places[a] / (9 + a) + a) for a in range(3))
    volume = Volume.scalar(wave.astype(np.float32), random_affine(3))
    grid = Grid((12, 12, 12), volume.affine @ np.array([[0.9, 0.1, 0, 8.3], [-0.1, 0.9, 0, 8.6], [0, 0, 0.9, 7.4],
                                                        [0, 0, 0, 1.0]]))
    expected = witness(volume, grid, sitk.sitkLanczosWindowedSinc)
    found = resample(volume, grid, "lanczos").scalar_data
    assert np.abs(found - expected).max() < 2.5
    inside = volume.grid.indices(grid.points_mm(np.indices(grid.shape).reshape(3, -1).T))
    truth = 100 * sum(np.sin(2 * np.pi * inside[:, a] / (9 + a) + a) for a in range(3)).reshape(grid.shape)
    linear = resample(volume, grid, "linear").scalar_data
    assert np.abs(found - truth).max() < 0.2 * np.abs(linear - truth).max()


def test_lanczos_gives_the_voxels_back_and_keeps_a_constant():
    volume = smooth_volume(2)
    np.testing.assert_allclose(resample(volume, volume.grid, "lanczos").data, volume.data, atol=1e-2)
    flat = Volume.scalar(np.full((12, 11, 10), 7, np.int16), volume.affine)
    half = np.array([[1, 0, 0, 0.4], [0, 1, 0, 0.3], [0, 0, 1, 0.5], [0, 0, 0, 1]])
    between = Grid((11, 10, 9), volume.affine @ half)
    np.testing.assert_allclose(resample(flat, between, "lanczos").data, 7, rtol=1e-5)


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_outside_is_zero_with_every_interpolation(name):
    volume = Volume.scalar(np.full((8, 8, 8), 5, np.float32), np.eye(4))
    far = np.eye(4)
    far[:3, 3] = (20, 0, 0)
    assert not resample(volume, Grid((4, 4, 4), far), name).data.any()


def test_clamped_the_edge_value_holds_outside():
    volume = Volume.scalar(np.arange(8, dtype=np.float32)[:, None, None] * np.ones((8, 8, 8), np.float32), np.eye(4))
    shifted = np.eye(4)
    shifted[0, 3] = -3.0
    found = resample(volume, Grid((14, 8, 8), shifted), clamp=True).scalar_data[:, 0, 0]
    np.testing.assert_allclose(found, np.clip(np.arange(14) - 3, 0, 7))

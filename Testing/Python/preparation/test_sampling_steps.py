"""Crop, resample, reorient, resize: the voxels stay where they are in space."""

import numpy as np
import pytest

import meddl
from meddl.core.errors import GeometryError, InputError
from meddl.preparation.steps import Crop, Reorient, Resample, Resize
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

AFFINE = np.array([[0.0, -1.2, 0.3, 5.0], [0.9, 0.1, 0.2, -4.0], [-0.1, 0.2, 2.4, 7.0], [0, 0, 0, 1]])


@pytest.fixture
def volume():
    """A smooth bright block in a dark field."""
    from scipy.ndimage import gaussian_filter

    array = np.zeros((30, 28, 16), np.float32)
    array[8:22, 9:20, 5:12] = 100
    return Volume.scalar(gaussian_filter(array, 1.5), AFFINE)


def run(volume, *steps, **more):
    return meddl.prepare(volume, steps, **more).volume


def assert_same_places(found, volume, tolerance):
    """What is found is the volume, sampled where the found voxels lie."""
    expected = resample(volume, found.grid, "linear", clamp=True).data
    assert np.abs(found.data - expected).max() <= tolerance


def test_cropping_to_a_box_keeps_every_voxel_inside(volume):
    mask = Volume.scalar((volume.scalar_data > 20).astype(np.uint8), AFFINE)
    found = meddl.prepare(volume, [Crop(to="roi", margin_mm=2.0)], roi=mask)
    assert_same_places(found.volume, volume, 1e-3)
    assert found.volume.data.sum() >= volume.data[0][mask.scalar_data > 0].sum()
    first = [box[0] for box in found.report["steps"][0]["box_voxels"]]
    inside = np.array([ends.min() for ends in np.nonzero(mask.scalar_data)])
    assert (inside - first >= np.ceil(2.0 / volume.spacing_mm)).all() and found.volume.data.dtype == volume.data.dtype
    with pytest.raises(GeometryError, match="region of interest"):
        run(volume, Crop(to="roi"))


def test_cropping_to_the_body_leaves_air_out():
    array = np.random.default_rng(0).normal(-1000, 15, (60, 60, 40)).astype(np.int16)
    array[20:40, 25:45, 15:30] += 1040
    found = run(Volume.scalar(array, np.diag([2.0, 2.0, 2.0, 1.0])), Crop())
    assert found.data.size < 0.6 * array.size and (found.data > -500).sum() == 20 * 20 * 15


def test_cropping_a_constant_volume_changes_nothing(volume):
    constant = Volume.scalar(np.full((12, 10, 8), 7.0, np.float32), AFFINE)
    assert run(constant, Crop()).shape == constant.shape


@pytest.mark.parametrize("spacing", [(0.8,), (0.6, 0.7, 1.5)])
def test_resampling_keeps_the_field_of_view(volume, spacing):
    found = run(volume, Resample(spacing_mm=spacing))
    assert found.spacing_mm == pytest.approx(spacing * (3 // len(spacing)))
    assert np.allclose(found.grid.center_mm, volume.grid.center_mm)
    assert_same_places(found, volume, 1e-3)


def test_larger_voxels_do_not_alias():
    stripes = np.zeros((48, 8, 8), np.float32)
    stripes[::2] = 100
    volume = Volume.scalar(stripes, np.eye(4))
    smooth, plain = (run(volume, Resample(spacing_mm=(3.0,), antialiasing=on)).data for on in (True, False))
    assert np.ptp(smooth[0, 2:-2]) < 8 < np.ptp(plain[0, 2:-2])
    assert smooth.mean() == pytest.approx(50, abs=2)


def test_labels_stay_labels():
    labels = np.random.default_rng(0).integers(0, 4, (12, 10, 8)).astype(np.uint8)
    found = run(Volume.scalar(labels, np.eye(4)), Resample(spacing_mm=(2.0,), interpolation="nearest"))
    assert found.data.dtype == np.uint8 and set(np.unique(found.data)) <= {0, 1, 2, 3}


@pytest.mark.parametrize(("step", "blends"), [
    (Resample(spacing_mm=(2.0,)), True), (Resample(spacing_mm=(2.0,), interpolation="nearest"), False),
    (Resize(voxels=(9,)), True), (Resize(voxels=(9,), keep_spacing=True), False), (Reorient(codes="LPI"), False)])
def test_a_label_map_that_would_be_blended_is_told(volume, step, blends):
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[3:9, 3:9, 3:9] = 40
    told = meddl.prepare(Volume.scalar(labels, np.eye(4)), [step]).report["warnings"]
    assert any("label map" in text for text in told) == blends
    assert meddl.prepare(volume, [step]).report["warnings"] == []


def test_reorienting_moves_nothing(volume):
    found = run(volume, Reorient(codes="LPI"))
    assert_same_places(found, volume, 1e-3)
    assert np.array_equal(found.reorient("RAS").data, volume.reorient("RAS").data)
    with pytest.raises(GeometryError, match="letters"):
        run(volume, Reorient(codes="XYZ"))


def test_resizing_by_resampling_or_by_padding_and_cropping(volume):
    found = run(volume, Resize(voxels=(24, 24, 24)))
    assert found.shape == (24, 24, 24) and np.allclose(found.grid.extent_mm, volume.grid.extent_mm)
    assert np.allclose(found.grid.center_mm, volume.grid.center_mm)
    padded = run(volume, Resize(voxels=(32, 20, 16), keep_spacing=True))
    assert padded.shape == (32, 20, 16) and padded.spacing_mm == pytest.approx(volume.spacing_mm)
    assert_same_places(padded, volume, 1e-3)


@pytest.mark.parametrize("step", [Resample(spacing_mm=(1.0, 2.0)), Resample(spacing_mm=(0.0,)), Resize(voxels=())])
def test_impossible_sizes_are_refused(volume, step):
    with pytest.raises(InputError, match="one number above zero"):
        run(volume, step)

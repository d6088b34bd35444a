"""The shell writes what it resamples in the type of the input, and keeps of its header what stays true."""

import nibabel
import numpy as np
import pytest
from shell import blobs, run

import meddl
from meddl.io import VolumeHeader, save_series, save_transform
from meddl.spatial.transform import Transform
from meddl.spatial.volume import Volume


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A fixed volume in scanner coordinates, a moving one, both int16, a shift between them, and a template."""
    folder = tmp_path_factory.mktemp("headers")
    for name, volume, header in (
            ("fixed", blobs(), VolumeHeader("fixed scan", (0, 500), (1, 1))),
            ("moving", blobs((6.0, 0, -3)), VolumeHeader("moving scan", (10, 600), (1, 1))),
            ("template", blobs(), VolumeHeader("MNI", None, (0, 4)))):
        meddl.save(volume.astype(np.int16), folder / f"{name}.nii.gz", header=header)
    matrix = np.eye(4)
    matrix[:3, 3] = (6.3, 0.4, -3.2)
    save_transform(Transform(matrix, None, None), folder / "t.tfm")
    return folder


def stated(path) -> tuple:
    """Type, codes, description and display range, as nibabel reads them."""
    header = nibabel.load(path).header
    return (header.get_data_dtype(), (int(header["qform_code"]), int(header["sform_code"])),
            header["descrip"].item().decode(), (float(header["cal_min"]), float(header["cal_max"])))


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic", "lanczos"])
@pytest.mark.parametrize(("like", "codes"), [("fixed", (2, 2)), ("template", (0, 4))])
def test_a_warped_volume_keeps_type_and_header(files, tmp_path, interpolation, like, codes):
    assert run("warp", files / "moving.nii.gz", "--transform", files / "t.tfm", "--like", files / f"{like}.nii.gz",
               "-o", tmp_path / "out.nii.gz", "--interpolation", interpolation) == 0
    assert stated(tmp_path / "out.nii.gz") == (np.int16, codes, "moving scan", (10, 600))
    exact = meddl.results.load_transform(files / "t.tfm").warp(
        meddl.load(files / "moving.nii.gz"), interpolation, meddl.load(files / "fixed.nii.gz").grid)
    assert np.abs(meddl.load(tmp_path / "out.nii.gz").data - exact.data).max() <= 0.5


def test_overshoot_beyond_the_type_is_held_at_its_limits(files, tmp_path):
    sharp = np.zeros((1, 20, 20, 20), np.uint8)
    sharp[:, 8:12, 8:12, 8:12] = 255
    meddl.save(Volume(sharp, np.eye(4)), tmp_path / "sharp.nrrd")
    shift = np.eye(4)
    shift[:3, 3] = 0.5
    save_transform(Transform(shift, None, None), tmp_path / "t.tfm")
    assert run("warp", tmp_path / "sharp.nrrd", "--transform", tmp_path / "t.tfm", "--like", tmp_path / "sharp.nrrd",
               "-o", tmp_path / "out.nrrd", "--interpolation", "cubic") == 0
    found = meddl.load(tmp_path / "out.nrrd").data
    exact = meddl.results.load_transform(tmp_path / "t.tfm").warp(
        Volume(sharp, np.eye(4)), "cubic", Volume(sharp, np.eye(4)).grid).data
    assert exact.min() < -1
    assert exact.max() > 256
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.clip(np.rint(exact), 0, 255))


def test_floating_point_and_scaled_volumes_stay_floating_point(files, tmp_path):
    image = nibabel.load(files / "moving.nii.gz")
    scaled = nibabel.Nifti1Image(np.asarray(image.dataobj).astype(np.uint8), image.affine)
    scaled.header.set_slope_inter(0.25, 3)
    nibabel.save(scaled, tmp_path / "scaled.nii")
    assert run("warp", tmp_path / "scaled.nii", "--transform", files / "t.tfm", "--like", files / "fixed.nii.gz", "-o",
               tmp_path / "out.nii.gz") == 0
    assert stated(tmp_path / "out.nii.gz")[0] == np.float32


def test_a_registration_writes_the_moving_volume_s_header_in_the_fixed_one_s_space(files, tmp_path):
    assert run("register", files / "fixed.nii.gz", files / "moving.nii.gz", "-o", tmp_path / "out.nii.gz", "--jacobian",
               tmp_path / "det.nii.gz", "--levels-mm", "8,4", "--device", "cpu") == 0
    assert stated(tmp_path / "out.nii.gz") == (np.int16, (2, 2), "moving scan", (10, 600))
    assert stated(tmp_path / "det.nii.gz") == (np.float32, (1, 1), "", (0, 0))


def test_super_resolution_stays_in_the_space_of_its_input(files, tmp_path):
    thick = meddl.load(files / "template.nii.gz")
    affine = np.array(thick.affine) @ np.diag([1, 1, 2, 1])
    meddl.save(Volume(thick.data[..., ::2], affine), tmp_path / "thick.nii.gz",
               header=VolumeHeader("slices", (1, 400), (1, 4)))
    assert run("superres", tmp_path / "thick.nii.gz", "-o", tmp_path / "out.nii.gz", "--method", "cubic", "--residual",
               tmp_path / "left.nii.gz", "--device", "cpu") == 0
    assert stated(tmp_path / "out.nii.gz") == (np.int16, (1, 4), "slices", (1, 400))
    assert stated(tmp_path / "left.nii.gz") == (np.float32, (1, 4), "", (0, 0))


@pytest.mark.parametrize(("step", "dtype", "said"), [
    ("resample:spacing_mm=5", np.int16, ("moving scan", (10, 600))),
    ("reorient:codes=LPI", np.int16, ("moving scan", (10, 600))),
    ("crop:to=body", np.int16, ("moving scan", (10, 600))), ("normalize:method=z-score", np.float32, ("", (0, 0)))])
def test_a_preparation_keeps_type_and_header_where_intensities_stay(files, tmp_path, step, dtype, said):
    assert run("prepare", files / "moving.nii.gz", "-o", tmp_path / "out.nii.gz", "--step", step) == 0
    assert stated(tmp_path / "out.nii.gz") == (dtype, (1, 1), *said)


def test_a_corrected_series_keeps_type_header_and_time(files, tmp_path):
    frames = np.concatenate([meddl.load(files / "fixed.nii.gz").data] * 2)
    volume = Volume(frames, meddl.load(files / "fixed.nii.gz").affine)
    save_series(volume, tmp_path / "series.nii.gz", 0.72, header=VolumeHeader("bold", (0, 99), (1, 1)))
    assert run("register-series", tmp_path / "series.nii.gz", "-o", tmp_path / "out.nii.gz", "--device", "cpu",
               "--levels-mm", "8") == 0
    assert stated(tmp_path / "out.nii.gz") == (np.int16, (1, 1), "bold", (0, 99))
    header = nibabel.load(tmp_path / "out.nii.gz").header
    assert float(header["pixdim"][4]) == pytest.approx(0.72)
    assert header.get_xyzt_units() == ("mm", "sec")

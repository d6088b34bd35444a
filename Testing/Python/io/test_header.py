"""What a header says of a volume is written where it stays true; nibabel and SimpleITK read it."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from volume_files import AFFINES, volume_of

from meddl import io
from meddl.io.header import VolumeHeader
from meddl.spatial.segmentation import Segment, Segmentation
from meddl.spatial.volume import Volume

SHEAR = np.array([[1.0, 0.3, 0, 3], [0, 1.2, 0, -4], [0, 0.1, 2, 5], [0, 0, 0, 1]])


def stored(path, qform=1, sform=1, affine=None, kind=nibabel.Nifti1Image, **fields):
    """A NIfTI file of nibabel's with these codes and entries."""
    affine = AFFINES["oblique"] if affine is None else affine
    image = kind(volume_of("i2").data[0], affine)
    image.set_qform(affine, qform)
    image.set_sform(affine, sform)
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_nifti_header_is_read_and_written(tmp_path, suffix, kind):
    stored(tmp_path / "a.nii.gz", 2, 4, kind=kind, descrip=b"TE=30;TR=2", cal_min=-5, cal_max=77.5)
    header = io.load_header(tmp_path / "a.nii.gz")
    assert header == VolumeHeader("TE=30;TR=2", (-5.0, 77.5), (2, 4))
    io.save(io.load(tmp_path / "a.nii.gz"), tmp_path / f"b{suffix}", header=header)
    image = nibabel.load(tmp_path / f"b{suffix}")
    found = image.header
    assert (found["descrip"], found["cal_min"], found["cal_max"]) == (b"TE=30;TR=2", -5, 77.5)
    assert (int(found["qform_code"]), int(found["sform_code"])) == (2, 4)
    assert found.get_xyzt_units()[0] == "mm"
    assert image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.get_qform(), AFFINES["oblique"], atol=1e-4)
    np.testing.assert_allclose(image.get_sform(), AFFINES["oblique"], atol=1e-4)
    assert np.array_equal(image.dataobj, volume_of("i2").data[0])
    theirs = sitk.ReadImage(str(tmp_path / f"b{suffix}"))
    assert theirs.GetMetaData("descrip").strip() == "TE=30;TR=2"
    np.testing.assert_allclose(io.from_sitk(theirs).affine, AFFINES["oblique"], atol=1e-4)
    assert io.load_header(tmp_path / f"b{suffix}") == header


@pytest.mark.parametrize(("codes", "expected"), [((1, 0), (1, 0)), ((0, 2), (0, 2)), ((0, 0), (0, 0))])
def test_a_code_that_states_nothing_stays_so_where_the_other_holds(tmp_path, codes, expected):
    stored(tmp_path / "a.nii", *codes)
    with pytest.warns() if codes == (0, 0) else _nothing():
        volume = io.load(tmp_path / "a.nii")
    header = io.load_header(tmp_path / "a.nii")
    assert header.space == expected
    io.save(volume, tmp_path / "b.nii.gz", header=header)
    image = nibabel.load(tmp_path / "b.nii.gz")
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (codes if any(codes) else (1, 1))
    np.testing.assert_allclose(image.affine, volume.affine, atol=1e-4)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_of_two_grids_that_differ_only_the_one_that_counts_is_stated(tmp_path):
    path = stored(tmp_path / "a.nii", 1, 4)
    image = nibabel.load(path)
    other = np.array(image.affine)
    other[:3, 3] += 40
    image.set_qform(other, 1)
    nibabel.save(image, tmp_path / "b.nii")
    assert io.load_header(tmp_path / "b.nii").space == (4, 4)


def test_a_sheared_grid_has_its_code_in_the_sform(tmp_path):
    io.save(Volume(volume_of("i2").data, SHEAR), tmp_path / "a.nii.gz", header=VolumeHeader("x", (0, 9), (2, 2)))
    found = nibabel.load(tmp_path / "a.nii.gz")
    assert (int(found.header["qform_code"]), int(found.header["sform_code"])) == (0, 2)
    assert (found.header["descrip"], found.header["cal_max"]) == (b"x", 9)
    np.testing.assert_allclose(found.affine, SHEAR, atol=1e-5)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii.gz"])
def test_a_description_is_kept_from_format_to_format(tmp_path, suffix):
    io.save(volume_of(), tmp_path / f"a{suffix}", header=VolumeHeader("two\nlines of text"))
    header = io.load_header(tmp_path / f"a{suffix}")
    assert header.description == "two lines of text"
    io.save(volume_of(), tmp_path / "b.nii", header=header)
    assert nibabel.load(tmp_path / "b.nii").header["descrip"] == b"two lines of text"
    image = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    texts = [image.GetMetaData(key).strip() for key in image.GetMetaDataKeys()]
    start = (tmp_path / f"a{suffix}").read_bytes()[:700]
    assert b"Comment = two lines of text\n" in start if suffix == ".mha" else "two lines of text" in texts


def test_a_long_description_ends_where_the_field_ends(tmp_path):
    io.save(volume_of(), tmp_path / "a.nii", header=VolumeHeader("ä" * 100))
    assert io.load_header(tmp_path / "a.nii").description == "ä" * 39


def test_without_a_header_a_file_is_as_before(tmp_path):
    io.save(volume_of(), tmp_path / "a.nii.gz")
    io.save(volume_of(), tmp_path / "b.nii.gz", header=VolumeHeader())
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_label_map_has_the_space_of_its_volume_and_no_display_range(tmp_path):
    header = VolumeHeader("a T1", (0, 700), (1, 4))
    labels = Segmentation(np.ones((5, 6, 7), np.uint8), AFFINES["oblique"], (Segment(1, "one", (1, 0, 0)),))
    io.save_segmentation(labels, tmp_path / "a.nii.gz", header)
    found = nibabel.load(tmp_path / "a.nii.gz").header
    assert (int(found["qform_code"]), int(found["sform_code"])) == (1, 4)
    assert (found["descrip"].item(), found["cal_max"]) == (b"", 0)


@pytest.mark.parametrize(("fixed", "expected"), [
    ((1, 1), (2, 2)), ((2, 2), (2, 2)), ((1, 4), (2, 4)), ((4, 4), (4, 4)), ((0, 3), (0, 3)), ((0, 0), (2, 2)),
    (None, (2, 2))])
def test_a_warped_volume_is_aligned_to_the_file_or_in_its_template_space(fixed, expected):
    header = VolumeHeader("moving", (0, 9), (1, 1)).in_space_of(VolumeHeader("fixed", (3, 4), fixed))
    assert header == VolumeHeader("moving", (0, 9), expected)


def test_an_entry_that_is_no_range_is_none(tmp_path):
    for low, high in ((5, 5), (9, 1), (np.nan, 3)):
        stored(tmp_path / "a.nii", cal_min=low, cal_max=high)
        assert io.load_header(tmp_path / "a.nii").display_range is None

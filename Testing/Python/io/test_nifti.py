"""Usual NIfTI files are read without ITK, and as ITK reads them; all others are left to it."""

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from meddl.core.errors import FileFormatError
from meddl.core.paths import data_folder
from meddl.io import from_sitk, load, nifti

OBLIQUE = np.array([[-1.9, 0.2, 0.1, 30.0], [0.21, 1.4, -0.3, -12.5], [0.1, 0.24, 2.5, 7.0], [0, 0, 0, 1.0]])


def turned(spacing=(1.9, 1.4, 2.5)) -> np.ndarray:
    """An oblique affine with axes at right angles."""
    turn, _ = np.linalg.qr(OBLIQUE[:3, :3])
    affine = OBLIQUE.copy()
    affine[:3, :3] = turn * spacing
    return affine


def written(path: Path, affine=None, dtype="<i2", sform=1, qform=1, shape=(5, 6, 7), **fields) -> Path:
    array = (np.arange(np.prod(shape)) % 100).reshape(shape).astype(dtype)
    header = nibabel.Nifti1Header(endianness=np.dtype(dtype).newbyteorder("=") == np.dtype(dtype) and "<" or ">")
    affine = turned() if affine is None else affine
    image = nibabel.Nifti1Image(array, affine, header, dtype=np.dtype(dtype).newbyteorder("="))
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    image.header.set_xyzt_units("mm")
    for name, value in fields.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


def of_itk(path: Path):
    return from_sitk(sitk.ReadImage(str(path), imageIO="NiftiImageIO"))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<f4", "<f8", "<u2", "<i4"])
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (1, 0), (2, 4)])
def test_usual_files_are_read_as_itk_reads_them(tmp_path, suffix, dtype, codes):
    path = written(tmp_path / f"a{suffix}", dtype=dtype, sform=codes[0], qform=codes[1])
    header, voxels = nifti.read(path)
    assert voxels is not None
    assert nifti.is_usual(header)
    found, expected = load(path), of_itk(path)
    assert found.data.dtype == expected.data.dtype
    assert np.array_equal(found.data, expected.data)
    np.testing.assert_allclose(found.affine, expected.affine, atol=2e-6)
    assert found.data.flags.writeable


@pytest.mark.parametrize("axes", [(-1, 1, 1), (-1, -1, 1), (1, -1, 1), (-1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)])
def test_half_turns_and_mirrors_are_understood(tmp_path, axes, order):
    affine = np.diag([*np.array([1.1, 1.2, 1.3]) * axes, 1.0])[[*order, 3]]
    path = written(tmp_path / "a.nii", affine)
    assert nifti.read(path)[1] is not None
    np.testing.assert_allclose(load(path).affine, of_itk(path).affine, atol=2e-6)


def test_a_voxel_size_is_exactly_what_the_header_says(tmp_path):
    found = load(written(tmp_path / "a.nii", turned((0.9375, 0.9375, 1.5))))
    assert np.abs(np.linalg.norm(found.affine[:3, :3], axis=0) - [0.9375, 0.9375, 1.5]).max() < 1e-12


@pytest.mark.parametrize("choices", [
    {"scl_slope": 2.0}, {"scl_slope": 1.0, "scl_inter": -3.0}, {"sform": 0, "qform": 0}, {"affine": OBLIQUE},
    {"xyzt_units": 1}, {"shape": (5, 6, 7, 2)}, {"shape": (5, 6, 1)}, {"dtype": "complex64"}])
def test_other_files_are_left_to_itk(tmp_path, choices):
    path = written(tmp_path / "a.nii.gz", **choices)
    assert nifti.read(path)[1] is None


def test_two_grids_that_differ_are_left_to_itk(tmp_path):
    path = written(tmp_path / "a.nii")
    image = nibabel.load(path)
    image.set_sform(np.diag([3.0, 3.0, 3.0, 1.0]), 1)
    nibabel.save(image, tmp_path / "b.nii")
    assert nifti.read(tmp_path / "b.nii")[1] is None


def test_a_file_that_is_cut_off_or_changed_is_refused(tmp_path):
    whole = written(tmp_path / "a.nii.gz").read_bytes()
    for name, content in (("cut.nii.gz", whole[:-20]), ("changed.nii.gz", whole[:-8] + bytes(4) + whole[-4:])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError):
            load(tmp_path / name)
    plain = written(tmp_path / "a.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(plain[:-5])
    with pytest.raises(FileFormatError):
        load(tmp_path / "cut.nii")


def test_reading_and_segmenting_do_not_load_itk(tmp_path):
    path = written(tmp_path / "a.nii.gz")
    code = (f"import sys, meddl; meddl.load({str(path)!r}); meddl.segment; "
            "sys.exit('SimpleITK' in sys.modules or 'SimpleITK.SimpleITK' in sys.modules)")
    library = Path(nifti.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=library, check=False).returncode == 0


def test_real_files_are_read_as_itk_reads_them():
    folder = data_folder()
    if folder is None:
        pytest.skip("no real volumes")
    usual = 0
    for path in sorted(folder.rglob("*.nii.gz")):
        if path.stat().st_size > 3_000_000:
            continue
        header, voxels = nifti.read(path)
        if voxels is None:
            continue
        usual += 1
        expected = of_itk(path)
        assert np.array_equal(voxels, expected.data[0]), path
        np.testing.assert_allclose(header.grid, expected.affine, atol=1e-4, err_msg=str(path))
        if usual == 12:
            break
    assert usual

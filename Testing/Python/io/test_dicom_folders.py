"""DICOM series in folders: read in order, chosen from, refused where slices are missing."""

import numpy as np
import pytest
import SimpleITK as sitk
from volume_files import AFFINES, volume_of

import meddl.io as io
from meddl.core.errors import FileFormatError, InputError


def write_series(folder, volume, uid="1.2.3.4", description="axial", skip=(), tilt=(0, 0, 0), thickness=None):
    """Slices of a volume as DICOM files, named against their order, as scanners do."""
    folder.mkdir(exist_ok=True)
    image = io.to_sitk(volume)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    directions = np.array(image.GetDirection()).reshape(3, 3)
    for k in range(image.GetDepth()):
        if k in skip:
            continue
        piece = image[:, :, k]
        place = np.array(image.TransformIndexToPhysicalPoint((0, 0, k))) + k * np.array(tilt)
        tags = {"0008|0060": "MR", "0020|000e": uid, "0020|000d": "1.2.3", "0008|0018": f"{uid}.{k + 1}",
                "0008|103e": description, "0020|0013": str(k), "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
                "0020|0032": "\\".join(f"{x:.6f}" for x in place),
                "0020|0037": "\\".join(f"{x:.8f}" for x in directions.T[:2].ravel()),
                "0028|0030": f"{image.GetSpacing()[1]:.6f}\\{image.GetSpacing()[0]:.6f}"}
        if thickness is not None:
            tags["0018|0050"] = f"{thickness:g}"
        for tag, text in tags.items():
            piece.SetMetaData(tag, text)
        writer.SetFileName(str(folder / f"{uid}_{99 - k:03d}.dcm"))
        writer.Execute(piece)


def test_a_dicom_series_is_read_in_order(tmp_path):
    volume = volume_of(np.int16, shape=(12, 10, 6))
    write_series(tmp_path / "series", volume)
    back = io.load(tmp_path / "series")
    # DICOM orders slices along the normal: the same world either way.
    assert back.shape == volume.shape
    assert np.allclose(np.abs(back.spacing_mm), volume.spacing_mm, atol=1e-4)
    assert np.array_equal(back.reorient("RAS").data, volume.reorient("RAS").data)
    assert np.allclose(back.reorient("RAS").affine, volume.reorient("RAS").affine, atol=1e-3)


def test_the_tilt_of_a_gantry_is_kept_as_shear(tmp_path):
    volume = volume_of(np.int16, shape=(12, 10, 6), affine=AFFINES["straight"])
    write_series(tmp_path / "series", volume, tilt=(0, -1.0, 0))
    back = io.load(tmp_path / "series")
    steps = back.affine[:3, 2] * np.sign(back.affine[2, 2])
    assert np.allclose(steps, [0, 1.0, 2.5], atol=1e-3)


def test_a_missing_slice_is_noticed(tmp_path):
    write_series(tmp_path / "series", volume_of(np.int16, shape=(12, 10, 8)), skip=(3,))
    with pytest.raises(FileFormatError, match="not evenly spaced"):
        io.load(tmp_path / "series")


def test_several_series_are_listed_and_chosen_from(tmp_path):
    first, second = volume_of(np.int16, (12, 10, 6)), volume_of(np.int16, (12, 10, 4))
    write_series(tmp_path / "study", first, "1.2.3.4", "axial T1")
    write_series(tmp_path / "study", second, "1.2.3.5", "axial T2")
    with pytest.raises(InputError, match=r"2 DICOM series.*axial T1, 6 slices.*axial T2, 4 slices"):
        io.load(tmp_path / "study")
    assert io.load(tmp_path / "study", series=1).shape[2] in (4, 6)
    with pytest.raises(InputError, match="is none of them"):
        io.load(tmp_path / "study", series="9.9")


def test_the_slice_thickness_is_what_the_series_states(tmp_path):
    write_series(tmp_path / "stated", volume_of(np.int16, (12, 10, 4)), thickness=1.75)
    write_series(tmp_path / "silent", volume_of(np.int16, (12, 10, 4)))
    assert io.slice_thickness_mm(tmp_path / "stated") == 1.75
    assert io.slice_thickness_mm(next((tmp_path / "stated").glob("*.dcm"))) == 1.75
    assert io.slice_thickness_mm(tmp_path / "silent") is None
    assert io.slice_thickness_mm(tmp_path) is None
    io.save(volume_of(), tmp_path / "a.nii.gz")
    assert io.slice_thickness_mm(tmp_path / "a.nii.gz") is None


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(FileFormatError, match="no DICOM series"):
        io.load(tmp_path)

"""Files without the patient: nothing that a header said is left, voxels and geometry are."""

import gzip

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import header, save, stack, write_enhanced
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from shell import run

import meddl
from meddl.core.errors import DependencyError, FileFormatError, InputError

SECRET = "Zaphod"
AFFINE = np.array([[-0.9, 0.1, 0, 30], [0.1, 1.1, 0, -20], [0, 0, 2.5, 7], [0, 0, 0, 1.0]])
TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}
VOLUMES = ["a.nii.gz", "a.nii", "a.nrrd", "a.mha"]


def bytes_of(path):
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.endswith(".gz") else content


@pytest.fixture
def values():
    return np.random.default_rng(3).integers(-300, 900, (6, 5, 4)).astype(np.int16)


def write_secret(path, values):
    """A file of any format whose header names the patient wherever it can."""
    if ".nii" in path.name:
        image = nibabel.Nifti1Image(values, AFFINE)
        image.header["descrip"], image.header["aux_file"], image.header["intent_name"] = (SECRET.encode(),) * 3
        image.header["db_name"] = SECRET.encode()
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", f"{SECRET}, 1 May".encode()))
        image.set_sform(AFFINE, 1)
        nibabel.save(image, path)
        return
    meddl.save(meddl.Volume.scalar(values, AFFINE), path)
    image = sitk.ReadImage(str(path))
    for key in ("Comment", "PatientName", "NRRD_content", "acquired", "Name"):
        image.SetMetaData(key, SECRET)
    sitk.WriteImage(image, str(path))
    assert SECRET.encode() in path.read_bytes()


@pytest.mark.parametrize("name", VOLUMES)
def test_a_volume_keeps_voxels_type_and_geometry_alone(tmp_path, values, name):
    source, target = tmp_path / name, tmp_path / f"new-{name}"
    write_secret(source, values)
    assert SECRET.encode() in bytes_of(source)
    row, = meddl.deidentify(source, target)
    assert (row.target, row.reason, row.notes) == (target, "", ())
    assert SECRET.encode() not in bytes_of(target)
    before, after = meddl.load(source), meddl.load(target)
    assert np.array_equal(before.data, after.data) and before.data.dtype == after.data.dtype
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)


def test_a_nifti_file_keeps_its_space_and_range_and_says_no_date(tmp_path, values):
    image = nibabel.Nifti1Image(values, AFFINE)
    image.set_sform(AFFINE, 4)
    image.header["cal_max"] = 800
    nibabel.save(image, tmp_path / "a.nii.gz")
    meddl.deidentify(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    found = nibabel.load(tmp_path / "b.nii.gz")
    assert int(found.header["sform_code"]) == 4 and float(found.header["cal_max"]) == 800
    assert (tmp_path / "b.nii.gz").read_bytes()[4:8] == bytes(4)  # gzip's time


def test_a_time_series_stays_one_and_scaled_numbers_stay_what_they_are(tmp_path, values):
    image = nibabel.Nifti1Image(np.stack([values, values + 1], axis=-1), AFFINE)
    image.header.set_zooms((*image.header.get_zooms()[:3], 2.5))
    image.header.set_slope_inter(0.5, 3)
    nibabel.save(image, tmp_path / "a.nii.gz")
    meddl.deidentify(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    before, found = nibabel.load(tmp_path / "a.nii.gz"), nibabel.load(tmp_path / "b.nii.gz")
    np.testing.assert_allclose(found.get_fdata(), before.get_fdata())
    assert found.header.get_zooms()[3] == pytest.approx(2.5)


def test_a_segmentation_keeps_names_and_says_so(tmp_path, values):
    segments = [meddl.Segment(1, "hippocampus", (1.0, 0.0, 0.0))]
    meddl.save_segmentation(meddl.Segmentation((values > 0).astype(np.uint16), AFFINE, segments),
                            tmp_path / "a.seg.nrrd")
    row, = meddl.deidentify(tmp_path / "a.seg.nrrd", tmp_path / "b.seg.nrrd")
    assert "hippocampus" in row.notes[0]
    assert [s.name for s in meddl.load_segmentation(tmp_path / "b.seg.nrrd").segments] == ["hippocampus"]


def secret_value(vr):
    return {"DA": "19700501", "DT": "19700501123456", "TM": "123456", "AS": "052Y"}.get(vr, SECRET)


def add_secrets(dataset, attributes):
    for tag, vr in attributes:
        if tag not in dataset:
            dataset.add_new(tag, vr, secret_value(vr))


def identifying():
    """Attributes that the package's table of the profile knows, of text and dates: (tag, VR)."""
    from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as edition

    known = {(tag[0] << 16) + tag[1] for tag in edition.ALL_TAGS if len(tag) == 2}
    wanted = TEXT | {"DA", "DT", "TM", "AS"}
    return [(tag, DicomDictionary[tag][0]) for tag in sorted(known)
            if tag in DicomDictionary and DicomDictionary[tag][0] in wanted and tag >> 16 > 2]


def slices(folder, count=3):
    """A series of single slices whose headers name the patient wherever they can, also in a sequence that is kept."""
    folder.mkdir()
    for number in range(count):
        data = header(stack(1), "1.2.840.10008.5.1.4.1.1.4", ImagePositionPatient=[0, 0, 2.0 * number],
                      ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1.0, 1.0], InstanceNumber=number + 1)
        data.SeriesInstanceUID, data.Modality = "1.2.3.4", "MR"
        add_secrets(data, identifying())
        item = Dataset()
        add_secrets(item, identifying()[:40])
        item.PatientName = SECRET
        data.add_new(0x00089215, "SQ", Sequence([item]))  # derivation code: kept, so looked into
        private = data.private_block(0x0099, f"{SECRET} Inc.", create=True)
        private.add_new(1, "LO", SECRET)
        save(data, folder / f"{SECRET}-{number}.dcm")
    return folder


def test_nothing_of_the_profile_is_left_in_dicom_files(tmp_path):
    source = slices(tmp_path / "in")
    assert len(identifying()) > 200
    rows = meddl.deidentify(source, tmp_path / "out")
    assert [row.target.relative_to(tmp_path / "out").as_posix() for row in rows] == [
        f"series_0001/{n:04d}.dcm" for n in (1, 2, 3)]
    before, after = meddl.load(source), meddl.load(tmp_path / "out")
    assert np.array_equal(before.data, after.data)
    np.testing.assert_allclose(after.affine, before.affine)
    read = [pydicom.dcmread(row.target) for row in rows]
    for row, dataset in zip(rows, read, strict=True):
        content = row.target.read_bytes()
        assert SECRET.encode() not in content and b"19700501" not in content and b"1.2.3.4\0" not in content
        assert dataset.PatientIdentityRemoved == "YES" and "Basic Application" in dataset.DeidentificationMethod
    assert len({one.SeriesInstanceUID for one in read}) == 1
    assert len({one.SOPInstanceUID for one in read}) == 3
    assert all(one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID for one in read)


def test_two_runs_cannot_be_joined_by_their_identifiers(tmp_path):
    source = slices(tmp_path / "in", 1)
    first, second = (pydicom.dcmread(meddl.deidentify(source, tmp_path / name)[0].target) for name in ("a", "b"))
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_an_enhanced_file_keeps_its_frames(tmp_path):
    write_enhanced(tmp_path / "a.dcm", stack(4), range(4))
    meddl.deidentify(tmp_path / "a.dcm", tmp_path / "b.dcm")
    before, after = meddl.load(tmp_path / "a.dcm"), meddl.load(tmp_path / "b.dcm")
    assert np.array_equal(before.data, after.data)
    np.testing.assert_allclose(after.affine, before.affine)


def test_pixels_that_may_show_text_are_named(tmp_path):
    data = header(stack(1), "1.2.840.10008.5.1.4.1.1.7")
    data.Modality = "SC"
    save(data, tmp_path / "a.dcm")
    row, = meddl.deidentify(tmp_path / "a.dcm", tmp_path / "b.dcm")
    assert "look at them" in row.notes[0]


def test_a_folder_gets_new_names_and_says_what_is_left_out(tmp_path, values):
    source = tmp_path / "in"
    (source / SECRET).mkdir(parents=True)
    write_secret(source / SECRET / f"{SECRET}.nii.gz", values)
    write_secret(source / f"{SECRET}.nrrd", values)
    (source / f"{SECRET}.json").write_text("{}")
    (source / "broken.nii").write_bytes(b"nothing")
    rows = meddl.deidentify(source, tmp_path / "out")
    made = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert len(made) == 2 and not any(SECRET in name for name in made)
    assert sorted(row.source.name for row in rows if row.target is None) == [f"{SECRET}.json", "broken.nii"]
    assert all(row.reason for row in rows if row.target is None)
    kept = meddl.deidentify(source, tmp_path / "named", keep_names=True)
    assert tmp_path / "named" / SECRET / f"{SECRET}.nii.gz" in [row.target for row in kept]


def test_bad_places_are_refused_with_nothing_written(tmp_path, values):
    write_secret(tmp_path / "a.nii.gz", values)
    before = (tmp_path / "a.nii.gz").read_bytes()
    with pytest.raises(InputError, match="would replace"):
        meddl.deidentify(tmp_path / "a.nii.gz", tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="lies in the folder"):
        meddl.deidentify(tmp_path, tmp_path / "new")
    with pytest.raises(InputError, match="does not exist"):
        meddl.deidentify(tmp_path / "nothing", tmp_path / "new")
    (tmp_path / "text.txt").write_text("a")
    with pytest.raises(InputError, match="is not de-identified"):
        meddl.deidentify(tmp_path / "text.txt", tmp_path / "b.txt")
    (tmp_path / "b.dcm").write_bytes(bytes(128) + b"DICM" + b"broken")
    with pytest.raises((FileFormatError, InputError)):
        meddl.deidentify(tmp_path / "b.dcm", tmp_path / "c.dcm")
    assert (tmp_path / "a.nii.gz").read_bytes() == before and not (tmp_path / "c.dcm").exists()


def test_a_dicom_file_is_not_written_under_another_formats_name(tmp_path):
    write_enhanced(tmp_path / "a.dcm", stack(4), range(4))
    with pytest.raises(InputError, match="a DICOM file stays one"):
        meddl.deidentify(tmp_path / "a.dcm", tmp_path / "b.nii.gz")
    assert not (tmp_path / "b.nii.gz").exists()


def test_two_files_that_would_get_one_name_do_not_replace_each_other(tmp_path, values):
    source = tmp_path / "in"
    source.mkdir()
    meddl.save(meddl.Volume.scalar(values, AFFINE), source / "a.mha")
    sitk.WriteImage(sitk.ReadImage(str(source / "a.mha")) + 1, str(source / "a.mhd"))
    rows = meddl.deidentify(source, tmp_path / "out", keep_names=True)
    assert [row.target is None for row in rows if row.source.suffix != ".raw"] == [False, True]
    assert np.array_equal(meddl.load(tmp_path / "out" / "a.mha").data[0], values)


def test_without_the_package_dicom_files_are_refused_with_its_name(tmp_path, monkeypatch):
    write_enhanced(tmp_path / "a.dcm", stack(4), range(4))
    monkeypatch.setattr("meddl.deidentification.dicom.importlib.util.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="pip install dicom-anonymizer"):
        meddl.deidentify(tmp_path / "a.dcm", tmp_path / "b.dcm")


def test_the_shell_does_the_same(tmp_path, values, capsys):
    source = tmp_path / "in"
    source.mkdir()
    write_secret(source / f"{SECRET}.nii.gz", values)
    (source / "note.txt").write_text(SECRET)
    assert run("deidentify", source, "-o", tmp_path / "out", "--table", tmp_path / "who.csv") == 1
    said = capsys.readouterr()
    assert "1 of 2 files de-identified" in said.out and "note.txt" in said.err
    assert f"{SECRET}.nii.gz" in (tmp_path / "who.csv").read_text(encoding="utf-8")
    assert run("deidentify", source / f"{SECRET}.nii.gz", "-o", tmp_path / "out" / "case_0001.nii.gz") == 2
    assert "--overwrite" in capsys.readouterr().err

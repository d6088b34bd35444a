"""Which DICOM series and parts of series there are, and which is read."""

import shutil

import numpy as np
import pytest
from dicom_files import DISTANCE, header, position, save, stack, write_slices

from meddl import io
from meddl.core.errors import FileFormatError, FileWarning, InputError
from meddl.io.dicom import series_in


def values_of(volume):
    """As written: (slices, rows, columns)."""
    return volume.data[0].transpose(2, 1, 0)


def test_copies_of_files_are_left_out_and_named(tmp_path):
    values = stack(6)
    write_slices(tmp_path, values)
    shutil.copy(tmp_path / "2.dcm", tmp_path / "2 (1).dcm")
    shutil.copytree(tmp_path, tmp_path / "again", ignore=shutil.ignore_patterns("again"))
    with pytest.warns(FileWarning, match="8 files are copies"):
        assert np.array_equal(values_of(io.load(tmp_path)), values)


def test_slices_of_one_place_and_identity_that_differ_are_no_copies(tmp_path):
    write_slices(tmp_path, stack(4), SOPInstanceUID="1.2.3.4.5")
    save(header(stack(1)[0] + 7, SOPInstanceUID="1.2.3.4.5", InstanceNumber=9, ImagePositionPatient=position(1),
                ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0], PixelSpacing=[1.25, 0.75]), tmp_path / "other.dcm")
    with pytest.raises(InputError, match=r"repetition 1 \(4 slices\); 1: repetition 2 \(1 slices\)"):
        io.load(tmp_path)


def test_nested_folders_of_patient_and_study_are_looked_through(tmp_path):
    values = stack(5)
    write_slices(tmp_path / "PATIENT" / "STUDY", values)
    (tmp_path / "PATIENT" / "notes.txt").write_text("nothing")
    assert np.array_equal(values_of(io.load(tmp_path)), values)


def test_a_series_whose_files_lie_in_several_folders_is_one(tmp_path):
    values = stack(6)
    write_slices(tmp_path / "a", values[:3])
    write_slices(tmp_path / "b", values[3:], places=(3, 4, 5))
    assert np.array_equal(values_of(io.load(tmp_path)), values)


def test_one_file_stands_for_its_series(tmp_path):
    values = stack(5)
    write_slices(tmp_path, values)
    write_slices(tmp_path, stack(3, seed=1), "other-{}", series="1.2.3.5")
    assert np.array_equal(values_of(io.load(tmp_path / "3.dcm")), values)


def test_series_are_listed_with_counts_and_chosen(tmp_path):
    first, second = stack(5), stack(3, seed=1)
    write_slices(tmp_path / "t1", first, SeriesDescription="T1")
    write_slices(tmp_path / "t2", second, series="1.2.3.5", SeriesDescription="T2")
    with pytest.raises(InputError, match=r"0: 1.2.3.4 \(T1, 5 slices\); 1: 1.2.3.5 \(T2, 3 slices\)"):
        io.load(tmp_path)
    assert np.array_equal(values_of(io.load(tmp_path, series=1)), second)
    assert np.array_equal(values_of(io.load(tmp_path, series="1.2.3.4")), first)


@pytest.mark.parametrize(("elements", "label"), [
    (lambda n: {"EchoTime": (4.5, 9.0)[n]}, "echo time 9 ms"),
    (lambda n: {"TemporalPositionIdentifier": n + 1}, "time point 2"),
    (lambda n: {"DiffusionBValue": 1000.0 * n}, "b-value 1000 s/mm2"),
    (lambda n: {"ImageType": ["ORIGINAL", "PRIMARY", "MP"[n]]}, "image type ORIGINAL/PRIMARY/P"),
    (lambda n: {"AcquisitionTime": f"10101{n}"}, "acquired at 101011"),
    (lambda n: {}, "repetition 2"),
])
def test_stacks_at_the_same_places_are_told_apart_and_chosen(tmp_path, elements, label):
    """Slices in the order of scanners that interleave: both stacks of one place, then of the next."""
    one, two = stack(4), stack(4, seed=1)
    both = np.stack([one, two], axis=1).reshape(8, *one.shape[1:])
    write_slices(tmp_path, both, places=[k // 2 for k in range(8)], each=lambda k: elements(k % 2),
                 SeriesDescription="several")
    with pytest.raises(InputError, match=rf"2 parts in one DICOM series.*1: {label} \(4 slices\)"):
        io.load(tmp_path)
    found = {number: values_of(io.load(tmp_path, component=number)) for number in (0, 1)}
    expected = (two, one) if "/P" in label and found[0][0, 0, 0] == two[0, 0, 0] else (one, two)
    assert np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1])
    assert io.load(tmp_path, "all").channels == 2
    with pytest.raises(InputError, match="component is a number from 0 to 1"):
        io.load(tmp_path, 2)
    (series,) = series_in(tmp_path)
    assert series.describe() == "1.2.3.4 (several, 2 parts of 4 slices)"


def test_traits_of_single_slices_do_not_divide_a_series(tmp_path):
    values = stack(6)
    write_slices(tmp_path, values, each=lambda k: {"AcquisitionTime": f"10101{k}", "TriggerTime": 10.0 * k,
                                                   "AcquisitionNumber": k % 2})
    assert np.array_equal(values_of(io.load(tmp_path)), values)


def test_a_localizer_within_a_series_is_a_part_of_its_own(tmp_path):
    values = stack(6)
    write_slices(tmp_path, values)
    for n, directions in enumerate(([1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])):
        save(header(stack(1)[0], InstanceNumber=90 + n, ImagePositionPatient=[0, 0, 0], PixelSpacing=[1.25, 0.75],
                    ImageOrientationPatient=directions), tmp_path / f"localizer-{n}.dcm")
    with pytest.raises(InputError, match=r"axial 9 x 7 \(6 slices\).*coronal 9 x 7 \(1 slices\).*sagittal"):
        io.load(tmp_path)
    assert np.array_equal(values_of(io.load(tmp_path, 0)), values)
    with pytest.raises(InputError, match="do not lie on one grid"):
        io.load(tmp_path, "all")


def test_a_missing_slice_is_counted_and_placed(tmp_path):
    write_slices(tmp_path, stack(6), places=(0, 1, 2, 5, 6, 7))
    with pytest.raises(FileFormatError, match="2 slices are missing among 6, after the slice number 3"):
        io.load(tmp_path)


def test_positions_rounded_to_tenths_are_even_enough(tmp_path):
    write_slices(tmp_path, stack(9), each=lambda k: {"ImagePositionPatient": [0, 0, round(0.625 * k, 1)],
                                                     "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]})
    assert abs(io.load(tmp_path).spacing_mm[2] - 0.625) < 0.01


def test_slices_without_a_place_are_taken_as_counted_with_a_warning(tmp_path):
    values = stack(4)
    write_slices(tmp_path, values, "{}", ImagePositionPatient=None, ImageOrientationPatient=None, SliceThickness=3.0,
                 each=lambda k: {"InstanceNumber": 40 - k})
    with pytest.warns(FileWarning, match="does not state where its slices lie"):
        volume = io.load(tmp_path)
    assert np.array_equal(values_of(volume), values[::-1])
    assert np.allclose(volume.spacing_mm, [0.75, 1.25, 3.0])


def test_space_and_thickness_are_those_of_the_series(tmp_path):
    write_slices(tmp_path / "below", stack(4), SliceThickness=2.25)
    assert io.slice_thickness_mm(tmp_path) == 2.25
    assert io.frame_of_reference(tmp_path / "below" / "1.dcm") == "1.2.9"
    assert abs(io.load(tmp_path).spacing_mm[2] - DISTANCE) < 1e-6

"""A folder is looked through: volumes, DICOM series, channels of one case, and what is no case."""

import re
import sys

import numpy as np
import pytest
from dicom_files import stack, write_slices
from dicom_folders import put_dicom

import meddl
from meddl.core.errors import InputError
from meddl.jobs.cases import find_cases
from meddl.spatial.volume import Volume


def put(path, shape=(4, 5, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meddl.save(Volume.scalar(np.ones(shape, np.int16), np.eye(4)), path)




def names(cases) -> list[str]:
    return [case.name for case in cases]


def test_volumes_are_found_in_all_folders_in_the_order_of_their_numbers(tmp_path):
    for name in ("case10.nii.gz", "case2.nrrd", "deep/er/x.mha", ".hidden/y.nii", "out/z.nii.gz", "case2.seg.nrrd"):
        put(tmp_path / name) if "seg" not in name else (tmp_path / name).write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("no volume")
    cases, unused = find_cases([tmp_path], leave_out=tmp_path / "out")
    assert names(cases) == ["case2", "case10", "deep/er/x"]
    assert cases[0].files == (str(tmp_path / "case2.nrrd"),)
    assert [why for _, why in unused] == ["a segmentation"]


def test_files_that_differ_in_their_suffix_alone_are_two_cases(tmp_path):
    put(tmp_path / "a.nii.gz")
    put(tmp_path / "a.nrrd")
    assert names(find_cases([tmp_path])[0]) == ["a-nii-gz", "a-nrrd"]


def test_dicom_series_are_cases_and_a_single_slice_is_none(tmp_path):
    put_dicom(tmp_path / "patient" / "t1", "1.2.840.1", 3)
    put_dicom(tmp_path / "mixed", "1.2.840.2", 4, "T2 axial", "5")
    put_dicom(tmp_path / "mixed", "1.2.840.3", 3, "FLAIR", "7")
    put_dicom(tmp_path / "scout", "1.2.840.4", 1)
    cases, unused = find_cases([tmp_path])
    assert names(cases) == ["mixed/5-T2_axial", "mixed/7-FLAIR", "patient/t1"]
    assert meddl.load(cases[0].files[0], series=cases[0].series).shape == (6, 5, 4)
    assert len(unused) == 1 and "single slice" in unused[0][1]


def test_echoes_of_a_series_are_cases_and_a_broken_file_fails_its_own(tmp_path):
    write_slices(tmp_path / "two", np.concatenate([stack(3), stack(3, seed=1)]), places=(0, 1, 2) * 2,
                 each=lambda k: {"EchoTime": (4.5, 9.0)[k // 3]}, SeriesDescription="T2 map")
    write_slices(tmp_path / "bad", stack(3), series="1.2.3.5")
    broken = tmp_path / "bad" / "1.dcm"
    broken.write_bytes(re.sub(rb"DS..", b"DS\xff\xf6", broken.read_bytes(), count=1))
    cases, _ = find_cases([tmp_path])
    assert names(cases) == ["bad", "two/3-T2_map-echo_time_4.5_ms", "two/3-T2_map-echo_time_9_ms"]
    assert "1.dcm" in cases[0].problem
    assert [case.component for case in cases] == [None, 0, 1]
    volume = meddl.load(cases[2].files[0], cases[2].component, cases[2].series)
    assert np.array_equal(volume.data[0].transpose(2, 1, 0), stack(3, seed=1))


def test_a_folder_of_one_dicom_series_is_a_case_of_its_name(tmp_path):
    put_dicom(tmp_path / "scan", "1.2.840.1", 3)
    assert names(find_cases([tmp_path / "scan"])[0]) == ["scan"]


def test_files_named_as_nnunet_names_them_are_the_channels_of_a_case(tmp_path):
    for name in ("a_0000", "a_0001", "b_0000", "c_0000", "c_0001", "c_0002", "whole"):
        put(tmp_path / f"{name}.nii.gz")
    cases, _ = find_cases([tmp_path], ("T1", "T2"))
    assert names(cases) == ["a", "b", "c", "whole"]
    assert [file[-11:] for file in cases[0].files] == ["a_0000.nii.gz"[-11:], "a_0001.nii.gz"[-11:]]
    assert cases[0].problem == "" and cases[3].problem == ""
    assert "b_0001 (T2) is missing" in cases[1].problem
    assert "no place for c_0002" in cases[2].problem


def test_for_one_channel_each_file_is_a_case(tmp_path):
    for name in ("a_0000", "b_0000", "b_0001"):
        put(tmp_path / f"{name}.nii.gz")
    assert names(find_cases([tmp_path])[0]) == ["a", "b_0000", "b_0001"]


def test_files_and_folders_may_be_mixed_and_names_stay_apart(tmp_path):
    put(tmp_path / "one" / "a.nii.gz")
    put(tmp_path / "two" / "a.nii.gz")
    sources = [tmp_path / "one", tmp_path / "two" / "a.nii.gz", tmp_path / "one" / "a.nii.gz"]
    cases, _ = find_cases(sources)
    assert names(cases) == ["a", "a-2"]
    assert {case.files[0] for case in cases} == {str(tmp_path / place / "a.nii.gz") for place in ("one", "two")}
    with pytest.raises(InputError, match="does not exist"):
        find_cases([tmp_path / "gone"])


def test_the_state_of_a_case_changes_with_its_file(tmp_path):
    put(tmp_path / "a.nii.gz")
    before = find_cases([tmp_path])[0][0].state
    assert find_cases([tmp_path])[0][0].state == before
    put(tmp_path / "a.nii.gz", (5, 5, 5))
    assert find_cases([tmp_path])[0][0].state != before


@pytest.mark.skipif(sys.platform == "win32", reason="not everybody may make links there")
def test_links_are_followed_once_and_dead_ones_are_told(tmp_path):
    put(tmp_path / "in" / "a.nii.gz")
    put(tmp_path / "elsewhere" / "b.nii.gz")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "dead.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    cases, _ = find_cases([tmp_path / "in"])
    assert names(cases) == ["a", "dead", "more/b"]
    assert "cannot be read" in cases[1].problem

"""Data sets are found as they lie in a folder, and each case belongs to a patient."""

import json

import numpy as np
import pytest
from labeled_phantoms import ball_case, put, write_folders, write_nnunet_raw

from meddl.core.errors import InputError
from meddl.io import save
from meddl.spatial.volume import Volume
from meddl.training.supervised.data.discovery import find_dataset


def test_two_folders_are_matched_by_name_and_the_rest_is_named(tmp_path):
    images, labels = write_folders(tmp_path, 2)
    put(tmp_path, "alone", ball_case(7)[0], None)
    (labels / "case_1.nii.gz").rename(labels / "case_1_seg.nii.gz")
    save(ball_case(8)[1], labels / "other.nii.gz")
    for found in (find_dataset(images, labels), find_dataset(tmp_path)):
        assert [case.name for case in found.cases] == ["case_0", "case_1"]
        assert [case.labels.name for case in found.cases] == ["case_0.nii.gz", "case_1_seg.nii.gz"]
        assert sorted(text.split(":")[0] for text in found.unused) == ["alone", "other.nii.gz"]


def test_several_files_of_a_case_are_its_channels(tmp_path):
    image, labels = ball_case(0)
    for n in range(2):
        put(tmp_path, f"a_{n:04d}", image, None)
    put(tmp_path, "a", None, labels)
    found = find_dataset(tmp_path)
    assert [path.name for path in found.cases[0].images] == ["a_0000.nii.gz", "a_0001.nii.gz"]
    assert len(found.channels) == 2


def test_nnunet_names_channels_structures_regions_and_what_does_not_count(tmp_path):
    plain = find_dataset(write_nnunet_raw(tmp_path / "a", {"background": 0, "shell": 1, "core": 2, "ignore": 3}))
    assert (plain.name, plain.layout) == ("Balls", "nnU-Net raw data")
    assert plain.channels == ("T1", "T2")
    assert plain.structures == {"shell": (1,), "core": (2,)}
    assert (plain.ignore, plain.order) == (3, ())
    assert [len(case.images) for case in plain.cases] == [2, 2, 2]
    regions = find_dataset(write_nnunet_raw(tmp_path / "b", {"background": 0, "ball": [1, 2], "core": [2]},
                                            regions_class_order=[1, 2]))
    assert regions.structures == {"ball": (1, 2), "core": (2,)}
    assert regions.order == (1, 2)
    with pytest.raises(InputError, match="regions_class_order"):
        find_dataset(write_nnunet_raw(tmp_path / "c", {"background": 0, "ball": [1, 2], "core": 2}))


def test_the_decathlon_lists_its_cases(tmp_path):
    image, labels = ball_case(0)
    put(tmp_path, "x", image, labels)
    (tmp_path / "dataset.json").write_text(json.dumps({
        "name": "Balls", "modality": {"0": "MR"}, "labels": {"0": "background", "1": "shell", "2": "core"},
        "training": [{"image": f"./images/{n}.nii.gz", "label": f"./labels/{n}.nii.gz"} for n in "xy"]}))
    found = find_dataset(tmp_path)
    assert (found.layout, found.channels) == ("Medical Segmentation Decathlon", ("MR",))
    assert found.structures == {"shell": (1,), "core": (2,)}
    assert [case.name for case in found.cases] == ["x"]
    assert "y.nii.gz" in found.unused[0]


def test_bids_matches_derivatives_by_subject_session_and_suffix(tmp_path):
    image, labels = ball_case(0)
    for subject in ("01", "02"):
        for session in ("a", "b"):
            raw = tmp_path / f"sub-{subject}" / f"ses-{session}" / "anat"
            derived = tmp_path / "derivatives" / "manual" / raw.relative_to(tmp_path)
            raw.mkdir(parents=True)
            derived.mkdir(parents=True)
            stem = f"sub-{subject}_ses-{session}"
            save(image, raw / f"{stem}_T1w.nii.gz")
            save(image, raw / f"{stem}_FLAIR.nii.gz")
            if (subject, session) != ("02", "b"):
                save(labels, derived / f"{stem}_desc-lesion_dseg.nii.gz")
    (tmp_path / "derivatives" / "manual" / "desc-lesion_dseg.tsv").write_text("index\tname\n1\tshell\n2\tcore\n")
    found = find_dataset(tmp_path)
    assert found.channels == ("FLAIR", "T1w")
    assert [case.name for case in found.cases] == ["sub-01_ses-a", "sub-01_ses-b", "sub-02_ses-a"]
    assert [case.patient for case in found.cases] == ["sub-01", "sub-01", "sub-02"]
    assert [path.name for path in found.cases[1].images] == ["sub-01_ses-b_FLAIR.nii.gz", "sub-01_ses-b_T1w.nii.gz"]
    assert found.structures == {"shell": (1,), "core": (2,)}


@pytest.mark.parametrize(("name", "pattern", "patient"), [
    ("liver_12", None, "liver_12"), ("p7_ses-02", None, "p7"), ("p7_visit2", None, "p7"),
    ("sub-x_T1w", None, "sub-x"),
    ("AB12-left", r"(\w+)-", "AB12"), ("AB12", r"\d+", "12")])
def test_the_patient_is_read_from_the_name(tmp_path, name, pattern, patient):
    put(tmp_path, name, *ball_case(0))
    assert find_dataset(tmp_path, patient=pattern).cases[0].patient == patient


def test_a_folder_without_a_data_set_says_what_was_expected(tmp_path):
    save(Volume.scalar(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"dataset\.json"):
        find_dataset(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        find_dataset(tmp_path / "none")
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        find_dataset(tmp_path)

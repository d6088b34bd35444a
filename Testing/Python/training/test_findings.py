"""Bad data is found before training, case by case, and said in words that help."""

import numpy as np
import pytest
from labeled_phantoms import AFFINE, SIZE, ball_case, put, write_folders, write_nnunet_raw

import meddl
from meddl import TrainConfig
from meddl.core.errors import InputError, OutOfMemoryError
from meddl.io import save, save_segmentation, save_series
from meddl.results import Segment, Segmentation
from meddl.spatial.volume import Volume
from meddl.training.supervised.data.cases import IGNORED, classes_of, load_case
from meddl.training.supervised.data.discovery import find_dataset
from meddl.training.supervised.data.inspection import Finding, inspect_dataset, split_by_patient
from meddl.training.supervised.plan import make_plan
from meddl.training.supervised.train import check_data


def found(folder, **options) -> list[Finding]:
    return list(check_data(folder, config=TrainConfig(**options)).findings)


def the_one(findings: list[Finding], severity: str, case: str, *words: str) -> None:
    assert [(one.severity, one.case) for one in findings] == [(severity, case)], findings
    assert all(word in findings[0].text for word in words), findings[0].text


def shifted(image, labels):
    moved = np.array(labels.affine)
    moved[0, 3] += 5
    return image, Volume(labels.data, moved)


def cut(image, labels):
    return image, Volume(labels.data[:, 2:], labels.affine)


def not_a_number(image, labels):
    data = image.data.copy()
    data[0, 3, 3, 3] = np.nan
    return Volume(data, image.affine), labels


def constant(image, labels):
    return Volume(np.full_like(image.data, 7), image.affine), labels


def copied(image, labels):
    return ball_case(0)[0], labels


BAD = {"elsewhere": (shifted, "5.0 mm"), "cut": (cut, "14 x 16 x 16", "16 x 16 x 16"),
       "nan": (not_a_number, "1 voxels", "NaN"), "constant": (constant, "constant"), "copy": (copied, "case_0")}


@pytest.mark.parametrize("kind", BAD)
def test_an_error_names_the_case_and_the_cause(tmp_path, kind):
    write_folders(tmp_path, 3)
    change, *words = BAD[kind]
    put(tmp_path, "zz_bad", *change(*ball_case(9)))
    the_one(found(tmp_path), "error", "zz_bad", *words)


def test_4d_and_damaged_files_are_errors_of_their_cases(tmp_path):
    images, _ = write_folders(tmp_path, 3)
    put(tmp_path, "zz_bad", *ball_case(9))
    save_series(ball_case(9, channels=4)[0], images / "zz_bad.nii.gz")
    the_one(found(tmp_path), "error", "zz_bad", "4D", "4 time points")
    (images / "zz_bad.nii.gz").write_bytes(b"no image")
    assert [(one.severity, one.case) for one in found(tmp_path)] == [("error", "zz_bad")]


def test_what_is_odd_about_labels_is_a_warning(tmp_path):
    write_folders(tmp_path, 3)
    image, labels = ball_case(9)
    put(tmp_path, "zz", image, Volume(np.zeros_like(labels.data), labels.affine))
    the_one(found(tmp_path), "warning", "zz", "empty")
    slip = np.zeros_like(labels.data)
    slip[0, 4:12, 4:12, 4:12] = 1
    slip[0, 15, 15, 3:6] = 2
    put(tmp_path, "zz", image, Volume(slip, labels.affine))
    assert any("only 3 voxels" in one.text and one.severity == "warning" for one in found(tmp_path))
    forgotten = labels.data.copy()
    middle = int(np.flatnonzero(forgotten.any(axis=(0, 1, 2))).mean())
    forgotten[..., middle] = 0
    put(tmp_path, "zz", image, Volume(forgotten, labels.affine))
    the_one(found(tmp_path), "warning", "zz", f"Slice {middle + 1} ", "along axis S")


def test_one_case_or_one_patient_or_no_label_at_all_is_too_little(tmp_path):
    write_folders(tmp_path / "one", 1)
    the_one(found(tmp_path / "one"), "error", "", "1 case ", "two are needed")
    for session in "ab":
        put(tmp_path / "patient", f"sub-1_ses-{session}", *ball_case(ord(session)))
    the_one(found(tmp_path / "patient"), "error", "", "one patient")
    for n in range(2):
        image, labels = ball_case(n)
        put(tmp_path / "empty", f"c{n}", image, Volume(np.zeros_like(labels.data), labels.affine))
    assert any(one.severity == "error" and "nothing to learn" in one.text for one in found(tmp_path / "empty"))


def test_values_without_a_name_are_errors_and_missing_structures_warnings(tmp_path):
    folder = write_nnunet_raw(tmp_path, {"background": 0, "shell": 1, "vessel": 5}, channels=("T1",))
    texts = [(one.severity, one.text) for one in found(folder)]
    assert sum(severity == "error" and "The label values 2 have no name" in text for severity, text in texts) == 3
    assert any(severity == "warning" and "vessel" in text for severity, text in texts)


def test_training_does_not_begin_with_errors_unless_their_cases_are_left_out(tmp_path):
    images, labels = write_folders(tmp_path, 3)
    put(tmp_path, "zz_bad", *not_a_number(*ball_case(9)))
    with pytest.raises(InputError, match="zz_bad.*NaN.*--leave-out"):
        meddl.train(images, labels, out=tmp_path / "run", config=TrainConfig(steps=1))
    assert "zz_bad" in (tmp_path / "run" / "findings.txt").read_text()
    assert (tmp_path / "run" / "findings.png").stat().st_size > 1000
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    inspection = check_data(images, labels)
    assert [case.name for case in inspection.dataset.cases] == ["case_0", "case_1", "case_2"]


def test_too_little_memory_is_said_before_training(tmp_path):
    inspection = check_data(*write_folders(tmp_path, 2))
    with pytest.raises(OutOfMemoryError, match="memory"):
        make_plan(inspection, TrainConfig(), "cpu", 1000)
    with pytest.raises(OutOfMemoryError, match=r"64 patches.*GB"):
        make_plan(inspection, TrainConfig(batch=64), "cpu", 200 << 20)


def test_segments_are_matched_by_name_whatever_their_values(tmp_path):
    (tmp_path / "labels").mkdir()
    for n, values in enumerate(((1, 2), (2, 1), (7, 4))):
        image, labels = ball_case(n)
        put(tmp_path, f"c{n}", image, None)
        own = np.array([0, *values], dtype=np.uint8)[labels.data[0]]
        segments = tuple(Segment(value, name, (1.0, 0.0, 0.0)) for value, name in zip(values, ("Shell", "core"),
                                                                                      strict=True))
        save_segmentation(Segmentation(own, AFFINE, segments), tmp_path / "labels" / f"c{n}.seg.nrrd")
    inspection = check_data(tmp_path)
    assert not inspection.findings
    assert inspection.structures.names == ("Shell", "core")
    assert inspection.structures.values == (1, 2)


def test_only_painted_slices_count_if_asked_for(tmp_path):
    labels = ball_case(0)[1].data[0].copy()
    painted = np.zeros(SIZE, dtype=bool)
    painted[[5, 8, 11]] = True
    labels[..., ~painted] = 0
    for n in range(2):
        put(tmp_path, f"c{n}", ball_case(n)[0], Volume.scalar(labels, AFFINE))
    findings = found(tmp_path)
    assert all(one.severity == "warning" and "3 of 7 axial slices" in one.text for one in findings)
    structures = check_data(tmp_path).structures
    assert not (classes_of(labels, structures) == IGNORED).any()
    ignored = (classes_of(labels, structures, painted_slices=True) == IGNORED).all(axis=(0, 1))
    assert np.array_equal(ignored, ~painted)


def test_a_patient_is_on_one_side_of_the_split_and_each_once_over_the_folds(tmp_path):
    for patient in range(5):
        for visit in range(2):
            put(tmp_path, f"p{patient}_visit{visit}", *ball_case(10 * patient + visit))
    inspection = check_data(tmp_path)
    held_out = []
    for fold in range(3):
        sides = split_by_patient(inspection, fold, 3, seed=4)
        patients = [{name.split("_")[0] for name in side} for side in sides]
        assert not patients[0] & patients[1]
        assert len(sides[0]) + len(sides[1]) == 10
        held_out += sorted(patients[1])
    assert sorted(held_out) == [f"p{n}" for n in range(5)]
    assert split_by_patient(inspection, 0, 3, 4) == split_by_patient(inspection, 0, 3, 4)
    with pytest.raises(InputError, match="0 to 2"):
        split_by_patient(inspection, 3, 3, 4)


def test_a_channel_that_lies_elsewhere_is_brought_to_the_first_ones_grid(tmp_path):
    image, labels = ball_case(0)
    finer = Volume.scalar(np.repeat(np.repeat(np.repeat(image.data[0], 2, 0), 2, 1), 2, 2),
                          np.array([[0.5, 0, 0, -0.25], [0, 0.5, 0, -0.25], [0, 0, 0.5, -0.25], [0, 0, 0, 1]]))
    for n in range(2):
        put(tmp_path, f"a{n}_0000", ball_case(n)[0], None)
        put(tmp_path, f"a{n}", None, labels)
        save(finer if n else image, tmp_path / "images" / f"a{n}_0001.nii.gz")



    dataset = find_dataset(tmp_path)
    volume, _, _ = load_case(dataset.cases[1], dataset)
    assert volume.data.shape == (2, SIZE, SIZE, SIZE)
    np.testing.assert_allclose(volume.data[1], image.data[0], atol=1e-3)
    assert not [one for one in inspect_dataset(dataset).findings if one.severity == "error"]

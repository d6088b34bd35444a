"""`meddl compare`: files and folders, tables, CSV, errors."""

import csv
import json

import numpy as np
import pytest
from scipy import stats

import meddl
from meddl.cli import main
from meddl.spatial.volume import Volume

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def labels(shift=0):
    array = np.zeros((16, 14, 12), np.uint8)
    array[3 + shift:9 + shift, 3:9, 3:9] = 1
    array[11:14, 4:8, 4:8] = 2
    return Volume.scalar(array, AFFINE)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_two_label_maps(tmp_path, capsys):
    meddl.save(labels(1), tmp_path / "a.nii.gz")
    meddl.save(labels(), tmp_path / "b.nii.gz")
    assert main(["compare", str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "-o", str(tmp_path / "out.csv"),
                 "--errors", str(tmp_path / "errors.seg.nrrd"), "--report", str(tmp_path / "report.json")]) == 0
    printed = capsys.readouterr().out
    assert "Label 1" in printed and "Dice" in printed and "region: grid" in printed
    rows = read(tmp_path / "out.csv")
    assert [float(row["dice"]) for row in rows] == pytest.approx([5 / 6, 1])
    assert float(rows[0]["hausdorff_mm"]) == 1
    errors = meddl.load_segmentation(tmp_path / "errors.seg.nrrd")
    assert np.bincount(errors.labels.ravel())[1:].tolist() == [36, 36]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["rows"][0]["dice"] == pytest.approx(5 / 6) and report["region"] == "grid"


def test_two_images(tmp_path, capsys):
    random = np.random.default_rng(0)
    image = random.normal(size=(16, 14, 12)).astype(np.float32) * 100
    meddl.save(Volume.scalar(image, AFFINE), tmp_path / "b.nrrd")
    meddl.save(Volume.scalar(image + 2, AFFINE), tmp_path / "a.nrrd")
    assert main(["compare", str(tmp_path / "a.nrrd"), str(tmp_path / "b.nrrd"), "-o", str(tmp_path / "out.csv"),
                 "--errors", str(tmp_path / "difference.nrrd")]) == 0
    assert "PSNR" in capsys.readouterr().out
    assert float(read(tmp_path / "out.csv")[0]["mae"]) == pytest.approx(2, abs=1e-3)
    assert np.allclose(meddl.load(tmp_path / "difference.nrrd").scalar_data, 2, atol=1e-3)


def test_two_folders_with_the_worst_case_first(tmp_path, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    for number, shift in enumerate((0, 2, 1)):
        meddl.save(labels(shift), tmp_path / "a" / f"case{number}.nii.gz")
        meddl.save(labels(), tmp_path / "b" / f"case{number}.nrrd")
    meddl.save(labels(), tmp_path / "b" / "alone.nrrd")
    (tmp_path / "a" / "broken.nrrd").write_bytes(b"NRRD0004\n")
    meddl.save(labels(), tmp_path / "b" / "broken.nrrd")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(tmp_path / "rows.csv"),
                 "--summary", str(tmp_path / "summary.csv")]) == 0
    shown = capsys.readouterr()
    assert "alone.nrrd" in shown.err and "broken" in shown.err
    rows = read(tmp_path / "rows.csv")
    assert [row["case"] for row in rows] == ["broken", *["case1"] * 2, *["case2"] * 2, *["case0"] * 2]
    (dice,) = [row for row in read(tmp_path / "summary.csv")
               if (row["structure"], row["figure"]) == ("Label 1", "dice")]
    figures = [1, 4 / 6, 5 / 6]
    assert float(dice["mean"]) == pytest.approx(np.mean(figures)) and float(dice["sd"]) == pytest.approx(
        np.std(figures, ddof=1))
    assert (float(dice["low_95"]), float(dice["high_95"])) == pytest.approx(stats.t.interval(
        0.95, 2, np.mean(figures), stats.sem(figures)))


def test_two_transforms(tmp_path, capsys):
    from meddl.spatial.transform import Transform

    shift = np.eye(4)
    shift[:3, 3] = 3, 0, 4
    for name, affine in (("a", shift), ("b", np.eye(4))):
        meddl.io.save_transform(Transform(affine, None, None), tmp_path / f"{name}.tfm")
    meddl.save(labels(), tmp_path / "fixed.nii.gz")
    pair = [str(tmp_path / "a.tfm"), str(tmp_path / "b.tfm")]
    assert main(["compare", *pair]) == 2
    assert "fixed volume" in capsys.readouterr().err
    assert main(["compare", *pair, "--fixed", str(tmp_path / "fixed.nii.gz")]) == 0
    assert "mean distance 5 mm" in capsys.readouterr().out


def test_a_file_and_a_folder_are_refused(tmp_path, capsys):
    meddl.save(labels(), tmp_path / "a.nii.gz")
    assert main(["compare", str(tmp_path / "a.nii.gz"), str(tmp_path)]) == 2
    assert "one of each" in capsys.readouterr().err


def test_probabilities_against_a_label_map_with_their_curve(tmp_path, capsys):
    reference = labels()
    noise = np.random.default_rng(0).random(reference.shape).astype(np.float32)
    scores = 0.5 * noise + np.float32(0.4) * (reference.scalar_data > 0)
    meddl.save(Volume.scalar(scores, AFFINE), tmp_path / "p.nrrd")
    meddl.save(reference, tmp_path / "b.nrrd")
    assert main(["compare", str(tmp_path / "p.nrrd"), str(tmp_path / "b.nrrd"), "--region", "box",
                 "--roc", str(tmp_path / "roc.csv"), "--report", str(tmp_path / "report.json")]) == 0
    printed = capsys.readouterr().out
    assert "AUC" in printed and "region: box" in printed
    curve = read(tmp_path / "roc.csv")
    area = np.trapezoid([float(row["sensitivity"]) for row in curve],
                        [float(row["false_positive_rate"]) for row in curve])
    assert json.loads((tmp_path / "report.json").read_text())["auc"] == pytest.approx(area, abs=2e-3)
    assert main(["compare", str(tmp_path / "b.nrrd"), str(tmp_path / "b.nrrd"), "--roc", str(tmp_path / "x.csv")]) == 2


def test_landmarks_under_a_transform(tmp_path, capsys):
    rows = [("a", 1.0, 2.0, 3.0), ("b", 4.0, 5.0, 9.0)]
    for name, shift in (("fixed", 0.0), ("moving", 3.0)):
        (tmp_path / f"{name}.csv").write_text("label,r,a,s\n" + "".join(
            f"{label},{r + shift},{a},{s}\n" for label, r, a, s in rows))
    matrix = np.eye(4)
    matrix[0, 3] = 2.0
    meddl.Registration(matrix, None, None).save(tmp_path / "t.tfm")
    assert main(["compare", str(tmp_path / "fixed.csv"), str(tmp_path / "moving.csv"), "--transform",
                 str(tmp_path / "t.tfm"), "-o", str(tmp_path / "tre.csv")]) == 0
    assert "mean distance 1 mm" in capsys.readouterr().out
    assert [(row["point"], float(row["distance_mm"])) for row in read(tmp_path / "tre.csv")] == [("a", 1), ("b", 1)]

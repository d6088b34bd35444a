"""A model on the user's own volumes and labels: figures, tables, card, cases that fail."""

import csv
import json

import numpy as np
import pytest
from small_models import AFFINE, EXACT, models, put  # noqa: F401

import meddl
from meddl.cli import main
from meddl.core.errors import InputError
from meddl.evaluation.labeled_folders import evaluate_folders, markdown
from meddl.models.cards import load_card
from meddl.spatial.volume import Volume


@pytest.fixture
def cases(tmp_path, models):
    """Two volumes; the labels of "a" are the model's own, those of "b" are moved by two voxels."""
    (tmp_path / "labels").mkdir()
    for number, name in enumerate("ab"):
        put(tmp_path / "images" / f"{name}.nii.gz", number)
        found = meddl.segment(meddl.load(tmp_path / "images" / f"{name}.nii.gz"), "one", EXACT, device="cpu")
        labels = np.roll(found.labels, 2 * number, axis=0)
        meddl.save(Volume.scalar(labels, found.affine), tmp_path / "labels" / f"{name}.nii.gz")
    return tmp_path


def evaluate(cases, **more):
    return evaluate_folders("one", cases / "images", cases / "labels", cases / "out", config=EXACT, device="cpu",
                            **more)


def test_figures_are_those_of_a_comparison_with_the_worst_case_first(cases):
    content = evaluate(cases)
    assert {row["case"] for row in content["rows"]} == {"a", "b"} and content["rows"][0]["case"] == "b"
    assert all(row["dice"] == 1 for row in content["rows"] if row["case"] == "a")
    first = content["rows"][0]["structure"]
    dice = {row["case"]: row["dice"] for row in content["rows"] if row["structure"] == first}
    (mean,) = [one["mean"] for one in content["summary"] if (one["structure"], one["figure"]) == (first, "dice")]
    assert mean == pytest.approx((dice["a"] + dice["b"]) / 2)
    with (cases / "out" / "segmentation.csv").open(newline="") as file:
        assert [row["case"] for row in csv.DictReader(file)] == [row["case"] for row in content["rows"]]
    assert json.loads((cases / "out" / "segmentation.json").read_text())["rows"] == content["rows"]
    assert f"| {first} | 2 |" in markdown(content) and "Worst cases: b, a" in markdown(content)


def test_a_case_that_fails_or_has_no_labels_is_named(cases):
    (cases / "images" / "broken.nii.gz").write_bytes(b"no image")
    (cases / "labels" / "b.nii.gz").unlink()
    content = evaluate(cases)
    assert "broken" in content["failed"] and any("b.seg.nrrd" in file for file in content["unmatched"])
    assert {row["case"] for row in content["rows"]} == {"a"}


def test_labels_of_other_names_are_refused(cases):
    for file in list((cases / "labels").iterdir()):
        file.rename(file.with_name(f"x{file.name}"))
    with pytest.raises(InputError, match="has the name of one"):
        evaluate(cases)


def test_the_command_writes_the_tables_and_the_card(cases, models, capsys):
    assert main(["evaluate", "segmentation", "--model", "one", "--images", str(cases / "images"),
                 "--labels", str(cases / "labels"), "--out", str(cases / "out"), "--device", "cpu",
                 "--update-card"]) == 0
    assert "segmentation.md" in capsys.readouterr().out
    accuracy = load_card(models.folder("one") / "card.json").accuracy
    assert accuracy and all(one.case == "images (2 cases)" and one.metric == "Dice" for one in accuracy)
    assert "meddl evaluate segmentation --model one" in accuracy[0].command
    assert main(["evaluate", "segmentation", "--images", str(cases / "images")]) == 2
    assert main(["evaluate", "segmentation"]) == 2

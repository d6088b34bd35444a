"""Rounds of active learning: the rest is segmented, the least certain first, and corrected cases are trained on."""

import csv
import shutil

import numpy as np
import pytest
from labeled_phantoms import ball_case, put, write_folders

import meddl
from meddl import TrainConfig
from meddl.active_learning.rest import sort_by_certainty
from meddl.cli import main
from meddl.core.errors import InputError
from meddl.jobs.summary import Row
from meddl.models.store.store import ModelStore
from meddl.training.supervised import plan
from meddl.training.supervised.data.discovery import unlabeled_files

QUICK = {"network": "unet", "patch_voxels": (16, 16, 16), "batch": 2}


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Models of few channels, in a store of their own."""
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "FEATURES", (8, 16, 16, 16, 16, 16))


def add_unlabeled(folder, numbers=(5, 6)):
    for n in numbers:
        put(folder, f"case_{n}", ball_case(n)[0], None)


def test_files_without_a_label_map_are_found_in_each_layout(tmp_path):
    images, labels = write_folders(tmp_path, 2)
    add_unlabeled(tmp_path)
    wanted = (images / "case_5.nii.gz", images / "case_6.nii.gz")
    assert unlabeled_files(images, labels) == unlabeled_files(tmp_path) == wanted
    with pytest.raises(InputError, match="Give both folders"):
        unlabeled_files(images)


def test_the_least_certain_comes_first_and_what_failed_last():
    rows = [Row("sure", "done", volumes_ml={"a": 1.0}, confidence={"a": 0.9}), Row("broken", "failed"),
            Row("empty", "done"), Row("unsure", "kept", volumes_ml={"a": 1.0}, confidence={"a": 0.6})]
    assert [row.case for row in sort_by_certainty(rows)] == ["empty", "unsure", "sure", "broken"]


def test_two_rounds_hold_out_the_same_cases_and_the_card_counts_their_dice(tmp_path):
    images, labels = write_folders(tmp_path, 3)
    add_unlabeled(tmp_path)
    first = meddl.train(images, labels, out=tmp_path / "one", name="Balls", device="cpu",
                        config=TrainConfig(steps=40, learning_rate=4e-3, **QUICK))
    assert first.card.version == "1.0.0" and first.card.training.round_cases == (2,)

    rest = meddl.segment_rest(images, labels, output=tmp_path / "rest", model="balls", device="cpu")
    certain = [row.mean_confidence for row in rest.rows]
    assert {row.case for row in rest.rows} == {"case_5", "case_6"} and certain == sorted(certain)
    assert certain[0] > 0.34 and certain[-1] < 1
    text = (tmp_path / "rest" / "summary.csv").read_text(encoding="utf-8").splitlines()
    assert text[1].startswith(rest.rows[0].case)

    name = rest.rows[0].case
    shutil.move(tmp_path / "rest" / f"{name}.seg.nrrd", labels)  # as the user leaves it after correction
    second = meddl.train(images, labels, out=tmp_path / "two", name="Balls", device="cpu",
                         config=TrainConfig(steps=4, continue_from="balls", batch=2))
    assert second.held_out == first.held_out and set(second.training) == {*first.training, name}
    training = ModelStore().card("balls").training
    assert training.round_cases == (2, 3) and len(training.round_dice) == 2
    assert training.held_out == first.card.training.held_out and second.card.version == "1.1.0"
    assert training.round_dice[1] == pytest.approx(np.mean([one.value for one in second.card.accuracy]), abs=1e-4)
    assert "--continue-from balls" in training.command


def test_a_round_without_the_cases_of_the_last_one_is_refused(tmp_path):
    images, labels = write_folders(tmp_path, 3)
    config = TrainConfig(steps=1, **QUICK)
    first = meddl.train(images, labels, out=tmp_path / "one", name="Balls", device="cpu", config=config)
    for folder in (images, labels):
        (folder / f"{first.held_out[0]}.nii.gz").unlink()
    add = TrainConfig(steps=1, continue_from="balls", batch=1)
    with pytest.raises(InputError, match="None of them is in the data set"):
        meddl.train(images, labels, out=tmp_path / "two", config=add, device="cpu")
    with pytest.raises(InputError, match="does not say what it was validated with"):
        meddl.train(images, labels, out=tmp_path / "three", config=TrainConfig(continue_from="brain"), device="cpu")
    with pytest.raises(InputError, match="one model to go on from"):
        meddl.train(images, labels, out=tmp_path / "three", device="cpu",
                    config=TrainConfig(continue_from="balls", start="brain"))


def test_the_shell_lists_the_rest(tmp_path, capsys):
    images, labels = write_folders(tmp_path, 3)
    add_unlabeled(tmp_path)
    meddl.train(images, labels, out=tmp_path / "one", name="Balls", device="cpu",
                config=TrainConfig(steps=20, learning_rate=4e-3, **QUICK))
    words = ["train", "rest", "--images", str(images), "--labels", str(labels), "--model", "balls", "--device", "cpu",
             "--out", str(tmp_path / "rest")]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "rest" / "summary.csv")
    with (tmp_path / "rest" / "summary.csv").open(encoding="utf-8") as stream:
        certain = [float(row["confidence"]) for row in csv.DictReader(stream)]
    assert certain == sorted(certain) and len(certain) == 2
    for n in (5, 6):
        shutil.copy(tmp_path / "rest" / f"case_{n}.seg.nrrd", labels)
    assert main(words) == 2 and "nothing left" in capsys.readouterr().err

"""Evaluation: the numbers are those of the metrics, and they land in table and card."""

import argparse
import json
from shutil import copytree

import numpy as np
import pytest

import meddl
from meddl import samples
from meddl.core.errors import InputError
from meddl.core.paths import resources_folder
from meddl.evaluation import segmentation
from meddl.models.cards import load_card
from meddl.spatial.volume import Volume

NAMES = {2: "left white", 24: "csf", 5: "left horn", 41: "right white"}


def test_a_perfect_answer_scores_one_and_the_mask_leaves_fluid_out():
    truth = np.zeros((6, 6, 6), np.uint16)
    truth[:2], truth[2:3], truth[3:4], truth[4] = 2, 41, 24, 77
    found = np.where(truth == 77, 2, truth)
    rows = {m.structure: m.dice for m in segmentation.compare_labels(found, truth, NAMES, "x")}
    assert rows[segmentation.BRAIN] == 1.0
    assert rows["right white"] == 1.0
    assert rows["left white"] == pytest.approx(2 * 72 / (72 + 108), abs=1e-4)
    assert rows[segmentation.MEAN_LARGE] == pytest.approx((1 + rows["left white"]) / 2, abs=1e-4)
    assert "left horn" not in rows


def test_the_usual_range_leaves_out_the_lowest_and_highest_of_a_hundred_cases():
    each = {str(n): {"liver": n / 100} | ({"spleen": 0.5} if n == 3 else {}) for n in range(101)}
    assert segmentation.usual_ranges(each) == {"liver": (0.05, 0.95), "spleen": (0.5, 0.5)}


def test_a_table_has_a_column_a_case():
    text = segmentation.markdown([segmentation.Measurement("a", "x", 0.5), segmentation.Measurement("b", "y", 0.25)])
    assert text.splitlines()[0] == "| Dice | a | b |"
    assert "| x | 0.500 |  |" in text


@pytest.mark.slow
def test_the_command_measures_writes_and_fills_the_card(tmp_path, monkeypatch):
    data = tmp_path / "data"
    (data / "brain").mkdir(parents=True)
    image, truth = samples.head("T1", 3.0)
    meddl.save(image, data / "brain" / "vm_t1_stripped.nii.gz")
    meddl.save(Volume.scalar(truth.labels.astype(np.int16), truth.affine), data / "brain" / "vm_aseg.nii.gz")
    resources = tmp_path / "Resources"
    copytree(resources_folder(), resources)
    monkeypatch.setenv("MEDDL_RESOURCES", str(resources))
    parser = argparse.ArgumentParser()
    segmentation.add_arguments(parser)
    table = segmentation.run(parser.parse_args(
        ["--data", str(data), "--out", str(tmp_path / "out"), "--device", "cpu", "--update-card"]))
    figures = json.loads((tmp_path / "out" / "segmentation.json").read_text())
    card = load_card(resources / "Models" / "brain" / "card.json")
    measured = {(m["case"], m["structure"]): m["dice"] for m in figures["dice"]}
    assert {(a.case, a.structure): a.value for a in card.accuracy} == measured
    assert figures["sha256"] == card.weights.sha256
    assert "brain mask" in table.read_text()
    assert card.usual_confidence.cases == 1 and "left thalamus" in card.usual_confidence.ranges
    assert measured["vm", segmentation.BRAIN] > 0.85


def test_a_folder_without_cases_is_refused(tmp_path):
    parser = argparse.ArgumentParser()
    segmentation.add_arguments(parser)
    with pytest.raises(InputError, match="brain/"):
        segmentation.run(parser.parse_args(["--data", str(tmp_path)]))

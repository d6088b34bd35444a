"""Calibration of confidence: the temperature of known probabilities is found, the error is that of its definition."""

import argparse
import json
import re
from shutil import copytree

import numpy as np
import pytest

from meddl.core.errors import InputError
from meddl.core.paths import data_folder, resources_folder
from meddl.evaluation import calibration
from meddl.evaluation.calibration import expected_calibration_error, fit_temperature, reliability
from meddl.models.cards import load_card
from meddl.segmentation.brain.calibration import scale_probability


def outcomes(count=200_000, seed=0):
    """Probabilities of being right, and what was right."""
    random = np.random.default_rng(seed)
    probability = random.uniform(0.3, 0.99, count)
    return probability, random.random(count) < probability


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_known_probabilities_is_found(temperature):
    probability, right = outcomes()
    found = fit_temperature([(scale_probability(probability, 1 / temperature), right)])
    assert found == pytest.approx(temperature, rel=0.03)


def test_calibrated_probabilities_have_no_error_and_too_certain_ones_their_distance():
    probability, right = outcomes()
    assert expected_calibration_error(reliability(probability, right)) < 0.005
    sure = np.full(len(right), 0.95)
    assert expected_calibration_error(reliability(sure, right)) == pytest.approx(0.95 - right.mean(), abs=1e-9)


def test_bins_hold_all_voxels_and_their_means():
    bins = reliability(np.array([0.0, 0.05, 0.5, 1.0]), np.array([False, True, True, True]))
    assert [one.voxels for one in bins] == [2, 1, 1]
    assert (bins[0].confidence, bins[0].right) == (0.025, 0.5) and (bins[-1].confidence, bins[-1].right) == (1.0, 1.0)


def parsed(*words):
    parser = argparse.ArgumentParser()
    calibration.add_arguments(parser)
    return parser.parse_args([*map(str, words), "--device", "cpu"])


def test_a_folder_without_label_maps_is_refused(tmp_path):
    with pytest.raises(InputError, match=re.escape("labels.csv")):
        calibration.run(parsed("--data", tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(data_folder() is None, reason="needs MEDDL_DATA")
def test_the_command_measures_writes_and_fills_the_card(tmp_path, monkeypatch):
    resources, data = tmp_path / "Resources", tmp_path / "data"
    copytree(resources_folder(), resources)
    monkeypatch.setenv("MEDDL_RESOURCES", str(resources))
    copytree(data_folder() / "labelmaps", data / "labelmaps")
    written = calibration.run(parsed("--data", data, "--out", tmp_path, "--synthetic", 1, "--update-card"))
    found = json.loads(written.read_text())
    card = load_card(resources / "Models" / "brain" / "card.json", require_schema=True)
    assert card.calibration.temperature == found["calibration"]["temperature"] > 0
    assert (tmp_path / "calibration.png").stat().st_size > 1000
    assert set(found["cases"]) == {"synthetic, fitted", "synthetic"} and card.calibration.cases == 1
    assert card.calibration.error_after <= card.calibration.error_before + 0.01

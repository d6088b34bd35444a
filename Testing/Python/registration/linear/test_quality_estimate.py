"""The quality estimate: high for right results, low for wrong ones, and told."""

from dataclasses import replace

import numpy as np
import pytest
from registration_phantoms import box, rigid
from registration_pictures import assert_found, picture

from meddl.core.config import REGISTER_PRESETS, RegisterConfig
from meddl.jobs.summary import quality_of, registration_figures
from meddl.registration import register
from meddl.registration.linear.quality_estimate import (
    FAILED,
    RIGHT,
    Doubts,
    limit_by_folding,
    quality_word,
    warn_of_quality,
)

QUICK = RegisterConfig(levels_mm=(8.0, 4.0), samples=30_000)


def seems(found) -> list[str]:
    return [text for text in found.report["warnings"] if "seems" in text]


@pytest.mark.parametrize("other_contrast", [False, True], ids=["same contrast", "other contrast"])
@pytest.mark.parametrize("transform_type", ["translation", "rigid", "affine"])
def test_a_right_result_has_a_high_estimate_and_no_warning(transform_type, other_contrast):
    truth = rigid(0 if transform_type == "translation" else 12, (1, 2, 3), (15, -8, 6))
    found = register(picture(box()), picture(box(), np.linalg.inv(truth), other_contrast),
                     replace(QUICK, transform_type=transform_type), device="cpu")
    assert_found(found, truth, within_mm=3.0)
    assert RIGHT <= found.report["quality"] <= 1
    assert found.report["quality_estimate"]["word"] == "right"
    assert seems(found) == []


@pytest.mark.parametrize("doubts", [
    Doubts(0.34, 0.530, 0.060, 21.0, 17.0, 0.008, 0.11),   # T1 head, 198 mm off
    Doubts(0.00, 1.248, 0.000, 4.2, 2.1, 0.067, 0.95),     # another one, 58 mm off
    Doubts(0.70, -0.421, 2.539, 203.7, 0.5, 0.006, 0.60)])  # T2 head, 72 mm off
def test_figures_of_wrong_results_are_doubted_and_told(doubts):
    assert doubts.quality < RIGHT
    text, = warn_of_quality(doubts)
    assert f"{doubts.quality:.2f} of 1" in text and quality_word(doubts.quality) in text


@pytest.mark.parametrize(("doubts", "word"), [
    (Doubts(0.12, 0.9, 0.035, 60.0, 30.0, 0.006, 0.6), "doubtful"),   # CT and PET of a limb, right as the header has it
    (Doubts(0.12, 0.9, 0.06, 60.0, 30.0, 0.006, 0.6), "failed"),      # a search elsewhere gains
    (Doubts(0.42, 0.205, 0.0, 13.7, 1.7, 0.0095, 0.22), "failed")])   # much around it agrees better
def test_only_what_is_contradicted_counts_as_failed(doubts, word):
    assert quality_word(doubts.quality) == word and len(warn_of_quality(doubts)) == 1


@pytest.mark.parametrize("doubts", [
    Doubts(0.0, 2.777, 0.001, 0.2, 0.2, 0.302, 0.89), Doubts(0.0, 1.385, 0.005, 1.4, 0.7, 0.127, 1.0)])
def test_figures_of_right_results_are_not(doubts):
    assert doubts.quality >= RIGHT and warn_of_quality(doubts) == []


def test_the_estimate_is_the_same_each_time_and_in_any_axis_order():
    fixed, moving = picture(box()), picture(box(), rigid(5, (0, 1, 0), (4, 4, 4)))
    first = register(fixed, moving, QUICK, device="cpu").report["quality"]
    assert register(fixed, moving, QUICK, device="cpu").report["quality"] == first
    again = register(fixed.reorient("LIA"), moving.reorient("PSR"), QUICK, device="cpu").report["quality"]
    assert again == pytest.approx(first, abs=1e-4)


def test_it_can_be_turned_off_and_is_off_for_time_series():
    found = register(picture(box()), picture(box()), replace(QUICK, estimate_quality=False), device="cpu")
    assert "quality" not in found.report and "quality_estimate" not in found.report
    assert not REGISTER_PRESETS["Time series"].estimate_quality


def test_words_have_their_ranges():
    assert [quality_word(q) for q in (0.0, FAILED, RIGHT - 0.01, RIGHT, 1.0)] == [
        "failed", "doubtful", "doubtful", "right", "right"]


def test_a_deformation_that_folds_is_doubtful_at_best():
    entries = {"quality": 0.9, "quality_estimate": {"word": "right"}, "folding_percent": 3.2}
    text, = limit_by_folding(entries)
    assert "3.2 %" in text and entries["quality_estimate"]["word"] == "doubtful" and entries["quality"] < RIGHT
    gentle = {"quality": 0.9, "quality_estimate": {"word": "right"}, "folding_percent": 0.0}
    assert limit_by_folding(gentle) == [] and gentle["quality"] == 0.9


def test_a_deformable_result_has_the_estimate_of_its_linear_part():
    moving = picture(box(), rigid(0, (1, 0, 0), (3, 0, 0)))
    found = register(picture(box()), moving, replace(QUICK, transform_type="deformable", deformable_iterations=(5, 2)),
                     device="cpu")
    assert found.report["folding_percent"] == 0 and found.report["quality"] >= RIGHT


def test_tables_of_jobs_have_the_number_and_the_word():
    report = {"quality": 0.25, "quality_estimate": {"word": "doubtful"}}
    assert quality_of(report) == 0.25
    assert registration_figures(report)["quality in words"] == "doubtful"

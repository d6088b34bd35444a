"""Candidates that compete: the header's holds unless another is clearly better, and the report tells of both."""

import numpy as np
import pytest
from registration_phantoms import box, rigid
from registration_pictures import assert_found, disagreement_mm, picture

import meddl
from meddl.core.config import RegisterConfig
from meddl.core.paths import data_folder
from meddl.registration import register
from meddl.registration.images.registration_image import prepare_image
from meddl.registration.linear.alternatives import (
    Candidate,
    choose_candidate,
    competing,
    distance_mm,
    distinct_candidates,
)
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

QUICK = RegisterConfig(levels_mm=(8.0, 4.0), samples=30_000)


@pytest.fixture(scope="module")
def level():
    import torch

    return prepare_image("fixed", picture(box()), None).levels((8.0,), torch.device("cpu"))[0]


def candidate(shift_mm, value, overlap, by_header=False):
    return Candidate(rigid(0, (1, 0, 0), shift_mm), str(shift_mm), value, overlap, 1.0, by_header)


def test_the_distance_of_two_maps_is_the_largest_at_the_corners_of_the_object(level):
    assert distance_mm(np.eye(4), rigid(0, (1, 0, 0), (3, 4, 0)), level) == pytest.approx(5)
    inside = level.grid.points_mm(level.object_mask.nonzero().numpy())
    turn = rigid(30, (1, 2, 3), (0, 0, 0))
    moved = np.linalg.norm(inside @ turn[:3, :3].T - inside, axis=1).max()
    assert moved < distance_mm(np.eye(4), turn, level) < 2 * moved


@pytest.mark.parametrize(("value", "overlap", "holds"), [
    (1.03, 1.0, False),    # agrees three times as well
    (1.012, 0.95, True),   # a gain that chance makes
    (1.025, 0.5, True),    # more information of half the overlap
    (1.2, 0.1, True)])     # hardly any overlap
def test_a_far_answer_needs_more_than_chance_to_beat_the_header(level, value, overlap, holds):
    header, far = candidate((0, 0, 0), 1.010, 1.0, True), candidate((87, 0, 0), value, overlap)
    assert choose_candidate([far, header], level) is (header if holds else far)


def test_a_near_answer_is_the_same_one_and_the_better_place_wins(level):
    header, near = candidate((0, 0, 0), 1.010, 1.0, True), candidate((4, 0, 0), 1.0101, 1.0)
    assert choose_candidate([header, near], level) is near
    assert distinct_candidates([header, near], level, 2) == [near]
    assert competing(near, [header, near], level) == []


def test_the_header_is_kept_beside_the_best_while_it_may_be_chosen(level):
    header = candidate((0, 0, 0), 1.10, 1.0, True)
    far = [candidate((50 * k, 0, 0), 1.11 + 0.01 * k, 1.0) for k in (1, 2, 3)]
    assert distinct_candidates([header, *far], level, 2) == [far[2], far[1], header]
    much = [candidate((50 * k, 0, 0), 1.5 + 0.01 * k, 1.0) for k in (1, 2, 3)]
    assert distinct_candidates([header, *much], level, 2) == [much[2], much[1]]


def test_answers_that_agree_about_as_well_are_told_and_worse_ones_are_not(level):
    chosen, other, worse = (candidate((60 * k, 0, 0), value, 1.0) for k, value in enumerate((1.10, 1.09, 1.03)))
    told, = competing(chosen, [chosen, other, worse], level)
    assert told == {"start": other.start, "value": 1.09, "overlap": 1.0, "distance_mm": pytest.approx(60)}


def twins(apart_mm: float) -> Volume:
    """The phantom twice, beside each other along R."""
    grid = box(3.0, (54 + int(apart_mm / 3), 60, 50))
    grid = Grid(grid.shape, np.vstack([np.c_[grid.affine[:3, :3], box().affine[:3, 3]], [0, 0, 0, 1]]))
    first, second = picture(grid), picture(grid, rigid(0, (1, 0, 0), (-apart_mm, 0, 0)))
    return Volume(np.maximum(first.data, second.data), grid.affine)


def test_two_answers_that_compete_are_told_with_both_values():
    near, far = rigid(2, (1, 0, 0), (2, 0, 0)), rigid(2, (0, 1, 0), (132, 3, 0))
    points = np.random.default_rng(0).uniform(-40, 40, (6, 3))
    found = register(picture(box()), twins(132), QUICK, initial=near,
                     landmarks=(points, points @ far[:3, :3].T + far[:3, 3]), device="cpu")
    told, = found.report["alternatives"]
    assert told["distance_mm"] == pytest.approx(132, abs=5)
    text, = (text for text in found.report["warnings"] if "Not sure: alternatives 13" in text)
    assert f"{told['value']:.3f}" in text and "mm apart" in text
    places = [rigid(0, (1, 0, 0), (shift, 0, 0)) for shift in (0, 132)]
    assert min(disagreement_mm(found.affine, place, box()) for place in places) < 1


def test_a_clear_answer_has_no_alternatives():
    truth = rigid(12, (1, 2, 3), (15, -8, 6))
    found = register(picture(box()), picture(box(), np.linalg.inv(truth)), QUICK, device="cpu")
    assert_found(found, truth, within_mm=1.0)
    assert found.report["alternatives"] == []


# --- real volumes ---


@pytest.mark.slow
@pytest.mark.parametrize(("patient", "fixed", "moving"), [
    ("01", "mr", "pet"), ("01", "ct", "pet"), ("02", "ct", "pet")])
def test_a_limb_stays_where_its_header_fits(patient, fixed, moving):
    folder = data_folder()
    if folder is None:
        pytest.skip("no real volumes: set MEDDL_DATA")
    pair = [meddl.load(folder / "sarcoma" / f"sts{patient}_{kind}.nii.gz") for kind in (fixed, moving)]
    found = register(*pair, RegisterConfig(estimate_quality=False), device="cpu")
    assert disagreement_mm(found.affine, np.eye(4), found.grid) < 1
    if (patient, fixed) == ("01", "mr"):
        told, = found.report["alternatives"]
        assert told["distance_mm"] > 50 and told["overlap"] < 0.8
        assert any("Not sure" in text for text in found.report["warnings"])

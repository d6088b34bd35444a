"""A volume of probabilities against a segmentation: area, region, structure, grids."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_roc_auc

import meddl
from meddl.core.errors import InputError
from meddl.spatial.volume import Volume

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    labels = np.zeros((16, 14, 12), np.uint8)
    labels[3:9, 3:9, 3:9], labels[11:14, 4:8, 4:8] = 1, 2
    scores = np.clip(random.normal(size=labels.shape) * 0.3 + 0.3 + 0.3 * (labels == 1), 0, 1).astype(np.float32)
    segments = (meddl.Segment(1, "Liver", (1, 0, 0)), meddl.Segment(2, "Spleen", (0, 1, 0)))
    return Volume.scalar(scores, AFFINE), meddl.Segmentation(labels, AFFINE, segments)


def monai(scores, truth):
    return compute_roc_auc(torch.from_numpy(scores.ravel()), torch.from_numpy(truth.ravel().astype(np.float32)))


@pytest.mark.parametrize("structure, values", [(None, (1, 2)), ("Liver", (1,)), (2, (2,)), ("2", (2,))])
def test_the_area_is_monais_for_one_structure_or_all(pair, structure, values):
    found = meddl.compare(*pair, structure=structure)
    truth = np.isin(pair[1].labels, values)
    assert found.report["auc"] == pytest.approx(monai(pair[0].scalar_data, truth), abs=1e-6)
    assert (found.report["positives"], found.report["voxels"]) == (truth.sum(), truth.size)
    assert found.rows()[0]["structure"] == {None: "All structures", "Liver": "Liver"}.get(structure, "Spleen")
    assert repr(found).startswith(f"ProbabilityComparison({found.report['structure']}, AUC 0.")
    assert found.curve_rows()[0] == {"threshold": None, "false_positive_rate": 0, "sensitivity": 0}


def test_the_region_rules_the_area(pair):
    found = meddl.compare(*pair, region="box")
    box = (slice(3, 14), slice(3, 9), slice(3, 9))
    assert found.report["voxels"] == 11 * 6 * 6
    witness = monai(pair[0].scalar_data[box].copy(), pair[1].labels[box] > 0)
    assert found.report["auc"] == pytest.approx(witness, abs=1e-6)


def test_other_grids_are_resampled_and_what_is_not_covered_left_out(pair):
    offset = AFFINE.copy()
    offset[0, 3] = 2
    found = meddl.compare(Volume.scalar(pair[0].scalar_data[2:], offset), pair[1])
    assert found.report["resampled"] and found.report["voxels"] == 14 * 14 * 12
    assert found.report["auc"] == pytest.approx(monai(pair[0].scalar_data[2:].copy(), pair[1].labels[2:] > 0), abs=1e-4)


def test_scores_that_say_the_opposite_are_warned_of(pair):
    inverted = Volume.scalar(1 - pair[0].scalar_data, AFFINE)
    assert "below 0.5" in meddl.compare(inverted, pair[1]).report["warnings"][0]


def test_an_unknown_structure_is_refused_with_those_that_there_are(pair):
    with pytest.raises(InputError, match="'Liver', 'Spleen'"):
        meddl.compare(*pair, structure="Heart")

"""From scores to places: found to a fraction of a voxel, in pieces as in one, certain or not."""

import numpy as np
import pytest
import torch

from meddl.detection.mirrors import mirrors_of
from meddl.detection.peaks import read_peaks
from meddl.spatial.points import box_overlap

SHAPE, SIGMA = (30, 24, 20), 1.5
PLACES = [(12.3, 11.6, 9.2), (1.2, 20.4, 17.8)]


def scores_of(places, height: float) -> torch.Tensor:
    """Logits of Gaussians about places, whose sum of probability over that of being nowhere is about exp(height)."""
    along = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    logits = [-((along - place) ** 2).sum(-1) / (2 * SIGMA**2) for place in np.array(places)]
    norm = np.log((2 * np.pi) ** 1.5 * SIGMA**3)
    return torch.from_numpy(np.stack([one - norm + height for one in logits])).float()


@pytest.mark.parametrize("sizes", [(30,), (1,) * 30, (3, 7, 20), (29, 1), (8, 8, 8, 6)])
def test_a_place_is_found_to_a_fraction_of_a_voxel_in_any_pieces(sizes):
    further = torch.full((1, *SHAPE), 0.25)
    found = read_peaks(torch.cat([scores_of(PLACES, 6.0), further]).split(sizes, dim=1), SHAPE[0], 2, 5)
    for peak, place in zip(found, PLACES, strict=True):
        assert np.abs(peak.index.numpy() - place).max() < 0.4 and peak.confidence > 0.95
        assert peak.values.tolist() == pytest.approx([0.25])
    assert np.abs(found[0].index.numpy() - PLACES[0]).max() < 0.02


def test_the_confidence_is_the_probability_that_it_lies_there():
    assert read_peaks([scores_of(PLACES[:1], 0.0)], SHAPE[0], 1, 6)[0].confidence == pytest.approx(0.5, abs=0.02)
    assert read_peaks([scores_of(PLACES[:1], -4.0)], SHAPE[0], 1, 6)[0].confidence < 0.03
    two = torch.logaddexp(*scores_of([PLACES[0], (25, 3, 3)], 8.0))[None]
    assert read_peaks([two], SHAPE[0], 1, 6)[0].confidence == pytest.approx(0.5, abs=0.02)


def test_overlap_of_boxes():
    one = np.array([[[0, 0, 0], [2, 2, 2]]] * 3, dtype=float)
    other = np.array([[[0, 0, 0], [2, 2, 2]], [[1, 0, 0], [2, 2, 2]], [[5, 0, 0], [2, 2, 2]]], dtype=float)
    assert box_overlap(one, other).tolist() == pytest.approx([1, 1 / 3, 0])


@pytest.mark.parametrize(("points", "boxes", "mirrors"), [
    (("Left eye", "Right eye", "Nose"), (), (1, 0, 2)), (("hippocampus_L", "hippocampus_R"), (), (1, 0)),
    (("Nose", "Chin"), (), ()), (("Left eye", "Nose"), (), ()), (("Left eye",), ("Right eye",), ()),
    (("eye left", "eye right"), ("lung L", "lung R"), (1, 0, 3, 2)), (("left eye", "Left Eye", "right eye"), (), ())])
def test_pairs_of_left_and_right_are_known_by_their_names(points, boxes, mirrors):
    assert mirrors_of(points, boxes) == mirrors

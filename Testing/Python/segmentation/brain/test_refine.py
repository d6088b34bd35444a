"""Refining: the volume's own intensities sharpen a soft answer, and nothing is brain far from where brain is."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from meddl.segmentation.atlas.mixture import to_bins
from meddl.segmentation.atlas.tissues import Tissues
from meddl.segmentation.brain.locate import Location
from meddl.segmentation.brain.refine import adapt_to_intensities, bound_by_location
from meddl.spatial.grid import Grid, grid_around

SHAPE = (40, 40, 40)
GRID = grid_around(np.zeros(3), SHAPE, np.eye(3) * 2.0)
TISSUES = Tissues((0, 2, 1, 3))  # of background, left, right, middle
INTENSITY = torch.tensor([0.05, 0.8, 0.8, 0.4])


def anatomy():
    """Classes: a wavy ball, its left and right half of one tissue, around a core of another."""
    axes = torch.stack(torch.meshgrid(*[torch.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij"))
    wave = 2.5 * torch.sin(axes[1] * 0.9) * torch.sin(axes[2] * 0.9)
    radius = axes.norm(dim=0) + wave
    classes = torch.zeros(SHAPE, dtype=torch.long)
    classes[radius < 15] = torch.where(axes[0] > 0, 2, 1)[radius < 15]
    classes[axes.norm(dim=0) < 7] = 3
    return classes


def soft(classes, width=7):
    """What a network that is not sure of edges would say."""
    probabilities = F.one_hot(classes, 4).permute(3, 0, 1, 2).float()[None]
    for _ in range(2):
        probabilities = F.avg_pool3d(probabilities, width, 1, width // 2, count_include_pad=False)
    return (probabilities[0] + 1e-3).log().log_softmax(dim=0)


def right_fraction(scores, classes):
    return (scores.argmax(dim=0) == classes).float().mean()


def image_of(classes, noise=0.03, seed=0):
    return INTENSITY[classes] + noise * torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_edges_move_to_where_the_image_has_them():
    classes = anatomy()
    prior = soft(classes)
    refined = adapt_to_intensities(prior, image_of(classes).clamp(0, 1), GRID, TISSUES, [1, 2, 3]).scores
    assert right_fraction(prior, classes) < 0.95
    assert right_fraction(refined, classes) > 0.98


def test_a_bias_field_does_not_mislead():
    classes = anatomy()
    field = torch.linspace(0.7, 1.3, SHAPE[1])[None, :, None]
    image = (image_of(classes) * field).clamp(0, 1)
    refined = adapt_to_intensities(soft(classes), image, GRID, TISSUES, [1, 2, 3]).scores
    assert right_fraction(refined, classes) > 0.97


def test_an_image_without_contrast_changes_next_to_nothing():
    classes = anatomy()
    prior = soft(classes)
    refined = adapt_to_intensities(prior, torch.full(SHAPE, 0.5), GRID, TISSUES, [1, 2, 3]).scores
    assert (refined.argmax(dim=0) == prior.argmax(dim=0)).float().mean() > 0.99


def test_sides_are_the_networks_business():
    classes = anatomy()
    prior = soft(classes)
    refined = adapt_to_intensities(prior, image_of(classes).clamp(0, 1), GRID, TISSUES, [1, 2, 3]).scores
    torch.testing.assert_close(refined[1] - refined[2], prior[1] - prior[2], atol=1e-4, rtol=1e-4)


def test_probabilities_sum_to_one():
    classes = anatomy()
    refined = adapt_to_intensities(soft(classes), image_of(classes).clamp(0, 1), GRID, TISSUES, [1, 2, 3]).scores
    torch.testing.assert_close(refined.exp().sum(dim=0), torch.ones(SHAPE), atol=1e-4, rtol=1e-4)


@pytest.fixture
def located():
    """The localization found brain in the lower half of i."""
    coarse = grid_around(np.zeros(3), (20, 20, 20), np.eye(3) * 4)
    log_odds = torch.full((20, 20, 20), -8.0)
    log_odds[:10] = 8.0
    return Location(np.zeros(3), np.zeros(3), 1000.0, None, log_odds, coarse)


def test_brain_far_from_where_the_coarse_look_saw_it_is_ruled_out(located):
    grid = grid_around(np.zeros(3), SHAPE, np.eye(3) * 2)
    scores = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()[:, None, None, None].expand(4, *SHAPE)
    best = bound_by_location(scores, located, grid, [1, 2]).argmax(dim=0)
    assert (best == 3).all()  # not brain by its label: never bounded
    best = bound_by_location(scores, located, grid, [1, 2, 3]).argmax(dim=0)
    assert (best[:20] == 3).all()
    assert (best[-14:] == 0).all()


def test_without_a_located_brain_nothing_changes():
    nowhere = Location(np.zeros(3), np.zeros(3), 0.0, "none", None, Grid((2, 2, 2), np.eye(4)))
    scores = torch.randn(4, 3, 3, 3).log_softmax(dim=0)
    assert torch.equal(bound_by_location(scores, nowhere, Grid((3, 3, 3), np.eye(4)), [1, 2]), scores)


def test_without_the_intensities_part_the_scores_are_vague_again():
    classes = anatomy()
    image = image_of(classes).clamp(0, 1)
    adapted = adapt_to_intensities(soft(classes), image, GRID, TISSUES, [1, 2, 3])
    prior = adapted.prior(adapted.scores, image).log_softmax(dim=0)
    assert right_fraction(prior, classes) < right_fraction(adapted.scores, classes) - 0.02
    bins = to_bins((image * adapted.gain).clamp(0, 1))
    again = (prior + adapted.likelihood[:, bins]).log_softmax(dim=0)
    assert torch.equal(again.argmax(dim=0), adapted.scores.argmax(dim=0))


def test_where_there_is_surely_nothing_nothing_is_fitted():
    scores = torch.full((4, *SHAPE), -20.0)
    scores[0] = 0
    adapted = adapt_to_intensities(scores, torch.zeros(SHAPE), GRID, TISSUES, [1, 2, 3])
    assert adapted.scores is scores and adapted.likelihood is None

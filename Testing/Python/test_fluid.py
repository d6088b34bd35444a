"""Fluid stays in the brain's folds and close around it; elsewhere it becomes background."""

import numpy as np
import torch

from meddl.segmentation.fluid import REACH_MM, bound_fluid, hull

BACKGROUND, BRAIN, FLUID = 0, 1, 2
SPACING_MM = 2.0


def scores_of(classes: np.ndarray) -> torch.Tensor:
    """Log-probabilities with these classes as the best."""
    shares = torch.nn.functional.one_hot(torch.from_numpy(classes).long(), 3).movedim(-1, 0).float()
    return (0.1 + shares).div(1.3).log()


def distance_mm(shape=(48, 48, 48)) -> np.ndarray:
    """From the middle of a grid."""
    axes = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    return SPACING_MM * np.sqrt(sum(axis**2 for axis in axes))


def test_fluid_far_from_the_brain_becomes_background_and_near_it_stays():
    radius = distance_mm()
    classes = np.where(radius <= 20, BRAIN, np.where(radius <= 40, FLUID, BACKGROUND))
    found = bound_fluid(scores_of(classes), [BRAIN], [FLUID], SPACING_MM).argmax(0).numpy()
    assert np.array_equal(found == BRAIN, classes == BRAIN)
    assert (found[(radius > 20) & (radius <= 20 + REACH_MM - SPACING_MM)] == FLUID).all()
    assert (found[radius > 20 + REACH_MM + SPACING_MM] == BACKGROUND).all()


def test_fluid_in_folds_stays_however_deep_they_are():
    radius = distance_mm()
    classes = np.where(radius <= 36, BRAIN, BACKGROUND)
    classes[22:27, :, 12:] = np.where(radius <= 36, FLUID, BACKGROUND)[22:27, :, 12:]  # a gap of 10 mm through it
    found = bound_fluid(scores_of(classes), [BRAIN], [FLUID], SPACING_MM).argmax(0).numpy()
    assert np.array_equal(found, classes)


def test_the_hull_holds_the_mask_and_is_not_cut_at_the_border():
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[0:14, :, 2:8] = mask[0:14, :, 12:18] = True
    closed = hull(mask, SPACING_MM)
    assert closed[mask].all()
    assert closed[5:9, 5:15, 8:12].all()
    assert not closed[14:].any()


def test_without_a_brain_nothing_changes():
    classes = np.full((8, 8, 8), FLUID)
    scores = scores_of(classes)
    assert torch.equal(bound_fluid(scores.clone(), [BRAIN], [FLUID], SPACING_MM), scores)


def test_a_second_choice_of_brain_does_not_take_the_place_of_fluid():
    radius = distance_mm()
    classes = np.where(radius <= 20, BRAIN, np.where(radius <= 40, FLUID, BACKGROUND))
    scores = scores_of(classes)
    scores[BRAIN] += 1e-3  # always the better second
    found = bound_fluid(scores, [BRAIN], [FLUID], SPACING_MM).argmax(0).numpy()
    assert not (found[radius > 20] == BRAIN).any()

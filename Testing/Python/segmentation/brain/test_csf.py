"""Fluid has its place in the brain's folds and close around it."""

import numpy as np
import torch

from meddl.segmentation.brain.csf import REACH_MM, distance_beyond_csf_mm, hull

BACKGROUND, BRAIN, FLUID = 0, 1, 2
SPACING_MM = 2.0


def scores_of(classes: np.ndarray) -> torch.Tensor:
    """Log-probabilities with these classes as the best."""
    probabilities = torch.nn.functional.one_hot(torch.from_numpy(classes).long(), 3).movedim(-1, 0).float()
    return (0.1 + probabilities).div(1.3).log()


def distance_mm(shape=(48, 48, 48)) -> np.ndarray:
    """From the middle of a grid."""
    axes = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    return SPACING_MM * np.sqrt(sum(axis**2 for axis in axes))


def test_fluid_reaches_a_little_beyond_the_brain():
    radius = distance_mm()
    classes = np.where(radius <= 20, BRAIN, np.where(radius <= 40, FLUID, BACKGROUND))
    beyond = distance_beyond_csf_mm(scores_of(classes), [BRAIN], SPACING_MM).numpy()
    assert (beyond[radius <= 20 + REACH_MM - SPACING_MM] < 0).all()
    assert (beyond[radius > 20 + REACH_MM + SPACING_MM] > 0).all()
    edge = (radius > 20 + REACH_MM) & (radius < 20 + REACH_MM + SPACING_MM)
    assert (np.abs(beyond - (radius - 20 - REACH_MM))[edge] < SPACING_MM).all()
    assert np.abs(beyond).min() > 0.01  # no voxel is on the edge, where rounding would decide


def test_folds_belong_to_the_brain_however_deep_they_are():
    radius = distance_mm()
    classes = np.where(radius <= 36, BRAIN, BACKGROUND)
    classes[22:27, :, 12:] = np.where(radius <= 36, FLUID, BACKGROUND)[22:27, :, 12:]  # a gap of 10 mm through it
    beyond = distance_beyond_csf_mm(scores_of(classes), [BRAIN], SPACING_MM).numpy()
    assert (beyond[classes == FLUID] < 0).all()


def test_the_hull_holds_the_mask_and_is_not_cut_at_the_border():
    mask = np.zeros((20, 20, 20), dtype=bool)
    mask[0:14, :, 2:8] = mask[0:14, :, 12:18] = True
    closed = hull(mask, SPACING_MM)
    assert closed[mask].all()
    assert closed[5:9, 5:15, 8:12].all()
    assert not closed[14:].any()


def test_without_a_brain_nothing_is_too_far():
    scores = scores_of(np.full((8, 8, 8), FLUID))
    assert (distance_beyond_csf_mm(scores, [BRAIN], SPACING_MM) < 0).all()

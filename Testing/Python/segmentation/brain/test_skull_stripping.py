"""What a head is beyond its brain is found by a first segmentation, and only where there is something."""

import numpy as np
import torch

from meddl.segmentation.brain.skull_stripping import agreement, beyond_brain

SPACING_MM = 2.0
BACKGROUND, BRAIN, FLUID = 0, 1, 2


def head(scalp: float) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """A brain of 20 mm in fluid up to 24 mm with scalp from 30 to 40 mm: image, scores, distance from the middle."""
    axes = np.meshgrid(*(np.arange(48) - 24 for _ in range(3)), indexing="ij")
    radius = SPACING_MM * np.sqrt(sum(axis**2 for axis in axes))
    classes = np.select([radius <= 20, radius <= 24], [BRAIN, FLUID], BACKGROUND)
    image = np.select([radius <= 20, radius <= 24, radius <= 30, radius <= 40], [0.8, 0.3, 0.0, scalp], 0.0)
    probabilities = torch.nn.functional.one_hot(torch.from_numpy(classes), 3).movedim(-1, 0).float()
    return torch.from_numpy(image).float(), (0.1 + probabilities).div(1.3).log(), radius


def test_scalp_is_beyond_the_brain_and_the_csf_around_it_is_not():
    image, scores, radius = head(scalp=0.9)
    beyond = beyond_brain(image, scores, [BRAIN], SPACING_MM)
    assert beyond[torch.from_numpy(radius >= 30)].all()
    assert not beyond[torch.from_numpy(radius <= 22)].any()


def test_a_stripped_volume_is_left_as_it_is():
    image, scores, _ = head(scalp=0.0)
    assert beyond_brain(image, scores, [BRAIN], SPACING_MM) is None


def test_faint_noise_around_a_stripped_brain_is_nothing_to_strip():
    image, scores, _ = head(scalp=0.005)
    assert beyond_brain(image, scores, [BRAIN], SPACING_MM) is None


def test_without_a_brain_nothing_is_stripped():
    image, scores, _ = head(scalp=0.9)
    nothing = torch.stack([torch.zeros_like(image), *[torch.full_like(image, -9.0)] * 2])
    assert beyond_brain(image, nothing, [BRAIN], SPACING_MM) is None


def test_answers_agree_as_far_as_their_brains_have_the_same_classes():
    _, scores, radius = head(scalp=0.9)
    brain = torch.from_numpy(radius <= 20)
    assert agreement(scores, scores, [BRAIN]) == 1.0
    other = scores.clone()
    half = brain.clone()
    half[24:] = False
    other[BRAIN][half] = -9.0  # one half is something else
    assert abs(agreement(scores, other, [BRAIN]) - (1 - float(half.sum() / brain.sum()))) < 1e-6
    nothing = torch.stack([torch.zeros_like(scores[0]), *[torch.full_like(scores[0], -9.0)] * 2])
    assert agreement(nothing, nothing, [BRAIN]) == 1.0

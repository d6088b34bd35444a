"""Skull stripping of a head by a first segmentation of it, for a second one."""

import torch

from meddl.segmentation.brain.csf import distance_beyond_csf_mm

WHOLE_HEAD = 0.1  # signal beyond the brain, as a fraction of that within, from which on there is something to strip
AGREEMENT = 0.65  # of two segmentations on the brain's labels, from which on the second one counts
_NEVER = -20.0


def beyond_brain(image: torch.Tensor, scores: torch.Tensor, brain: list[int], spacing_mm: float) -> torch.Tensor | None:
    """Where a head is neither brain nor the CSF around it, (I, J, K) bool; None for a volume that is stripped already.

    Args:
        image: (I, J, K), 0 where there is nothing.
        scores: (C, I, J, K) log-probabilities of the first segmentation.
        brain: the classes of the brain, without CSF.
        spacing_mm: of the voxels.
    """
    beyond = distance_beyond_csf_mm(scores, brain, spacing_mm).to(image.device) > 0
    return beyond if float(image[beyond].sum()) > WHOLE_HEAD * float(image[~beyond].sum()) else None


def rule_out(scores: torch.Tensor, beyond: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (C, I, J, K) that are surely background, the first class, where `beyond` (I, J, K)."""
    bounded = scores.masked_fill(beyond, _NEVER)
    bounded[0].masked_fill_(beyond, 0.0)
    return bounded


def agreement(first: torch.Tensor, second: torch.Tensor, brain: list[int]) -> float:
    """Fraction of the voxels that are brain in one of two segmentations in which both have the same class, 0 to 1.

    A network that knows a kind of head whole may not know it stripped: then the two differ.

    Args:
        first, second: (C, I, J, K) scores; brain: the classes of the brain, without CSF.
    """
    one, other = first.argmax(dim=0), second.argmax(dim=0)
    classes = torch.tensor(brain, device=one.device)
    either = torch.isin(one, classes) | torch.isin(other, classes)
    return float((one == other)[either].float().mean()) if bool(either.any()) else 1.0

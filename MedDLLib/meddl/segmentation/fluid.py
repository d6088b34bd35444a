"""The fluid around the brain is where the skull leaves room for it: between the brain's folds, and close around it."""

import numpy as np
import torch
from scipy import ndimage

REACH_MM = 4.0  # beyond the brain's hull; seldom more outside of it
_FOLDS_MM = 12.0  # concave places up to twice as wide belong to the hull: sulci, cisterns
_NEVER = -1e4  # log-probability of a class where it was ruled out


def bound_fluid(scores: torch.Tensor, brain: list[int], fluids: list[int], spacing_mm: float) -> torch.Tensor:
    """Make background (in place) of fluid that lies apart from the brain, as in bone, face and neck.

    Args:
        scores: (C, I, J, K) log-probabilities on voxels of one size; class 0 is the background.
        brain: its classes.
        fluids: the classes of fluid around it.
        spacing_mm: of the voxels.
    """
    best = scores.argmax(dim=0)
    tissue = torch.isin(best, torch.tensor(brain, device=best.device)).cpu().numpy()
    if not tissue.any():
        return scores
    apart = torch.from_numpy(_distance_mm(hull(tissue, spacing_mm), spacing_mm) > REACH_MM).to(scores.device)
    for fluid in fluids:
        scores[0] = torch.where(apart, torch.maximum(scores[0], scores[fluid]), scores[0])
        scores[fluid].masked_fill_(apart, _NEVER)
    return scores


def hull(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """A mask with its folds and narrow gaps filled: a closing by a ball (J. Serra, "Image Analysis and Mathematical
    Morphology", 1982). Beyond the image there is nothing."""
    border = int(np.ceil(_FOLDS_MM / spacing_mm)) + 1
    wide = np.pad(mask, border)
    grown = _distance_mm(wide, spacing_mm) <= _FOLDS_MM
    closed = _distance_mm(~grown, spacing_mm) > _FOLDS_MM
    return closed[(slice(border, -border),) * 3] | mask


def _distance_mm(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """How far each voxel is from a mask."""
    return ndimage.distance_transform_edt(~mask, sampling=spacing_mm)

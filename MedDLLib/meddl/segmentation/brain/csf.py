"""Limits of the CSF around the brain: within the closing of the brain mask, and close around it."""

import numpy as np
import torch
from scipy import ndimage

REACH_MM = 4.5  # beyond the brain's hull; no distance of voxels of 2 mm, which rounding would put on either side
_FOLDS_MM = 12.0  # concave places up to twice as wide belong to the hull: sulci, cisterns


def distance_beyond_csf_mm(scores: torch.Tensor, brain: list[int], spacing_mm: float) -> torch.Tensor:
    """Distance of each voxel from the brain's hull less `REACH_MM`, (I, J, K) mm: negative where CSF may be; the size
    of a voxel where it is far.

    Args:
        scores: (C, I, J, K) log-probabilities on voxels of one size.
        brain: its classes, without CSF.
        spacing_mm: of the voxels.
    """
    tissue = torch.isin(scores.argmax(dim=0), torch.tensor(brain, device=scores.device)).cpu().numpy()
    if not tissue.any():
        return torch.full(tissue.shape, -REACH_MM)
    margin = int(np.ceil(REACH_MM / spacing_mm)) + 1
    around = ndimage.find_objects(tissue.view(np.uint8))[0]
    box = tuple(slice(max(0, along.start - margin), along.stop + margin) for along in around)
    beyond = np.full(tissue.shape, spacing_mm, dtype=np.float32)
    beyond[box] = _distance_mm(hull(tissue[box], spacing_mm), spacing_mm) - REACH_MM
    return torch.from_numpy(beyond)


def hull(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """A mask with its folds and narrow gaps filled: a closing by a ball (J. Serra, "Image Analysis and Mathematical
    Morphology", 1982). Beyond the image there is nothing."""
    border = int(np.ceil(_FOLDS_MM / spacing_mm)) + 1
    wide = np.pad(mask, border)
    grown = _distance_mm(wide, spacing_mm) <= _FOLDS_MM
    closed = _distance_mm(~grown, spacing_mm) > _FOLDS_MM
    return closed[(slice(border, -border),) * 3] | mask


def _distance_mm(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Euclidean distance transform: of each voxel to a mask, mm."""
    return ndimage.distance_transform_edt(~mask, sampling=spacing_mm)

"""Distances between the surfaces of two masks: Hausdorff, its 95th percentile, mean, and the surface Dice.

Surfaces and distances are MONAI's (`monai.metrics.utils.get_edge_surface_distance`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics.utils import get_edge_surface_distance

from meddl.core.errors import InputError
from meddl.spatial.grid import three

_PERCENTILE = 95.0


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm, nan where a mask is empty: there is no distance to nothing.

    Attributes:
        hausdorff_mm: the largest distance from a surface voxel of either mask to the other's surface.
        hd95_mm: the larger of the two directions' 95th percentiles (`compute_hausdorff_distance`).
        mean_surface_distance_mm: the mean over the surface voxels of both
            (`compute_average_surface_distance(symmetric=True)`).
        surface_dice: the share of both surfaces' voxels that lie within the tolerance of the other surface
            (S. Nikolov et al., JMIR 23(7), 2021, doi:10.2196/26151; `compute_surface_dice` without sub-voxel areas).
    """

    hausdorff_mm: float
    hd95_mm: float
    mean_surface_distance_mm: float
    surface_dice: float


NO_SURFACE = SurfaceDistances(*[float("nan")] * 4)


def surface_distances(prediction: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float],
                      tolerance_mm: float = 1.0) -> SurfaceDistances:
    """The distances between the surfaces of two masks.

    Args:
        prediction: (I, J, K) bool.
        truth: (I, J, K) bool.
        spacing_mm: voxel size along i, j, k.
        tolerance_mm: how far surfaces may lie apart to count as equal in the surface Dice.

    Raises:
        InputError: different shapes, a spacing that is not three positive numbers, or a negative tolerance.
    """
    masks = [np.asarray(mask, dtype=bool) for mask in (prediction, truth)]
    spacing = check_spacing(spacing_mm)
    if masks[0].ndim != 3 or masks[0].shape != masks[1].shape:
        raise InputError(f"Two masks lie on one grid (i, j, k); their shapes are {masks[0].shape} and "
                         f"{masks[1].shape}.")
    if not tolerance_mm >= 0:
        raise InputError(f"The tolerance of the surface Dice is at least 0 mm; got {tolerance_mm}.")
    if not masks[0].any() or not masks[1].any():
        return NO_SURFACE
    tensors = [torch.from_numpy(np.ascontiguousarray(mask, dtype=np.uint8)).bool() for mask in masks]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, distances, _ = get_edge_surface_distance(tensors[0], tensors[1], spacing=spacing, symmetric=True)
    both = torch.cat(list(distances)).double()
    # numpy's percentile, not torch.quantile, which refuses more than 16 million surface voxels.
    ends = [float(np.percentile(each.numpy().astype(np.float64), _PERCENTILE)) for each in distances]
    return SurfaceDistances(float(both.max()), max(ends), float(both.mean()),
                            float((both <= tolerance_mm).double().mean()))


def check_spacing(spacing_mm: Sequence[float]) -> tuple[float, float, float]:
    """Three positive numbers, as floats.

    Raises:
        InputError: they are not.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (3,) or not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise InputError(f"A spacing is three positive numbers in mm; got {spacing_mm}.")
    return three(float(x) for x in spacing)

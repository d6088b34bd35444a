"""Localization of the brain: a network on the whole field of view at coarse resolution."""

from dataclasses import dataclass

import numpy as np
import torch

from meddl.segmentation.brain.inference import run_network
from meddl.segmentation.sampling_grids import covering, sample_region
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import largest_components
from meddl.spatial.normalize import to_unit_range

SMALLEST_BRAIN_ML = 150.0
LARGEST_BRAIN_ML = 2500.0
LARGEST_EXTENT_MM = (200.0, 230.0, 210.0)  # right, anterior, superior


@dataclass(frozen=True)
class Location:
    """The localized brain.

    Attributes:
        center_mm: center of the brain's bounding box, RAS mm; of the field of view where none was found.
        extent_mm: size of that box along the working axes, mm.
        volume_ml: volume of the brain at coarse resolution.
        warning: a sentence where this does not look like a head, else None.
        log_odds: (I, J, K) of brain against none, on `grid`; None where no brain was found.
        grid: the coarse grid.
    """

    center_mm: np.ndarray
    extent_mm: np.ndarray
    volume_ml: float
    warning: str | None
    log_odds: torch.Tensor | None
    grid: Grid


def locate(network: torch.nn.Module, spec, image: torch.Tensor, grid: Grid) -> Location:
    """Localize the brain in a prepared image (I, J, K) on `grid`, with the card's `spec` of the network."""
    coarse = covering(grid, spec.spacing_mm, spec.patch_voxels)
    patch = to_unit_range(sample_region(image, grid, coarse)[None, None])
    scores = run_network(network, patch)[0]
    brain = largest_components((scores[1] > scores[0]).cpu().numpy())
    volume_ml = float(brain.sum()) * coarse.voxel_volume_ml
    if volume_ml < SMALLEST_BRAIN_ML / 10:
        warning = "No brain was found in this volume. It looks unlike a head; do not rely on the result."
        return Location(grid.center_mm, np.zeros(3), volume_ml, warning, None, coarse)
    bounds = np.array([_bounds(brain, axis) for axis in range(3)])
    center = coarse.points_mm(bounds.mean(axis=1))
    extent = (bounds[:, 1] - bounds[:, 0] + 1) * coarse.spacing_mm
    warning = None
    if (extent > LARGEST_EXTENT_MM).any():
        warning = (f"What was taken for a brain measures {' x '.join(f'{e:.0f}' for e in extent)} mm. "
                   "The volume looks unlike a head; do not rely on the result.")
    elif not SMALLEST_BRAIN_ML <= volume_ml <= LARGEST_BRAIN_ML:
        warning = (f"The localization found {volume_ml:.0f} ml of brain, where an adult has about 1200 ml. "
                   "The volume shows only a part of a head, or none: look at the result with care.")
    return Location(center, extent, volume_ml, warning, scores[1] - scores[0], coarse)


def _bounds(brain: np.ndarray, axis: int) -> tuple[float, float]:
    """First and last index along an axis of all but the outermost thousandth of the voxels."""
    profile = brain.sum(axis=tuple(a for a in range(3) if a != axis)).cumsum()
    total = profile[-1]
    return float(np.searchsorted(profile, 0.001 * total)), float(np.searchsorted(profile, 0.999 * total))

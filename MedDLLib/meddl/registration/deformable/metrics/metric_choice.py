"""Choice of the metric of a deformation: local correlation where the intensities of both volumes correspond."""

from collections.abc import Callable

import numpy as np
import torch

from meddl.registration.deformable.metrics.local_correlation import LocalCorrelation, window_radius
from meddl.registration.images.warped_image import WarpedImage, voxels_between
from meddl.spatial.grid import Grid

_LOOK_MM = 4.0  # the spacing at which contrasts are compared
_AGREES_AT_FIRST = 0.9     # under an affine map, where sulci of one subject meet those of another
_REVERSED_IN_THE_END = 0.001  # after the coarsest level: one modality had 0.0002 at most, others 0.0027 and more


def first_choice(fixed, moving, affine: np.ndarray, pause: Callable[[], None]) -> str:
    """lncc where most contrasts between neighboring tissues are the same in both volumes, else mind.

    Args:
        fixed, moving: one level each (image, grid, spacing_mm), about 4 mm.
        affine: 4x4, fixed to moving, RAS mm.
        pause: called between parts of the work; may raise Cancelled.
    """
    correlation, warped = _compare(fixed, moving, affine, pause)
    return "lncc" if correlation.agreement(warped) > _AGREES_AT_FIRST else "mind"


def holds_after_coarsest(levels, affine: np.ndarray, pause: Callable[[], None], displacement: torch.Tensor,
                         on_grid) -> bool:
    """Whether contrasts still agree after a deformation with lncc has registered them.

    What disagrees then is no misalignment: some tissues have changed places in brightness, and lncc, for which the
    others are reason enough to go on, would pull these the wrong way.

    Args:
        levels: pairs (fixed, moving), coarse to fine.
        displacement: in voxels of the coarsest level's fixed grid.
        on_grid: a function that brings it to another level's grid.
    """
    fixed, moving = min(levels, key=lambda pair: abs(np.log(pair[0].spacing_mm / _LOOK_MM)))
    moved = on_grid(displacement, levels[0][0].grid, fixed.grid)
    correlation, warped = _compare(fixed, moving, affine, pause, moved)
    return correlation.reversed_fraction(warped) < _REVERSED_IN_THE_END


def _compare(fixed, moving, affine, pause, displacement=None) -> tuple[LocalCorrelation, torch.Tensor]:
    """Windows of three voxels within the moving field of view, and the moving image as it is seen there."""
    grid: Grid = fixed.grid
    warped = WarpedImage(moving.image[None], grid, voxels_between(grid, moving.grid, affine), pause)
    warped.displacement = displacement
    radius = window_radius(grid.spacing_mm, fixed.spacing_mm, 1)
    return LocalCorrelation(fixed.image, radius, warped.inside(), pause=pause), warped.all()[0]

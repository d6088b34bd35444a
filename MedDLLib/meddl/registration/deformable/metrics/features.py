"""MIND features of both volumes, independent of modality, on the grids of a deformation's levels."""

from collections.abc import Callable

import numpy as np
import torch

from meddl.registration.deformable.metrics.mind import mind_ssc, mind_steps
from meddl.registration.images.pyramid import Level, reduce_to
from meddl.registration.images.warped_image import WarpedImage, voxels_between
from meddl.spatial.grid import Grid

_RADIUS, _DILATION = 0, 1  # voxels


class Features:
    """MIND of both volumes on one level's grid, the moving one resampled through the affine.

    Args:
        fixed, moving: both volumes at this level.
        affine: 4x4, fixed to moving, RAS mm.
        pause: called between parts of the work; may raise Cancelled.

    Attributes:
        fixed, moving: (12, I, J, K), see `mind.mind_ssc`.
        grid: the fixed grid, on which both lie.
    """

    def __init__(self, fixed: Level, moving: Level, affine: np.ndarray, pause: Callable[[], None]):
        self.grid = fixed.grid
        dilation = mind_steps(fixed.grid.spacing_mm, _DILATION)
        there = voxels_between(fixed.grid, moving.grid, affine)
        seen = WarpedImage(moving.image[None], fixed.grid, there, pause).all()[0]
        pause()
        self.fixed = mind_ssc(fixed.image, _RADIUS, dilation)
        pause()
        self.moving = mind_ssc(seen, _RADIUS, dilation)
        pause()

    def on(self, grid: Grid, pause: Callable[[], None]) -> tuple[torch.Tensor, torch.Tensor]:
        """The features on a coarser grid: averages, which keep what a coarser image would have lost."""
        if grid.same_as(self.grid):
            return self.fixed, self.moving
        reduced = []
        for features in (self.fixed, self.moving):
            out = features.new_empty((len(features), *grid.shape))
            for channel, source in zip(out, features, strict=True):
                pause()
                channel.copy_(reduce_to(source, self.grid, grid))
            reduced.append(out)
        return tuple(reduced)

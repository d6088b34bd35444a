"""MIND features of both volumes, independent of modality, on the grids of a deformation's levels."""

from collections.abc import Callable

import numpy as np
import torch

from meddl.registration.deformable.metrics.mind import mind_ssc, mind_steps
from meddl.registration.images.pyramid import Level, reduce_to
from meddl.registration.images.smoothing import smooth
from meddl.registration.images.warped_image import WarpedImage, voxels_between
from meddl.spatial.grid import Grid

_RADIUS, _DILATION = 0, 1  # voxels
_BLUR_VOXELS = 0.5         # of interpolation between two voxels


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
        self.fixed_image = fixed.image
        self.moving_image = WarpedImage(moving.image[None], fixed.grid,
                                        voxels_between(fixed.grid, moving.grid, affine), pause)
        self.fixed = self._of(fixed.image, pause)
        self.moving = self._of(self.moving_image.all()[0], pause)

    def on(self, grid: Grid, pause: Callable[[], None]) -> tuple[torch.Tensor, torch.Tensor]:
        """The features on a coarser grid: averages, which keep what a coarser image would have lost."""
        if grid.same_as(self.grid):
            return self.fixed, self.moving
        return self._reduce(self.fixed, grid, pause), self._reduce(self.moving, grid, pause)

    def of_blurred(self, side: str, grid: Grid, pause: Callable[[], None]) -> torch.Tensor:
        """The features of a blurred image, "fixed" or "moving", on the same or a coarser grid, in single precision or,
        to take less memory, in half."""
        image = self.fixed_image if side == "fixed" else self.moving_image.all()[0]
        image = smooth(image, self.grid.spacing_mm, _BLUR_VOXELS * self.grid.spacing_mm)
        return self._reduce(self._of(image, pause, torch.float16), grid, pause)

    def _of(self, image: torch.Tensor, pause: Callable[[], None], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        found = mind_ssc(image, _RADIUS, mind_steps(self.grid.spacing_mm, _DILATION), dtype)
        pause()
        return found

    def _reduce(self, features: torch.Tensor, grid: Grid, pause: Callable[[], None]) -> torch.Tensor:
        if grid.same_as(self.grid):
            return features
        out = features.new_empty((len(features), *grid.shape), dtype=torch.float32)
        for channel, source in zip(out, features, strict=True):
            pause()
            channel.copy_(reduce_to(source.float(), self.grid, grid))
        return out

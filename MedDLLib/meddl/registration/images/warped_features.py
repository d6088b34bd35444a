"""An image of many channels, warped with all channels of a voxel at once."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from meddl.registration.images.warped_image import WarpedImage
from meddl.spatial.grid import Grid

_AT_ONCE = 1 << 14  # voxels sampled at once on a CPU, whose corners and weights stay in its cache


class WarpedFeatures(WarpedImage):
    """`WarpedImage` for images of many channels: the same values several times as fast on a CPU.

    There grid_sample gathers the eight corners anew for each channel. Here the channels of a voxel lie side by side,
    and a sample is a weighted sum of eight rows. The image is held twice.
    """

    def __init__(self, moving: torch.Tensor, grid: Grid, to_moving: np.ndarray,
                 pause: Callable[[], None] = lambda: None):
        super().__init__(moving, grid, to_moving, pause)
        self.table = moving.flatten(1).T.contiguous() if moving.device.type == "cpu" else None

    def rows(self, start: int, stop: int) -> torch.Tensor:
        if self.table is None:
            return super().rows(start, stop)
        out = self.moving.new_empty((len(self.moving), stop - start, *self.grid.shape[1:]))
        for first in range(start, stop, self.slab):
            self.pause()
            last = min(first + self.slab, stop)
            points = self.coordinates(first, last).flatten(1)
            into = out[:, first - start:last - start].view(len(out), -1)
            for some in range(0, points.shape[1], _AT_ONCE):
                into[:, some:some + _AT_ONCE] = self._sample(points[:, some:some + _AT_ONCE]).T
        return out

    def _sample(self, points: torch.Tensor) -> torch.Tensor:
        """(N, C) at points (3, N) in the units of grid_sample; the edge value beyond the image."""
        index, weights = None, None
        for size, along in zip(self.moving.shape[1:], points, strict=True):
            place = (along + 1).mul_(size / 2).sub_(0.5).clamp_(0, size - 1)
            low = place.floor().clamp_(max=max(0, size - 2))
            above = place.sub_(low)
            pair = torch.stack((1 - above, above), dim=1)
            weights = pair if weights is None else (weights[:, :, None] * pair[:, None]).flatten(1)
            low = low.long()[:, None]
            cell = torch.cat((low, (low + 1).clamp_(max=size - 1)), dim=1)
            index = cell if index is None else (index[:, :, None] * size + cell[:, None]).flatten(1)
        return F.embedding_bag(index, self.table, mode="sum", per_sample_weights=weights)

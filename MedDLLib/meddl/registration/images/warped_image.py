"""Warping of an image by a displacement and an affine, and gradients of a similarity with respect to it."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

from meddl.registration.images.smoothing import AxisFilter
from meddl.spatial.grid import Grid

_NEAR_VOXELS = 1e-3     # so near to a center is at it
SLAB_VOXELS = 1 << 20  # sampled at once: bounds memory for coordinates and the time between two checks for Cancel


class WarpedImage:
    """The moving image resampled to the fixed grid by a displacement and an affine, in one interpolation.

    Args:
        moving: (C, I', J', K') tensor.
        grid: the fixed grid.
        to_moving: 4x4, voxel indices of `grid` to voxel indices of `moving`.
        pause: called between parts of the work; may raise Cancelled.
    """

    def __init__(self, moving: torch.Tensor, grid: Grid, to_moving: np.ndarray,
                 pause: Callable[[], None] = lambda: None):
        self.moving, self.grid, self.pause = moving, grid, pause
        self.displacement: torch.Tensor | None = None
        self.slab = max(1, SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
        # grid_sample counts -1 to 1 from edge to edge of the image, last axis first
        scale = 2 / np.array(moving.shape[1:], dtype=np.float64)
        self.matrix = scale[:, None] * to_moving[:3, :3]
        self.offset = scale * (to_moving[:3, 3] + 0.5) - 1

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """(C, stop - start, J, K): moving channels on rows `start` to `stop` of the fixed grid's first axis."""
        out = self.moving.new_empty((len(self.moving), stop - start, *self.grid.shape[1:]))
        for first in range(start, stop, self.slab):
            self.pause()
            last = min(first + self.slab, stop)
            sampled = sample(self.moving, self.coordinates(first, last))
            out[:, first - start:last - start] = sampled
        return out

    def all(self) -> torch.Tensor:
        """(C, I, J, K): moving channels on the fixed grid."""
        return self.rows(0, self.grid.shape[0])

    def coordinates(self, start: int, stop: int) -> torch.Tensor:
        """(3, rows, J, K): where voxels lie in the moving image, in the units of grid_sample along i, j, k."""
        return linear_coordinates(self.matrix, self.offset, self.displacement, start, stop, self.grid.shape,
                                  self.moving)

    def inside(self) -> torch.Tensor:
        """(I, J, K): 1 where a voxel lies between the centers of the outermost moving voxels, 0 where outside.

        Along an axis of one voxel within its faces.
        """
        out = self.moving.new_empty(self.grid.shape)
        size = self.moving.new_tensor(self.moving.shape[1:])[:, None, None, None]
        ends = torch.where(size > 1, 1 - (1 - _NEAR_VOXELS) / size, 1.0)
        for first in range(0, self.grid.shape[0], self.slab):
            self.pause()
            last = min(first + self.slab, self.grid.shape[0])
            out[first:last] = (self.coordinates(first, last).abs() <= ends).all(dim=0)
        return out


class Similarity(Protocol):
    """A similarity metric, to be maximized.

    Attributes:
        flat_slope: where the mean over voxels grows by less than this per voxel, steps get shorter.
    """

    flat_slope: float | torch.Tensor

    def __call__(self, warped: WarpedImage) -> tuple[torch.Tensor, torch.Tensor]:
        """Value (no axes) and its gradient (3, I, J, K) with respect to the displacement in voxels along i, j, k."""

    def contrast(self) -> torch.Tensor:
        """How much contrast the fixed image has around each voxel (I, J, K), weighted."""

    def difference(self, warped: WarpedImage, blur: AxisFilter | None = None, side: str = "") -> torch.Tensor | None:
        """What fraction of the contrast around each voxel differs between the images (I, J, K).

        With the image of one `side` ("fixed" or "moving") blurred; None where that means nothing.
        """


def voxels_between(fixed: Grid, moving: Grid, affine: np.ndarray) -> np.ndarray:
    """4x4 from voxel indices of `fixed` to those of `moving`, for an affine from fixed to moving, RAS mm."""
    return np.linalg.inv(moving.affine) @ affine @ fixed.affine


def slope_of(gradient: torch.Tensor, warped: torch.Tensor) -> torch.Tensor:
    """(3, I, J, K): `gradient` (I, J, K) with respect to `warped` (I, J, K) times the slopes of `warped` by voxel.

    Central differences; zero on the faces of the grid.
    """
    out = torch.zeros((3, *warped.shape), dtype=warped.dtype, device=warped.device)
    for axis, count in enumerate(warped.shape):
        if count < 3:
            continue
        inner = out[axis].narrow(axis, 1, count - 2)
        torch.sub(warped.narrow(axis, 2, count - 2), warped.narrow(axis, 0, count - 2), out=inner)
        inner.mul_(gradient.narrow(axis, 1, count - 2)).mul_(0.5)
    return out


def with_neighbors(weight: torch.Tensor) -> torch.Tensor:
    """(I, J, K): the least weight of a voxel and its six neighbors: where `slope_of` sees only what counts."""
    least = weight.clone()
    for axis, count in enumerate(weight.shape):
        for there, here in ((0, 1), (1, 0)):
            part = least.narrow(axis, here, count - 1)
            torch.minimum(part, weight.narrow(axis, there, count - 1), out=part)
    return least


def linear_coordinates(matrix, offset, displacement, start, stop, shape, like) -> torch.Tensor:
    """matrix @ (x + displacement(x)) + offset for the voxels of some rows, (3, rows, J, K)."""
    axes = [torch.arange(a, b, dtype=torch.float64, device=like.device)
            for a, b in ((start, stop), (0, shape[1]), (0, shape[2]))]
    out = like.new_empty((3, stop - start, *shape[1:]))
    moved = None if displacement is None else displacement[:, start:stop]
    for axis in range(3):
        i, j, k = (float(m) * a for m, a in zip(matrix[axis], axes, strict=True))
        torch.add((i[:, None] + j[None] + float(offset[axis])).to(like)[:, :, None], k.to(like)[None, None],
                  out=out[axis])
        if moved is not None:
            for component in range(3):
                if matrix[axis, component]:
                    out[axis].add_(moved[component], alpha=float(matrix[axis, component]))
    return out


def sample(image: torch.Tensor, coordinates: torch.Tensor) -> torch.Tensor:
    """(C, I, J, K): `image` (C, ...) at `coordinates` (3, I, J, K), linear, the edge value beyond it."""
    rows = coordinates.shape[1]
    # The CPU spreads a batch over its threads, not the points of one entry.
    parts = torch.get_num_threads() if image.device.type == "cpu" else 1
    if rows % parts:
        even = rows - rows % parts
        pieces = [sample(image, coordinates[:, :even]), _sample_parts(image, coordinates[:, even:], 1)] if even else \
            [_sample_parts(image, coordinates, 1)]
        return torch.cat(pieces, dim=1)
    return _sample_parts(image, coordinates, parts)


def _sample_parts(image: torch.Tensor, coordinates: torch.Tensor, parts: int) -> torch.Tensor:
    shape = coordinates.shape[1:]
    batched = coordinates.view(3, parts, -1, *shape[1:]).flip(0).permute(1, 2, 3, 4, 0)
    sampled = F.grid_sample(image.expand(parts, *image.shape), batched, mode="bilinear", padding_mode="border",
                            align_corners=False)
    return sampled.movedim(0, 1).reshape(len(image), *shape)

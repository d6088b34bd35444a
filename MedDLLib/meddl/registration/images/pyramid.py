"""Image pyramid of a volume: the same field of view at several spacings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from meddl.spatial.grid import Grid, centered_grid


@dataclass(frozen=True, eq=False)
class Level:
    """A volume on one grid.

    Attributes:
        image: (I, J, K) float32 tensor, 0 to 1.
        grid: where the voxels lie, RAS mm.
        spacing_mm: the spacing that was asked for; thicker slices stay thicker.
        region: (I, J, K) float32 tensor, 1 where the volume counts; None: everywhere.
        mask: (I, J, K) float32 tensor, 1 in the object, inside the region if there is one; None: not looked for.
    """

    image: torch.Tensor
    grid: Grid
    spacing_mm: float
    region: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    @property
    def object_mask(self) -> torch.Tensor:
        """The mask of a level that has one.

        Raises:
            ValueError: the object was not looked for.
        """
        if self.mask is None:
            raise ValueError("This pyramid was built without the object's mask.")
        return self.mask

    def reduce(self, grid: Grid, spacing_mm: float, counts: Callable[[torch.Tensor], torch.Tensor]) -> "Level":
        """This level on a coarser `grid`; `counts` says of fractions of voxels which of them are in region and mask."""
        if grid.same_as(self.grid):
            region, mask = (None if part is None else part.contiguous() for part in (self.region, self.mask))
            return Level(self.image.contiguous(), grid, spacing_mm, region, mask)
        region, mask = (None if part is None else counts(reduce_to(part, self.grid, grid)).to(part)
                        for part in (self.region, self.mask))
        return Level(reduce_to(self.image, self.grid, grid), grid, spacing_mm, region, mask)


def build_pyramid(source: Level, grids: list[tuple[float, Grid]], counts: Callable[[torch.Tensor], torch.Tensor],
                  stepwise: bool = False, pause: Callable[[], None] = lambda: None) -> list[Level]:
    """A level for each pair (spacing in mm, grid) of `grids`, coarse to fine. All of them share one center.

    A coarser voxel is a triangle-weighted mean over twice its size.

    Args:
        source: at least as fine as the last grid.
        counts: see `Level.reduce`: `half_counts` or `whole_counts`.
        stepwise: each level is made from the next finer one, not from `source`: faster, and smoother.
        pause: called before each level; may raise Cancelled.
    """
    found = []
    for spacing_mm, grid in reversed(grids):
        pause()
        found.append(source.reduce(grid, spacing_mm, counts))
        if stepwise:
            source = found[-1]
    return found[::-1]


def half_counts(fraction: torch.Tensor) -> torch.Tensor:
    """A voxel counts that is filled by half; of a thin object, such as a vessel, by half of what the fullest one is."""
    return fraction > min(0.5, 0.5 * float(fraction.max()))


def whole_counts(fraction: torch.Tensor) -> torch.Tensor:
    """A voxel counts where nothing that does not count is in it."""
    return fraction > 0.99


def reduce_to(image: torch.Tensor, grid: Grid, coarser: Grid) -> torch.Tensor:
    """`image` (I, J, K) on `coarser`, a grid with the same center and directions, without aliasing."""
    order = sorted(range(3), key=lambda axis: coarser.shape[axis] / grid.shape[axis])
    for axis in order:
        if coarser.shape[axis] == grid.shape[axis] and coarser.spacing_mm[axis] == grid.spacing_mm[axis]:
            continue
        weights = triangle_weights(grid.shape[axis], coarser.shape[axis],
                                   coarser.spacing_mm[axis] / grid.spacing_mm[axis])
        matrix = torch.from_numpy(weights).to(image)
        image = torch.tensordot(matrix, image, dims=([1], [axis])).movedim(0, axis)
    return image.contiguous()


def triangle_weights(count: int, new_count: int, factor: float) -> np.ndarray:
    """Matrix (new_count, count) from samples to samples `factor` times as far apart, both centered alike.

    Rows sum to 1. A factor of 1 is linear interpolation; a larger one widens the triangle with it.
    """
    positions = (np.arange(new_count) - (new_count - 1) / 2) * factor + (count - 1) / 2
    distance = np.abs(positions[:, None] - np.arange(count)[None])
    weights = np.clip(1 - distance / max(1.0, factor), 0, None)
    empty = weights.sum(axis=1) == 0
    weights[empty, np.clip(np.rint(positions[empty]), 0, count - 1).astype(int)] = 1
    return weights / weights.sum(axis=1, keepdims=True)


def level_grids(grid: Grid, levels_mm: Iterable[float]) -> list[tuple[float, Grid]]:
    """Spacing and grid of each level, see `spacing_grid`."""
    return [(spacing_mm, spacing_grid(grid, spacing_mm)) for spacing_mm in levels_mm]


def spacing_grid(grid: Grid, spacing_mm: float) -> Grid:
    """A grid of this spacing over the same field of view; thicker slices stay thicker."""
    spacing = np.maximum(grid.spacing_mm, spacing_mm)
    if np.array_equal(spacing, grid.spacing_mm):
        return grid
    return centered_grid(grid, spacing)

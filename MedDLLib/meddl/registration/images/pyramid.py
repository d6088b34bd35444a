"""Image pyramid of a volume for linear registration."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from meddl.registration.images.intensity import foreground_mask, normalize
from meddl.spatial.grid import Grid, centered_grid
from meddl.spatial.resample import to_tensor


@dataclass(frozen=True, eq=False)
class Level:
    """A volume on one grid.

    Attributes:
        image: (I, J, K) float32 tensor, 0 to 1.
        mask: (I, J, K) bool array, the object, inside the region if there is one.
        region: (I, J, K) bool array, the part that counts; None: all of it.
        grid: where the voxels lie, RAS mm.
        spacing_mm: the spacing that was asked for; thicker slices stay thicker.
    """

    image: torch.Tensor
    mask: np.ndarray
    grid: Grid
    spacing_mm: float
    region: np.ndarray | None = None


def build_pyramid(data: np.ndarray, grid: Grid, fill: float, levels_mm, device: torch.device,
                  region_on: Callable[[Grid], np.ndarray] | None = None) -> list[Level]:
    """The volume at each spacing of `levels_mm` (descending), coarse to fine.

    The finest level is made from the data, voxels that are not finite replaced by `fill`; the others from the
    finest. A coarser voxel is a triangle-weighted mean over twice its size, and all grids share one center.
    `region_on` says which voxels (I, J, K) of a grid count.
    """
    finest_mm = levels_mm[-1]
    source = to_tensor(data, device)
    if data.dtype.kind == "f":
        source = torch.nan_to_num(source, nan=fill, posinf=fill, neginf=fill)
    finest_grid = spacing_grid(grid, finest_mm)
    values = reduce_to(source, grid, finest_grid).cpu().numpy()
    mask = foreground_mask(values)
    region = None if region_on is None else region_on(finest_grid)
    if region is not None:
        mask = mask & region if (mask & region).any() else region
    image = torch.from_numpy(normalize(values, mask)).to(device)
    levels = []
    for spacing_mm in levels_mm:
        level_grid = spacing_grid(grid, spacing_mm)
        if spacing_mm == finest_mm or level_grid.same_as(finest_grid):
            levels.append(Level(image, mask, level_grid, spacing_mm, region))
            continue
        reduced = reduce_to(image, finest_grid, level_grid)
        levels.append(Level(reduced, _reduce_mask(mask, finest_grid, level_grid), level_grid, spacing_mm,
                            None if region is None else _reduce_mask(region, finest_grid, level_grid)))
    return levels


def _reduce_mask(mask: np.ndarray, grid: Grid, coarser: Grid) -> np.ndarray:
    fraction = reduce_to(torch.from_numpy(mask).float(), grid, coarser).numpy()
    return fraction > min(0.5, 0.5 * float(fraction.max()))  # a thin object, such as a vessel, fills no coarse voxel


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


def spacing_grid(grid: Grid, spacing_mm: float) -> Grid:
    """A grid of this spacing over the same field of view; thicker slices stay thicker."""
    spacing = np.maximum(grid.spacing_mm, spacing_mm)
    if np.array_equal(spacing, grid.spacing_mm):
        return grid
    return centered_grid(grid, spacing)

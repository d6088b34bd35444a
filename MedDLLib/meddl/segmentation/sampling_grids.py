"""Grids of a network's input around a region, and images sampled on them."""

import numpy as np
import torch

from meddl.spatial.grid import Grid, grid_around
from meddl.spatial.resample import sample_indices

OBLIQUE_DEGREES = 20.0  # beyond, the network looks along the world's axes and not along the volume's


def working_directions(grid: Grid) -> np.ndarray:
    """Unit vectors, one a column, along which the network looks at a volume with axes nearest to R, A, S."""
    cosines = np.diag(grid.directions)
    off_axis = np.degrees(np.arccos(np.clip(cosines, -1, 1))).max()
    orthogonal = np.allclose(grid.directions.T @ grid.directions, np.eye(3), atol=1e-3)
    return grid.directions if off_axis <= OBLIQUE_DEGREES and orthogonal else np.eye(3)


def region(grid: Grid, center_mm: np.ndarray, shape, spacing_mm: float) -> Grid:
    """A grid of this shape and spacing about a point, along the working directions of `grid`."""
    return grid_around(center_mm, shape, working_directions(grid) * spacing_mm)


def covering(grid: Grid, spacing_mm: float, at_least, multiple: int = 8, at_most: int = 160) -> Grid:
    """A grid of this spacing over the whole of `grid`, each axis a multiple of `multiple` voxels."""
    directions = working_directions(grid)
    corners = np.stack(np.meshgrid(*[[-0.5, n - 0.5] for n in grid.shape], indexing="ij"), -1).reshape(-1, 3)
    along = grid.points_mm(corners) @ directions
    extent = along.max(axis=0) - along.min(axis=0)
    shape = np.ceil(extent / spacing_mm / multiple) * multiple
    shape = np.clip(shape, at_least, at_most).astype(int)
    return grid_around(grid.center_mm, shape, directions * spacing_mm)


def sample_region(image: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
    """An image (I, J, K) on `source`, averaged where `target` is coarser, on `target`; zero outside.

    Aligned grids are sampled one axis after another with a triangle filter as wide as the larger voxel, which
    is linear interpolation where the target is finer.
    """
    to_source = np.linalg.inv(source.affine) @ target.affine
    steps = to_source[:3, :3]
    aligned = np.abs(steps - np.diag(np.diag(steps))).max() < 1e-5 * np.abs(steps).max()
    if aligned:
        for axis in np.argsort([target.shape[a] / source.shape[a] for a in range(3)]):
            matrix = _triangle(source.shape[axis], target.shape[axis], steps[axis, axis], to_source[axis, 3])
            image = torch.tensordot(image, matrix.to(image), dims=([int(axis)], [1])).movedim(-1, int(axis))
        return image.contiguous()
    ratio = np.linalg.norm(target.affine[:3, :3], axis=0).min() / source.spacing_mm
    for axis in range(3):
        if ratio[axis] > 1:
            matrix = _triangle(source.shape[axis], source.shape[axis], 1.0, 0.0, width=float(ratio[axis]))
            image = torch.tensordot(image, matrix.to(image), dims=([axis], [1])).movedim(-1, axis)
    matrix = torch.from_numpy(to_source).to(image)
    axes = [torch.arange(n, device=image.device, dtype=image.dtype) for n in target.shape]
    coordinates = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ matrix[:3, :3].T + matrix[:3, 3]
    return sample_indices(image[None, None].contiguous(), coordinates)[0, 0]


def _triangle(source: int, target: int, step: float, start: float, width: float | None = None) -> torch.Tensor:
    """(target, source) weights of voxels about `start + step * j`; rows outside the field of view are zero."""
    coordinates = start + step * torch.arange(target, dtype=torch.float64)[:, None]
    voxels = torch.arange(source, dtype=torch.float64)[None]
    width = max(1.0, abs(step)) if width is None else width
    weights = (1 - (coordinates.clamp(0, source - 1) - voxels).abs() / width).clamp_min(0)
    inside = (coordinates >= -0.5) & (coordinates <= source - 0.5)
    return weights / weights.sum(dim=1, keepdim=True) * inside

"""Two aligned volumes in one picture: checkerboard and difference."""

import numpy as np

from meddl.core.progress import ProgressCallback
from meddl.results import Registration
from meddl.spatial.volume import Volume

SQUARES = 8  # along the longest side of the field of view


def footprint(registration: Registration, moving: Volume, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Which voxels of the fixed grid the moving volume reaches, (I, J, K) bool."""
    ones = Volume.scalar(np.ones(moving.shape, np.uint8), moving.affine)
    return registration.warp(ones, "nearest", on_progress=on_progress).scalar_data > 0


def matched_intensities(fixed: Volume, warped: Volume, inside: np.ndarray) -> np.ndarray:
    """`warped`, (I, J, K) float32, scaled so that its 1st and 99th percentile within `inside` are those of `fixed`."""
    if not inside.any():
        return np.zeros(fixed.shape, np.float32)
    low, high = np.percentile(fixed.scalar_data[inside], (1, 99))
    first, last = np.percentile(warped.scalar_data[inside], (1, 99))
    scale = (high - low) / (last - first) if last > first else 1.0
    return np.where(inside, (warped.scalar_data - first) * scale + low, 0).astype(np.float32)


def checkerboard(fixed: Volume, warped: Volume, inside: np.ndarray, squares: int = SQUARES) -> Volume:
    """Cubes of the fixed volume and of the moving one on its grid, in turn; the latter in the former's intensities.

    Args:
        warped: the moving volume on the fixed grid.
        inside: `footprint`; elsewhere the fixed volume is shown.
        squares: cubes along the longest side.
    """
    side_mm = fixed.grid.extent_mm.max() / squares
    parity = sum(np.floor((np.arange(n) + 0.5) * size / side_mm).astype(int).reshape(
        [-1 if a == axis else 1 for a in range(3)])
        for axis, (n, size) in enumerate(zip(fixed.shape, fixed.spacing_mm, strict=True))) % 2
    chosen = inside & (parity == 1)
    board = np.where(chosen, matched_intensities(fixed, warped, inside), fixed.scalar_data)
    return Volume.scalar(board.astype(np.float32), fixed.affine)


def difference(fixed: Volume, warped: Volume, inside: np.ndarray) -> Volume:
    """The moving volume on the fixed grid, in the fixed one's intensities, minus the fixed one; 0 outside `inside`."""
    left = matched_intensities(fixed, warped, inside) - fixed.scalar_data
    return Volume.scalar(np.where(inside, left, 0).astype(np.float32), fixed.affine)

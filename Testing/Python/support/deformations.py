"""Deformations for tests."""

import numpy as np
import torch

from meddl.spatial.grid import Grid, grid_around


def tissue(points: np.ndarray) -> np.ndarray:
    """A smooth picture with much structure inside a ball of 40 mm: values at points (..., 3) in mm."""
    x, y, z = np.moveaxis(points / 7.0, -1, 0)
    inside = 1 / (1 + np.exp((np.linalg.norm(points, axis=-1) - 36) / 2))
    return inside * (2 + np.sin(x + 0.5 * y) + np.cos(1.3 * y - 0.4 * z + 0.3) + np.sin(1.1 * z + 0.6 * x + 1))


def bend(points: np.ndarray) -> np.ndarray:
    """A smooth displacement of at most 5 mm at points (..., 3): fixed to moving, in mm."""
    x, y, z = np.moveaxis(points / 15.0, -1, 0)
    fade = np.exp(-(points ** 2).sum(axis=-1) / (2 * 25.0 ** 2))
    return np.stack([3 * np.sin(y), 2.5 * np.cos(z), 3 * np.sin(x + 1)], axis=-1) * fade[..., None]


def places(grid: Grid) -> np.ndarray:
    return grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))


def unbent(points: np.ndarray) -> np.ndarray:
    """The inverse of x + bend(x)."""
    found = points
    for _ in range(30):
        found = points - bend(found)
    return found


def box(spacing_mm=3.0, directions=None, reach_mm=48.0) -> Grid:
    spacing = np.broadcast_to(np.asarray(spacing_mm, dtype=float), (3,))
    steps = (np.eye(3) if directions is None else directions) * spacing
    return grid_around(np.zeros(3), np.rint(2 * reach_mm / spacing).astype(int), steps)


def least_jacobian(displacement: torch.Tensor) -> float:
    jacobian = np.stack([np.stack(np.gradient(channel)) for channel in displacement.numpy()])
    return float(np.linalg.det(np.moveaxis(jacobian, (0, 1), (-2, -1)) + np.eye(3)).min())


def turned(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])

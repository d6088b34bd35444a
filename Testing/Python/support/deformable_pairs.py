"""Deformable pairs for tests."""

import numpy as np
from deformations import bend, box, places, tissue, unbent

from meddl.core.config import RegisterConfig
from meddl.results import Registration
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

QUICK = RegisterConfig(transform_type="deformable", initialization="given", levels_mm=(8.0, 4.0), samples=5000,
                       iterations=5, deformable_iterations=(30, 15), deformable_levels_mm=(6.0, 3.0),
                       estimate_quality=False)


NEAR = np.array([[1, 0.02, 0, 1.5], [-0.02, 1, 0, -1], [0, 0, 1.01, 0.5], [0, 0, 0, 1]])  # an affine map


def picture(grid: Grid, known=None, contrast=lambda value: 100 * value, seed=0) -> Volume:
    """The phantom on a grid whose points `known` takes back to the phantom's own space."""
    points = places(grid)
    value = contrast(tissue(points if known is None else known(points)))
    noise = np.random.default_rng(seed).normal(size=grid.shape)
    return Volume.scalar((value + noise).astype(np.float32), grid.affine)


def back(points: np.ndarray) -> np.ndarray:
    """Moving points to fixed ones: the inverse of p -> NEAR @ (p + bend(p))."""
    plain = (points - NEAR[:3, 3]) @ np.linalg.inv(NEAR[:3, :3]).T
    return unbent(plain)


def in_steps(value: np.ndarray, heights=(25, 25, 25, 25)) -> np.ndarray:
    """Four tissues and air, with narrow edges between them."""
    return sum(height / (1 + np.exp(-8 * (value - level))) for level, height in zip((0.8, 1.6, 2.4, 3.2), heights))


def other_contrast(value: np.ndarray) -> np.ndarray:
    """The same tissues, the bright ones dark and the dark ones bright."""
    return in_steps(value, (110, -25, -30, -20))


def error_mm(result: Registration) -> tuple[float, float]:
    """Mean distance from the truth in the phantom, with and without the displacement."""
    points = places(box(6.0)).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) < 32]
    truth = (points + bend(points)) @ NEAR[:3, :3].T + NEAR[:3, 3]
    linear = points @ result.affine[:3, :3].T + result.affine[:3, 3]
    return (float(np.linalg.norm(result.points(points) - truth, axis=1).mean()),
            float(np.linalg.norm(linear - truth, axis=1).mean()))

"""Displacements for tests."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume


def turned(angle=0.3, scale=(1.1, 0.95, 1.03), shift=(12, -20, 5)) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag(scale)
    affine[:3, 3] = shift
    return affine


def oblique(spacing=(2, 2, 2), left_handed=False, shape=(40, 44, 36)) -> Grid:
    directions = turned(0.5, (1, 1, 1))[:3, :3] @ np.diag([-1 if left_handed else 1, 1, 1])
    affine = np.eye(4)
    affine[:3, :3] = directions @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2)
    return Grid(shape, affine)


def smooth(grid: Grid, largest_mm=6.0, sigma_mm=10.0, seed=0) -> Volume:
    rng = np.random.default_rng(seed)
    field = np.stack([gaussian_filter(rng.normal(size=grid.shape), sigma_mm / grid.spacing_mm) for _ in range(3)])
    return Volume((field * (largest_mm / np.abs(field).max())).astype(np.float32), grid.affine)


def inside(grid: Grid, count=3000, margin=0.0, seed=1) -> np.ndarray:
    low, high = margin - 0.5, np.array(grid.shape) - 0.5 - margin
    return grid.points_mm(np.random.default_rng(seed).uniform(low, high, (count, 3)))


GRIDS = {"oblique": oblique(), "left-handed": oblique(left_handed=True),
         "anisotropic": oblique((1, 1.2, 5), shape=(60, 60, 14))}


@pytest.fixture(params=GRIDS.values(), ids=GRIDS.keys())
def grid(request):
    return request.param

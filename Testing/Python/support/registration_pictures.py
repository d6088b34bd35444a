"""Phantoms as volumes, and how far found maps are from the true ones."""

import itertools

import numpy as np
from registration_phantoms import tissue

from meddl.registration.linear.motion import rotation_angle_deg
from meddl.results import Registration
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume


def picture(grid: Grid, to_phantom: np.ndarray | None = None, other_contrast: bool = False) -> Volume:
    """The phantom seen on a grid whose points `to_phantom` takes to the phantom's own space."""
    indices = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    points = grid.points_mm(indices)
    if to_phantom is not None:
        points = points @ to_phantom[:3, :3].T + to_phantom[:3, 3]
    value = tissue(points)
    if other_contrast:  # neither rising nor falling with the first
        value = np.where(value > 0.02, 0.2 + 0.8 * np.abs(np.sin(4 * value)), 0.9 * value)
    noise = np.random.default_rng(1).normal(size=grid.shape)
    return Volume.scalar((1000 * value + 10 * noise).astype(np.float32), grid.affine)


def disagreement_mm(found: np.ndarray, truth: np.ndarray, grid: Grid) -> float:
    """The largest distance between two maps at the corners of the middle of the grid's field of view."""
    corners = np.array(list(itertools.product((0.15, 0.85), repeat=3))) * (np.array(grid.shape) - 1)
    points = np.c_[grid.points_mm(corners), np.ones(8)]
    return float(np.linalg.norm((points @ (found - truth).T)[:, :3], axis=1).max())


def assert_found(result: Registration, truth: np.ndarray, within_mm: float, within_deg: float = 1.0):
    assert disagreement_mm(result.affine, truth, result.grid) < within_mm
    assert rotation_angle_deg(np.linalg.inv(truth) @ result.affine) < within_deg

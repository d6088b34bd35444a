"""Registration phantoms for tests."""

import numpy as np

from meddl.registration.linear.motion import about
from meddl.spatial.grid import Grid


def rotation(angle_deg: float, axis) -> np.ndarray:
    x, y, z = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(angle_deg)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def rigid(angle_deg: float, axis, shift_mm, center_mm=(0, 0, 0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(angle_deg, axis)
    affine[:3, 3] = shift_mm
    return about(np.asarray(center_mm, dtype=float), affine)


def tissue(points: np.ndarray) -> np.ndarray:
    """An egg with blobs in it, about 150 mm long, without any symmetry: value 0 to 1 at points (..., 3) in mm."""
    rng = np.random.default_rng(5)
    edge = 1 - np.sqrt((points[..., 0] / 60) ** 2 + (points[..., 1] / 75) ** 2 + (points[..., 2] / 55) ** 2)
    inside = 1 / (1 + np.exp(-np.clip(edge * 30, -40, 40)))
    value = 0.45 + np.zeros(points.shape[:-1])
    for _ in range(14):
        center, width, height = rng.uniform(-45, 45, 3), rng.uniform(7, 16), rng.choice([-0.35, 0.4])
        value += height * np.exp(-((points - center) ** 2).sum(axis=-1) / (2 * width ** 2))
    return inside * np.clip(value, 0, 1)


def box(spacing_mm=3.0, shape=(54, 60, 50), directions=None, shift_mm=(0, 0, 0)) -> Grid:
    """A grid whose center is at `shift_mm`."""
    directions = np.eye(3) if directions is None else directions
    affine = np.eye(4)
    affine[:3, :3] = directions * np.broadcast_to(np.asarray(spacing_mm, dtype=float), (3,))
    affine[:3, 3] = np.asarray(shift_mm) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)

"""Known maps for the cases of bench_register.py: rigid ones, and smooth invertible ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from meddl.spatial.grid import Grid

_LATTICE_MM = 7.0  # spacing at which a smooth map is integrated
# Standard deviation of the Gaussian that smooths the random velocities: at 20 mm greedy's error at 2 mm is about half a
# millimeter, at 14 mm it was 0.72. Chosen by greedy alone.
_SMOOTH_MM = 20.0
_LARGEST_MM = 9.0  # the largest displacement of the smooth map
_ROOM_MM = 50.0  # so far outside the volume, nothing moves any more


@dataclass(frozen=True, eq=False)
class SmoothMap:
    """An invertible map of space: `affine` after the flow of a smooth velocity field.

    Attributes:
        affine: 4x4, RAS mm.
        grid: the lattice of the displacements.
        forward, backward: cubic B-spline coefficients (3, I, J, K) of the flow's displacement and of its inverse's, mm.
    """

    affine: np.ndarray
    grid: Grid
    forward: np.ndarray
    backward: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Where points (N, 3) go."""
        return transformed(points + self._displacement(self.forward, points), self.affine)

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Where points (N, 3) come from."""
        points = transformed(points, np.linalg.inv(self.affine))
        return points + self._displacement(self.backward, points)

    def _displacement(self, coefficients, points):
        return sampled(coefficients, self.grid.indices(points), order=3, prefilter=False).T


def transformed(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (N, 3) under a 4x4 matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def sampled(channels: np.ndarray, indices: np.ndarray, order: int, prefilter: bool = True) -> np.ndarray:
    """Channels (C, I, J, K) at continuous indices (N, 3), zero outside: (C, N)."""
    return np.stack([ndimage.map_coordinates(channel, indices.T, order=order, prefilter=prefilter, mode="constant")
                     for channel in channels])


def rigid(rng: np.random.Generator, degrees: float, shift_mm: float, center_mm: np.ndarray) -> np.ndarray:
    """A random 4x4 rigid map about a center: an angle of up to `degrees` (180: any rotation, each as likely), a shift
    of up to `shift_mm` along each axis."""
    if degrees >= 180:
        rotation = Rotation.random(rng=rng).as_matrix()
    else:
        axis = rng.normal(size=3)
        angle = np.radians(rng.uniform(degrees / 3, degrees))
        rotation = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = center_mm + rng.uniform(-shift_mm, shift_mm, 3) - rotation @ center_mm
    return matrix


def smooth_map(rng: np.random.Generator, grid: Grid) -> SmoothMap:
    """A random affine map (at most 8 degrees, 8 mm, 6 % of scale, 3 % of shear) after a random diffeomorphism: the flow
    for unit time of velocities smoothed to 20 mm, whose largest displacement is 9 mm. Both are centered on `grid`."""
    scale = np.eye(4)
    scale[:3, :3] = np.diag(np.exp(rng.uniform(-0.06, 0.06, 3))) + np.triu(rng.uniform(-0.03, 0.03, (3, 3)), 1)
    center = np.eye(4)
    center[:3, 3] = grid.center_mm
    affine = rigid(rng, 8.0, 8.0, grid.center_mm) @ center @ scale @ np.linalg.inv(center)

    reach_mm = grid_reach(grid)
    lattice = box_grid(grid.center_mm - reach_mm - _ROOM_MM, grid.center_mm + reach_mm + _ROOM_MM, _LATTICE_MM)
    velocity = np.stack([ndimage.gaussian_filter(rng.normal(size=lattice.shape), _SMOOTH_MM / _LATTICE_MM)
                         for _ in range(3)])
    offset = np.moveaxis(lattice.points_mm(np.moveaxis(np.indices(lattice.shape), 0, -1)) - lattice.center_mm, -1, 0)
    beyond = np.maximum(np.abs(offset) - reach_mm[:, None, None, None], 0) / (_ROOM_MM / 3)
    velocity *= np.exp(-0.5 * (beyond**2).sum(axis=0))
    # The largest displacement is less than the largest velocity, since points flow on to where it is less.
    size = _LARGEST_MM / np.linalg.norm(velocity, axis=0).max()
    for _ in range(2):
        forward = _flow(velocity * size, lattice)
        size *= _LARGEST_MM / np.linalg.norm(forward, axis=0).max()
    return SmoothMap(affine, lattice, _coefficients(_flow(velocity * size, lattice)),
                     _coefficients(_flow(-velocity * size, lattice)))


def grid_reach(grid: Grid) -> np.ndarray:
    """Half the size of the grid's box along the world's axes in mm, shape (3,)."""
    return np.abs(grid.directions) @ grid.extent_mm / 2


def _flow(velocity: np.ndarray, grid: Grid, steps: int = 6) -> np.ndarray:
    """Displacements (3, I, J, K) in mm of the flow of velocities for unit time, by Runge and Kutta's fourth order."""
    coefficients = _coefficients(velocity)
    start = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3))
    points, step = start, 1.0 / steps

    def speed(where):
        return sampled(coefficients, grid.indices(where), order=3, prefilter=False).T

    for _ in range(steps):
        a = speed(points)
        b = speed(points + step / 2 * a)
        c = speed(points + step / 2 * b)
        d = speed(points + step * c)
        points = points + step / 6 * (a + 2 * b + 2 * c + d)
    return (points - start).T.reshape(3, *grid.shape)


def _coefficients(channels: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.spline_filter(channel, order=3, mode="constant") for channel in channels])


def box_grid(low_mm: np.ndarray, high_mm: np.ndarray, spacing_mm: float) -> Grid:
    """A grid along R, A, S that covers a box."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    shape = np.maximum(np.ceil((high_mm - low_mm) / spacing_mm - 1e-6).astype(int), 1)
    affine[:3, 3] = (low_mm + high_mm) / 2 - (shape - 1) / 2 * spacing_mm
    return Grid(tuple(shape), affine)

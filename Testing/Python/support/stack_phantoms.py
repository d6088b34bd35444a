"""Stacks of thick slices of one phantom, which moves between them."""

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates, spline_filter
from scipy.spatial.transform import Rotation

import meddl

SIZE, SPACING, FACTOR = 48, 2.5, 4


def textured_ellipsoid() -> np.ndarray:
    """An ellipsoid with texture, (48, 48, 48)."""
    random = np.random.default_rng(5)
    texture = gaussian_filter(random.standard_normal((SIZE,) * 3), 1.3)
    texture += 4 * gaussian_filter(random.standard_normal((SIZE,) * 3), 4)
    places = (np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), -1) - (SIZE - 1) / 2) / (19, 16, 21)
    inside = gaussian_filter((np.square(places).sum(-1) < 1).astype(float), 0.7)
    return inside * (500 + 200 * texture / texture.std())


def moved(truth: np.ndarray, sign: int = 1) -> np.ndarray:
    turn = Rotation.from_rotvec(np.radians(sign * 2.5) * np.array([0.6, 0.48, 0.64])).as_matrix()
    center = np.full(3, (SIZE - 1) / 2)
    return affine_transform(truth, turn, center + sign * np.array([0.7, -0.4, 0.5]) - turn @ center, order=5)


def thick(data: np.ndarray, axis: int) -> meddl.Volume:
    """Means of four planes, with noise."""
    shape = list(data.shape)
    shape[axis:axis + 1] = [SIZE // FACTOR, FACTOR]
    slices = data.reshape(shape).mean(axis=axis + 1)
    slices = slices + np.random.default_rng(axis).standard_normal(slices.shape)
    affine = np.diag([SPACING] * 3 + [1.0])
    affine[axis, axis] *= FACTOR
    affine[axis, 3] = SPACING * (FACTOR - 1) / 2
    return meddl.Volume.scalar(slices.astype(np.float32), affine)


def three_stacks(truth: np.ndarray) -> list[meddl.Volume]:
    """Axial, coronal and sagittal, the second and third after a motion."""
    return [thick(truth, 2), thick(moved(truth), 1), thick(moved(truth, -1), 0)]


def slice_motions(axis: int, mm: float, degrees: float) -> tuple[Rotation, np.ndarray]:
    """A random rigid motion of each slice, of these standard deviations: rotations, and shifts (S, 3) in mm."""
    turns, shifts = np.random.default_rng(10 + axis).standard_normal((2, SIZE // FACTOR, 3)) / np.sqrt(3)
    return Rotation.from_rotvec(np.radians(degrees) * turns), mm * shifts


def moving_slices(truth: np.ndarray, axis: int, mm: float, degrees: float) -> meddl.Volume:
    """As `thick`, each slice after the motion of `slice_motions` about its center."""
    random = np.random.default_rng(20 + axis)
    spline = spline_filter(truth, order=3)
    centers = np.arange(SIZE // FACTOR) * FACTOR + (FACTOR - 1) / 2
    plane = np.moveaxis(np.indices(truth.shape, float), 0, -1).take(0, axis) - (SIZE - 1) / 2
    plane[..., axis] = 0
    slices = []
    turns, shifts = slice_motions(axis, mm, degrees)
    for center, turn, shift in zip(centers, turns, shifts / SPACING, strict=True):
        middle = np.full(3, (SIZE - 1) / 2)
        middle[axis] = center
        through = np.zeros(3)
        total = np.zeros(plane.shape[:2])
        for through[axis] in np.arange(FACTOR) - (FACTOR - 1) / 2:
            points = turn.apply((plane + through).reshape(-1, 3)) + middle + shift
            total += map_coordinates(spline, points.T, order=3, prefilter=False).reshape(total.shape)
        slices.append(total / FACTOR + random.standard_normal(total.shape))
    still = thick(truth, axis)
    return meddl.Volume.scalar(np.stack(slices, axis).astype(np.float32), still.affine)

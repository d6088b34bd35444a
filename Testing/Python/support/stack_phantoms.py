"""Stacks of thick slices of one phantom, which moves between them."""

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter
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

"""Vessel pairs for tests."""

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from meddl.spatial.volume import Volume

SHAPE = (64, 72, 60)


def tree() -> np.ndarray:
    """A branching vessel in a box of 1.5 mm voxels, as a mask."""
    rng = np.random.default_rng(3)
    mask = np.zeros(SHAPE, dtype=bool)
    for start, way in (((32, 30, 8), (0, 0.2, 1)), ((32, 34, 28), (0.9, 0.3, 0.3)), ((32, 34, 28), (-0.8, 0.5, 0.3)),
                       ((32, 34, 28), (0, -0.9, 0.6))):
        place, way = np.array(start, float), np.array(way) / np.linalg.norm(way)
        for _ in range(44):
            mask[tuple(np.rint(place).astype(int))] = True
            way = way + rng.normal(0, 0.15, 3)
            way /= np.linalg.norm(way)
            place = np.clip(place + 0.6 * way, 4, np.array(SHAPE) - 5)
    return ndimage.binary_dilation(mask)


def pair() -> tuple[Volume, Volume]:
    """A head with flow voids, and the vessels alone."""
    rng = np.random.default_rng(0)
    vessels = tree()
    places = (np.indices(SHAPE) - np.array(SHAPE)[:, None, None, None] / 2) / np.array(SHAPE)[:, None, None, None]
    head = (places ** 2).sum(axis=0) < 0.22
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 3)
    image = np.where(head, 100 + 20 * texture / texture.std(), 0) * np.where(vessels, 0.4, 1)
    image = ndimage.gaussian_filter(image, 0.5) + np.abs(rng.normal(0, 2, SHAPE))
    affine = np.diag([1.5, 1.5, 1.5, 1])
    return Volume.scalar(image.astype(np.float32), affine), Volume.scalar(
        np.where(vessels, rng.uniform(50, 200, SHAPE), 0).astype(np.float32), affine)


def moved(degrees=(8, -10, 5), shift_mm=(20, -30, 12)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix

"""Channel images for tests."""

import numpy as np
from scipy.ndimage import gaussian_filter

from meddl.spatial.volume import Volume

OBLIQUE = np.array([[0.2, -1.6, 0.1, 20.0], [1.4, 0.2, 0.1, -28.0], [-0.1, 0.1, 2.1, -22.0], [0, 0, 0, 1]])


def blobs(shape, affine, seed: int = 0, dtype=np.float32) -> Volume:
    random = np.random.default_rng(seed)
    return Volume.scalar((100 * gaussian_filter(random.standard_normal(shape), 2) + 40).astype(dtype), affine)


def three() -> list[Volume]:
    """A volume, one on the same grid, one oblique and larger on all sides."""
    first = blobs((30, 26, 22), np.array([[-1.5, 0, 0, 22], [0, 1.5, 0, -19], [0, 0, 2.0, -22], [0, 0, 0, 1]]))
    larger = (50, 44, 38)
    return [first, blobs((30, 26, 22), first.affine, 1), blobs(larger, center_on(OBLIQUE, larger, first), 2)]


def center_on(affine: np.ndarray, shape, volume: Volume) -> np.ndarray:
    moved = np.array(affine)
    moved[:3, 3] = volume.grid.center_mm - moved[:3, :3] @ ((np.array(shape) - 1) / 2)
    return moved

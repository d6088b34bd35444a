"""Volumes with known truth for the tests of super-resolution."""

import numpy as np
from scipy import ndimage

from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

TURNED = np.array([[0.9, -0.35, 0.2], [0.3, 0.93, 0.2], [-0.25, -0.12, 0.96]])


def affine(spacing_mm, directions=None, origin=(3.0, -20.0, 7.0)) -> np.ndarray:
    """An affine with orthonormal axes near `directions`."""
    u, _, vt = np.linalg.svd(np.eye(3) if directions is None else directions)
    result = np.eye(4)
    result[:3, :3] = (u @ vt) * np.asarray(spacing_mm, dtype=float)
    result[:3, 3] = origin
    return result


def blob(grid: Grid, center_mm, width_mm: float) -> np.ndarray:
    """A Gaussian ball."""
    indices = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return np.exp(-((grid.points_mm(indices) - center_mm) ** 2).sum(axis=-1) / (2 * width_mm ** 2))


def centroid_mm(volume: Volume) -> np.ndarray:
    """Center of mass of the first channel, RAS mm."""
    weights = volume.data[0].astype(float)
    places = np.argwhere(np.ones_like(weights, bool))
    return volume.grid.points_mm((places * weights.reshape(-1, 1)).sum(axis=0) / weights.sum())


def textured(shape, seed: int = 0) -> np.ndarray:
    """A random object with edges and texture, about 0 to 1."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.normal(size=shape), 4.0)
    fine = ndimage.gaussian_filter(rng.normal(size=shape), 1.2)
    return (0.5 * (coarse > 0) + 0.3 * (ndimage.gaussian_filter(rng.normal(size=shape), 2.5) > 0.02)
            + 0.3 * fine / fine.std() * 0.2)


def thick_slices(truth: np.ndarray, factor: int, noise: float = 0.0, seed: int = 0) -> Volume:
    """Every `factor`-th value along the last axis after a Gaussian blur of that full width; by SciPy alone."""
    blurred = ndimage.gaussian_filter1d(truth.astype(float), factor / 2.3548, axis=2, mode="reflect", truncate=5)
    count = truth.shape[2] // factor
    centers = np.arange(count) * factor + (factor - 1) / 2
    low = np.floor(centers).astype(int)
    slices = (blurred[..., low] + blurred[..., np.ceil(centers).astype(int)]) / 2
    slices += noise * np.random.default_rng(seed).normal(size=slices.shape)
    return Volume.scalar(slices.astype(np.float32), affine((1, 1, factor)))

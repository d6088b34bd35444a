"""Two dates of one subject for tests: a phantom with lesions, and its labels."""

import numpy as np
from registration_phantoms import box, rigid, rotation, tissue

from meddl.results import Registration, Segment, Segmentation
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

GROWN_RADIUS_MM = 12.0
MOTION = rigid(5.0, (1, 2, -1), (4.0, -3.0, 2.0))  # from points of the baseline to points of the follow-up
GRIDS = {
    "upright": box(3.0, (50, 60, 48)),
    "oblique": box((2.8, 3.2, 3.0), (54, 56, 50), rotation(20, (1, 1, 2))),
    "anisotropic": box((2.0, 2.0, 5.0), (75, 88, 28)),
    "left-handed": box(3.0, (50, 60, 48), rotation(10, (0, 1, 1)) @ np.diag([-1.0, 1.0, 1.0])),
}
FINE_GRIDS = {
    "upright": box(1.5, (80, 90, 70)),
    "oblique": box((1.4, 1.6, 1.5), (86, 86, 76), rotation(20, (1, 1, 2))),
    "anisotropic": box((1.0, 1.0, 2.0), (116, 132, 60)),
    "left-handed": box(1.5, (80, 90, 76), rotation(10, (0, 1, 1)) @ np.diag([-1.0, 1.0, 1.0])),
}


def radius_of(volume_ml: float) -> float:
    """Radius in mm of a sphere of this volume."""
    return (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)


def points_of(grid: Grid) -> np.ndarray:
    """(I, J, K, 3) RAS mm of all voxels."""
    return grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


def spheres(grid: Grid, lesions, motion=None) -> np.ndarray:
    """(I, J, K) bool: the voxels in spheres, (center in the baseline's space, ml) each, at a date moved by `motion`."""
    points = points_of(grid)
    found = np.zeros(grid.shape, bool)
    for center, volume_ml in lesions:
        place = np.asarray(center, float) if motion is None else motion[:3, :3] @ center + motion[:3, 3]
        found |= ((points - place) ** 2).sum(axis=-1) <= radius_of(volume_ml) ** 2
    return found


def lesion_labels(grid: Grid, lesions, motion=None) -> Segmentation:
    """Spheres as a segmentation of one structure, "Lesion"."""
    return Segmentation(spheres(grid, lesions, motion).astype(np.uint8), grid.affine,
                        (Segment(1, "Lesion", (1.0, 0.0, 0.0)),))


def date(grid: Grid, lesions=(), motion=None, noise=0.0, seed=0, height=500.0) -> Volume:
    """The phantom, 0 to about 1000, with lesions of another intensity, at a date moved by `motion`."""
    points = points_of(grid)
    if motion is not None:
        back = np.linalg.inv(motion)
        points = points @ back[:3, :3].T + back[:3, 3]
    image = 1000 * tissue(points)
    image[spheres(grid, lesions, motion)] += height
    image = image + noise * np.random.default_rng(seed).normal(size=grid.shape)
    return Volume.scalar(np.abs(image).astype(np.float32), grid.affine)


def growth(grid: Grid, center, percent: float) -> Registration:
    """A known deformation in which a sphere of GROWN_RADIUS_MM and 4 mm around it grow by so much volume, and nothing
    beyond 20 mm from it."""
    away = points_of(grid) - center
    radius = np.linalg.norm(away, axis=-1, keepdims=True)
    fade = (1 + np.cos(np.pi * np.clip((radius - GROWN_RADIUS_MM - 4) / 16, 0, 1))) / 2
    scale = (1 + percent / 100) ** (1 / 3) - 1
    field = np.moveaxis(scale * away * fade, -1, 0).astype(np.float32)
    return Registration(np.eye(4), Volume(field, grid.affine), grid, {}, grid)

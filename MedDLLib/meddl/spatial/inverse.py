"""The inverse of a deformable transform as a transform of its own."""

from typing import Protocol, TypeVar

import numpy as np

from meddl.core.progress import ProgressCallback, report, span
from meddl.spatial.displacement import invert
from meddl.spatial.grid import Grid, covering_grid, halved_grid, is_orthonormal
from meddl.spatial.volume import Volume

ERROR_MM = 0.06            # a smaller voxel is tried where the way there and back misses by more
_TESTED_POINTS = 20_000
_MOST_VOXELS = 16_000_000  # of a grid with halved voxels
_HALVINGS = 3
_SEED = 20240229


class Deformable(Protocol):
    """What is used of a `Transform` here."""

    def __init__(self, affine: np.ndarray, displacement: Volume | None, grid: Grid | None, report: dict,
                 moving_grid: Grid | None): ...

    @property
    def affine(self) -> np.ndarray: ...

    @property
    def displacement(self) -> Volume | None: ...

    @property
    def grid(self) -> Grid | None: ...

    @property
    def moving_grid(self) -> Grid | None: ...

    @property
    def report(self) -> dict: ...

    def points(self, points_mm: np.ndarray) -> np.ndarray: ...


T = TypeVar("T", bound=Deformable)


def inverse_transform(transform: T, field: Volume, on_progress: ProgressCallback | None = None,
                      grid: Grid | None = None) -> T:
    """What `Transform.invert` returns for a deformable transform, whose displacement is `field`."""
    if grid is not None:
        return _invert(transform, field, grid, None, on_progress)
    grid = inverse_grid(transform, field)
    whole = 0.5
    found = _invert(transform, field, grid, None, span(on_progress, 0.0, whole))
    for _ in range(_HALVINGS):
        finer = halved_grid(grid)
        error = found.report["inverse_error_mm"]["percentile_99_9"]
        if error <= ERROR_MM or np.prod(finer.shape, dtype=float) > _MOST_VOXELS:
            break
        better = _invert(transform, field, finer, found.displacement, span(on_progress, whole, (1 + whole) / 2))
        whole = (1 + whole) / 2
        if better.report["inverse_error_mm"]["percentile_99_9"] > 0.8 * error:
            break  # what is left is folding, which no grid resolves
        found, grid = better, finer
    report(on_progress, 1.0, "Inverted")
    return found


def inverse_grid(transform: Deformable, field: Volume) -> Grid:
    """A grid with right angles around the image of the fixed field of view in the moving space."""
    fixed = transform.grid or field.grid
    surface = np.concatenate([transform.points(grid.points_mm(_surface(grid.shape)))
                              for grid in (fixed, field.grid)])
    if transform.moving_grid is not None and is_orthonormal(transform.moving_grid):
        directions = transform.moving_grid.directions
    else:
        u, _, vt = np.linalg.svd(transform.affine[:3, :3] @ field.grid.directions)
        directions = u @ vt
    # Along each axis the size of the field's voxel that points most along it.
    steps = np.abs(np.linalg.inv(directions) @ transform.affine[:3, :3] @ field.affine[:3, :3])
    spacing = field.spacing_mm[steps.argmax(axis=1)] if len(set(steps.argmax(axis=1))) == 3 else min(field.spacing_mm)
    return covering_grid(surface, directions, spacing)


def _invert(transform: T, field: Volume, grid: Grid, guess: Volume | None, on_progress: ProgressCallback | None) -> T:
    affine, displacement, unsolved = invert(transform.affine, field, grid, guess,
                                            on_progress=on_progress)
    made = type(transform)(affine, displacement, transform.moving_grid or grid, {}, transform.grid)
    fixed = transform.grid or field.grid
    coordinates = np.random.default_rng(_SEED).uniform(-0.5, np.array(fixed.shape) - 0.5, (_TESTED_POINTS, 3))
    points = fixed.points_mm(coordinates)
    missed = np.linalg.norm(made.points(transform.points(points)) - points, axis=1)
    made.report["inverse_error_mm"] = {"mean": float(missed.mean()),
                                       "percentile_99_9": float(np.percentile(missed, 99.9))}
    made.report["unsolved_percent"] = 100 * unsolved
    return made


def _surface(shape: tuple[int, int, int]) -> np.ndarray:
    """Voxel indices on the surface of the field of view, at voxel edges and every voxel between, (N, 3)."""
    found = []
    for axis in range(3):
        others = [np.unique([-0.5, *range(shape[a]), shape[a] - 0.5]) for a in range(3) if a != axis]
        plane = np.array(np.meshgrid(*others, indexing="ij")).reshape(2, -1).T
        for end in (-0.5, shape[axis] - 0.5):
            found.append(np.insert(plane, axis, end, axis=1))
    return np.concatenate(found)

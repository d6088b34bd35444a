"""The inverse of a deformable registration as a registration of its own."""

import numpy as np

from meddl.fields import invert
from meddl.geometry import Grid, covering_grid, is_orthonormal
from meddl.progress import ProgressCallback, report, span
from meddl.results import Registration
from meddl.volume import Volume

ERROR_MM = 0.06            # a smaller voxel is tried where the way there and back misses by more
_TESTED_POINTS = 20_000
_MOST_VOXELS = 16_000_000  # of a grid with halved voxels
_HALVINGS = 3
_SEED = 20240229


def inverse_registration(registration: Registration, on_progress: ProgressCallback | None = None,
                         grid: Grid | None = None) -> Registration:
    """What `Registration.invert` returns for a deformable registration."""
    if grid is not None:
        return _inverted(registration, grid, None, on_progress)
    grid = inverse_grid(registration)
    whole = 0.5
    found = _inverted(registration, grid, None, span(on_progress, 0.0, whole))
    for _ in range(_HALVINGS):
        finer = Grid(tuple(2 * n - 1 for n in grid.shape), grid.affine @ np.diag([0.5, 0.5, 0.5, 1]))
        error = found.report["inverse_error_mm"]["percentile_99_9"]
        if error <= ERROR_MM or np.prod(finer.shape, dtype=float) > _MOST_VOXELS:
            break
        better = _inverted(registration, finer, found.displacement, span(on_progress, whole, (1 + whole) / 2))
        whole = (1 + whole) / 2
        if better.report["inverse_error_mm"]["percentile_99_9"] > 0.8 * error:
            break  # what is left is folding, which no grid resolves
        found, grid = better, finer
    report(on_progress, 1.0, "Inverted")
    return found


def inverse_grid(registration: Registration) -> Grid:
    """A grid with right angles around the image of the fixed field of view in the moving space."""
    field = registration.displacement
    fixed = registration.grid or field.grid
    surface = np.concatenate([registration.points(grid.points_mm(_surface(grid.shape)))
                              for grid in (fixed, field.grid)])
    if registration.moving_grid is not None and is_orthonormal(registration.moving_grid):
        directions = registration.moving_grid.directions
    else:
        u, _, vt = np.linalg.svd(registration.affine[:3, :3] @ field.grid.directions)
        directions = u @ vt
    # Along each axis the size of the field's voxel that points most along it.
    steps = np.abs(np.linalg.inv(directions) @ registration.affine[:3, :3] @ field.affine[:3, :3])
    spacing = field.spacing_mm[steps.argmax(axis=1)] if len(set(steps.argmax(axis=1))) == 3 else min(field.spacing_mm)
    return covering_grid(surface, directions, spacing)


def _inverted(registration: Registration, grid: Grid, guess: Volume | None, on_progress) -> Registration:
    affine, displacement, unsolved = invert(registration.affine, registration.displacement, grid, guess,
                                            on_progress=on_progress)
    made = Registration(affine, displacement, registration.moving_grid or grid, {}, registration.grid)
    fixed = registration.grid or registration.displacement.grid
    places = np.random.default_rng(_SEED).uniform(-0.5, np.array(fixed.shape) - 0.5, (_TESTED_POINTS, 3))
    points = fixed.points_mm(places)
    missed = np.linalg.norm(made.points(registration.points(points)) - points, axis=1)
    made.report["inverse_error_mm"] = {"mean": float(missed.mean()),
                                       "percentile_99_9": float(np.percentile(missed, 99.9))}
    made.report["unsolved_percent"] = 100 * unsolved
    return made


def _surface(shape) -> np.ndarray:
    """Voxel indices on the surface of the field of view, at voxel edges and every voxel between, (N, 3)."""
    found = []
    for axis in range(3):
        others = [np.unique([-0.5, *range(shape[a]), shape[a] - 0.5]) for a in range(3) if a != axis]
        plane = np.array(np.meshgrid(*others, indexing="ij")).reshape(2, -1).T
        for end in (-0.5, shape[axis] - 0.5):
            found.append(np.insert(plane, axis, end, axis=1))
    return np.concatenate(found)

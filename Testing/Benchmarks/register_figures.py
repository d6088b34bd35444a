"""The figures of a registration: Dice, target registration error, folding, SDlogJ, rigid error. Not meddl's own."""

from __future__ import annotations

import numpy as np
from register_cases import Case
from register_maps import sampled
from scipy.spatial.transform import Rotation


def figures(case: Case, found) -> dict:
    """All that can be said of `found`, a function from fixed to moving points with `displacement` and `matrix`.

    Returns:
        dice: mean over the structures. tre_mm: mean distance to the true map at the points, with its 95th percentile.
        folding_percent: fraction of the fixed grid's voxels at which the map's Jacobian determinant is not positive.
        sd_log_jacobian: standard deviation of its logarithm in the fixed object.
        rigid_deg, recovered: for rigid truths, the angle between found and true rotation, and whether both errors are
            within the case's limits.
    """
    measured = {}
    if case.fixed_labels is not None:
        measured["dice"] = mean_dice(case, found)
    if case.truth is not None:
        distances = np.linalg.norm(found(case.points) - case.truth(case.points), axis=1)
        measured |= {"tre_mm": float(distances.mean()), "tre95_mm": float(np.percentile(distances, 95))}
    if case.transform == "deformable":
        determinants = jacobian_determinants(case.fixed.grid, found)
        inside = determinants[case.fixed_mask.scalar_data > 0] if case.fixed_mask is not None else determinants
        measured["folding_percent"] = float((determinants <= 0).mean() * 100)
        measured["sd_log_jacobian"] = float(np.log(np.maximum(inside, 1e-3)).std())
    if case.limits is not None:
        rotations = [fitted_rotation(case.points, function(case.points)) for function in (found, case.truth)]
        degrees = rotation_between_deg(*rotations)
        measured["rigid_deg"] = degrees
        measured["recovered"] = bool(measured["tre_mm"] <= case.limits[0] and degrees <= case.limits[1])
    return measured


def mean_dice(case: Case, found, slab: int = 16) -> float:
    """Mean Dice of the structures, the moving labels taken to the fixed labels' grid by nearest neighbor."""
    fixed, grid = case.fixed_labels.scalar_data, case.fixed_labels.grid
    size = int(max(fixed.max(), case.moving_labels.scalar_data.max())) + 1
    both, first, second = np.zeros(size), np.bincount(fixed.ravel(), minlength=size), np.zeros(size)
    for start in range(0, grid.shape[0], slab):
        part = fixed[start:start + slab]
        indices = np.moveaxis(np.indices(part.shape), 0, -1).reshape(-1, 3) + np.array([start, 0, 0])
        places = case.moving_labels.grid.indices(found(grid.points_mm(indices)))
        warped = sampled(case.moving_labels.data, places, order=0)[0]
        second += np.bincount(warped, minlength=size)
        both += np.bincount(warped[warped == part.ravel()], minlength=size)
    chosen = list(case.structures)
    return float(np.mean(2 * both[chosen] / np.maximum(first[chosen] + second[chosen], 1)))


def jacobian_determinants(grid, found) -> np.ndarray:
    """The determinant of the map's Jacobian at the voxels of a grid, by central differences, (I, J, K)."""
    indices = np.moveaxis(np.indices(grid.shape), 0, -1)
    places = found(grid.points_mm(indices.reshape(-1, 3))).reshape(*grid.shape, 3)
    by_index = np.stack([np.gradient(places, axis=axis) for axis in range(3)], axis=-1)
    return np.linalg.det(by_index @ np.linalg.inv(grid.affine[:3, :3]))


def fitted_rotation(points: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that brings `points` nearest to `moved`, both centered.

    Method: W. Kabsch, Acta Crystallographica A 32, 1976, doi:10.1107/S0567739476001873.
    """
    return Rotation.align_vectors(moved - moved.mean(axis=0), points - points.mean(axis=0))[0].as_matrix()


def rotation_between_deg(first: np.ndarray, second: np.ndarray) -> float:
    """The angle between two rotations."""
    return float(np.degrees(Rotation.from_matrix(first @ second.T).magnitude()))

"""Cubic B-spline interpolation along one axis, written as one small matrix.

Interpolation by splines is linear in the samples and separable: along an axis of n voxels it is `W @ inv(B)`,
with B the spline's values at the voxel centers (its inverse is the exact prefilter) and W its values at the
new places. Applying that matrix is one product, on any device, and slabs of the volume are independent.

Method: M. Unser, A. Aldroubi, M. Eden, "B-spline signal processing: part I - theory", IEEE Transactions on
Signal Processing 41(2), 1993, doi:10.1109/78.193220.
"""

import numpy as np
import torch


def cubic_weights(count: int, coordinates: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Matrix (m, count) that interpolates `count` samples at continuous indices `coordinates`.

    Float64; each row sums to 1. The signal is continued by reflection at the outer edges of its first and
    last voxel (d c b a | a b c d | d c b a), so that nothing is invented in the outermost half voxels.

    Args:
        coordinates: (m,), or (m, q) where each row of the matrix is a mean over q places: an integral of the spline.
        weights: (q,) weights of that mean, which sum to 1; even where None.
    """
    coordinates = np.asarray(coordinates, dtype=np.float64)
    coordinates = coordinates[:, None] if coordinates.ndim == 1 else coordinates
    count_of_mean = coordinates.shape[1]
    weights = np.full(count_of_mean, 1 / count_of_mean) if weights is None else np.asarray(weights, np.float64)
    at_centers = _spline_values(count, np.arange(count, dtype=np.float64)[:, None], np.ones(1))
    at_coordinates = _spline_values(count, coordinates, weights)
    return np.linalg.solve(at_centers.T, at_coordinates.T).T


def _spline_values(count: int, coordinates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (m, count) of the B-splines on each voxel, reflections included, averaged over `coordinates` (m, q)."""
    rows = np.arange(len(coordinates))[:, None]
    first = np.floor(coordinates).astype(int) - 1
    values = np.zeros(len(coordinates) * count)
    for offset in range(4):
        knots = first + offset
        distance = np.abs(coordinates - knots)
        weight = np.where(distance < 1, 2 / 3 - distance ** 2 * (1 - distance / 2),
                          np.clip(2 - distance, 0, None) ** 3 / 6)
        wrapped = knots % (2 * count)
        columns = np.where(wrapped < count, wrapped, 2 * count - 1 - wrapped)
        values += np.bincount((rows * count + columns).ravel(), (weight * weights).ravel(), values.size)
    return values.reshape(len(coordinates), count)


def apply_along(matrix: torch.Tensor, data: torch.Tensor, axis: int) -> torch.Tensor:
    """`matrix` (m, n) applied along `axis` of `data`, whose n entries there become m."""
    return torch.tensordot(matrix, data, dims=([1], [axis])).movedim(0, axis)

"""Spline interpolation of an array to another number of voxels over the same field of view, on any device.

The result is that of `scipy.ndimage.zoom(..., mode="nearest", grid_mode=True)`, which scikit-image's `resize` and
with it nnU-Net use. It is linear and separable, so that each axis is one product with a small matrix, taken from SciPy
itself.
"""

from functools import lru_cache

import numpy as np
import torch

from meddl.spatial.bspline import apply_along


def resize(image: torch.Tensor, shape, order: int = 3, nearest_axis: int | None = None) -> torch.Tensor:
    """An image (I, J, K) with `shape` voxels over the same field of view, held within its smallest and largest value.

    Args:
        order: of the spline: 0, 1 or 3.
        nearest_axis: an axis along which the nearest voxel is taken instead; the limits then hold slice by slice.
    """
    if tuple(image.shape) == tuple(shape):
        return image
    others = [axis for axis in range(3) if axis != nearest_axis]
    limits = None
    if order > 1:
        limits = ((image.amin(), image.amax()) if nearest_axis is None
                  else (image.amin(dim=others, keepdim=True), image.amax(dim=others, keepdim=True)))
    for axis in sorted(others, key=lambda a: shape[a] / image.shape[a]):
        if shape[axis] != image.shape[axis] or order > 1:
            matrix = torch.from_numpy(spline_matrix(image.shape[axis], int(shape[axis]), order)).to(image)
            image = apply_along(matrix, image, axis)
    if limits is not None:
        image = torch.maximum(torch.minimum(image, limits[1]), limits[0])
    if nearest_axis is not None:
        coordinates = nearest_indices(image.shape[nearest_axis], int(shape[nearest_axis]))
        image = image.index_select(nearest_axis, torch.from_numpy(coordinates).to(image.device))
    return image.contiguous()


def resize_labels(labels: torch.Tensor, shape, nearest_axis: int | None = None) -> torch.Tensor:
    """Labels (I, J, K) with `shape` voxels over the same field of view: at each the label with the largest fraction.

    Fractions are interpolated linearly, or taken from the nearest voxel along `nearest_axis`. The nearest voxel's label
    wins a tie that it is in, else the smallest one: so do the labels of nnU-Net's cascades.
    """
    from scipy.ndimage import map_coordinates

    if tuple(labels.shape) == tuple(shape):
        return labels
    source = labels.cpu().numpy()
    if nearest_axis is not None:
        coordinates = nearest_indices(source.shape[nearest_axis], int(shape[nearest_axis]))
        source = source.take(coordinates, axis=nearest_axis)
    axes = [(np.arange(new) + 0.5) * (old / new) - 0.5 for old, new in zip(source.shape, shape, strict=True)]
    lowest = highest = source
    for axis, (place, size) in enumerate(zip(axes, source.shape, strict=True)):
        below = np.floor(place).astype(int)
        ends = [np.clip(below + n, 0, size - 1) for n in (0, 1)]
        lowest = np.minimum(*(lowest.take(end, axis=axis) for end in ends))
        highest = np.maximum(*(highest.take(end, axis=axis) for end in ends))
    mixed = np.nonzero(lowest != highest)  # elsewhere all voxels around are one label
    points = np.stack([axis[n] for axis, n in zip(axes, mixed, strict=True)])
    nearest = source[tuple(np.clip(np.floor(p + 0.5).astype(int), 0, n - 1)
                           for p, n in zip(points, source.shape, strict=True))]
    best, winner = np.full(len(nearest), -1.0), np.zeros_like(nearest)
    for value in np.unique(source):
        fraction = map_coordinates((source == value).astype(np.float64), points, order=1, mode="nearest")
        better = (fraction > best) | ((fraction == best) & (nearest == value))
        best, winner = np.maximum(best, fraction), np.where(better, value, winner)
    found = lowest.copy()
    found[mixed] = winner
    return torch.from_numpy(found).to(labels)


@lru_cache(maxsize=64)
def spline_matrix(count: int, new_count: int, order: int) -> np.ndarray:
    """Matrix (new_count, count) float64 of the interpolation along one axis."""
    from scipy.ndimage import zoom

    if count == new_count:
        return np.eye(count)
    columns = [zoom(unit, new_count / count, order=order, mode="nearest", grid_mode=True) for unit in np.eye(count)]
    return np.stack(columns, axis=1)


def nearest_indices(count: int, new_count: int) -> np.ndarray:
    """Index of the nearest of `count` voxels for each of `new_count` over the same field of view, int64."""
    coordinates = (np.arange(new_count) + 0.5) * (count / new_count) - 0.5
    return np.clip(np.floor(coordinates + 0.5), 0, count - 1).astype(np.int64)

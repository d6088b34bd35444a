"""Painted contours that are off, moved onto the edges of the image: those of all painted slices by one offset."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from meddl.painting.paint import Paint
from meddl.painting.shapes import SliceShapes

_SMOOTHING = 0.7    # standard deviation in voxels, of the image within its slices
_BAND = 0.75        # standard deviation in voxels, of a contour
_STEP = 0.5         # voxels, between growths
_LEAST_GAIN = 1.13  # in the strength of the edges: contours of manual labels need not lie on the strongest ones
_FAR = 1000.0       # voxels: no contour


@dataclass(frozen=True)
class Offset:
    """How contours are moved within the painted slices, in voxels: grown (or shrunk), or shifted along both axes."""

    growth: float = 0.0
    shift: tuple[int, int] = (0, 0)


def offsets_within(tolerance: int) -> list[Offset]:
    """No offset, all growths and all shifts of at most so many voxels."""
    growths = np.arange(-tolerance, tolerance + _STEP / 2, _STEP)
    sides = range(-tolerance, tolerance + 1)
    return [Offset(), *(Offset(float(growth)) for growth in growths if growth),
            *(Offset(0.0, shift) for shift in product(sides, sides) if any(shift))]


def find_offset(paint: Paint, image: np.ndarray, shapes: SliceShapes, tolerance: int) -> Offset | None:
    """The offset that brings the contours onto much stronger edges; None where there is none, or slices are not painted
    completely.

    The contours that the painted slices imply in the slices between count as much as themselves.

    Args:
        image: (I, J, K), about 0 to 1.
        shapes: of all painted slices.
        tolerance: by how many voxels at most contours are off.
    """
    known, classes, slices = (np.moveaxis(array, paint.axis, 0) for array in (paint.known, paint.classes, image))
    painted, offsets = list(paint.slices), offsets_within(tolerance)
    if not known[painted].all():
        return None
    distances = np.stack([_signed_distances(known[n], classes[n], len(paint.values)) for n in painted], axis=1)
    gains = [_gains(slices[painted], distances, offsets)]
    between = range(painted[0], painted[-1] + 1)
    if len(between) > len(painted):
        implied = shapes.between(paint.slices, between)[:, :len(paint.values)].movedim(1, 0).numpy() / shapes.voxel_mm
        gains.append(_gains(slices[between.start:between.stop], implied, offsets))
    mean = np.mean(gains, axis=0)
    return offsets[int(np.argmax(mean))] if mean.max() > _LEAST_GAIN else None


def _gains(slices: np.ndarray, distances: np.ndarray, offsets: Sequence[Offset]) -> np.ndarray:
    """By each offset, the mean derivative of the image across the contours, relative to that without one.

    Args:
        slices: (slices, height, width) of the image.
        distances: (structures, slices, height, width), signed, in voxels.
    """
    gradient = _in_plane_gradient(gaussian_filter(slices, (0, _SMOOTHING, _SMOOTHING)))
    normals = _in_plane_gradient(distances)
    found = []
    for offset in offsets:
        normal, moved = normals, distances
        if any(offset.shift):
            normal, moved = np.roll(normals, offset.shift, (3, 4)), np.roll(distances, offset.shift, (2, 3))
        across = np.abs((normal * gradient[:, None]).sum(axis=0))
        weights = np.exp(-0.5 * ((moved + offset.growth) / _BAND) ** 2)
        found.append(float((weights * across).sum() / max(weights.sum(), 1e-9)))
    return np.array(found) / max(found[0], 1e-9)


def _in_plane_gradient(values: np.ndarray) -> np.ndarray:
    """Central differences along the last two axes, (2, ...); 0 along one of a single voxel."""
    return np.stack([np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)
                     for axis in (-2, -1)])


def move_contours(paint: Paint, offset: Offset, scale: int = 1) -> Paint:
    """The paint with its contours moved; what is known stays so.

    Args:
        scale: voxels of the paint in one of the offset's.
    """
    moved = paint.classes.copy()
    known, classes = (np.moveaxis(array, paint.axis, 0) for array in (paint.known, moved))
    shift = tuple(scale * side for side in offset.shift)
    for n in paint.slices:
        scores = np.roll(_signed_distances(known[n], classes[n], len(paint.values)), shift, (1, 2))
        classes[n] = np.argmax([np.zeros(known[n].shape), *scores + scale * offset.growth], axis=0) * known[n]
    return replace(paint, classes=moved)


def _signed_distances(known: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """(structures, height, width) in a slice, in voxels, positive inside; far where only one of both is known."""
    found = np.full((count, *known.shape), -_FAR)
    for c in range(count):
        inside, outside = known & (classes == c + 1), known & (classes != c + 1)
        if inside.any():
            to_outside = distance_transform_edt(~outside) if outside.any() else _FAR
            found[c] = np.where(inside, to_outside - 0.5, 0.5 - distance_transform_edt(~inside))
    return found

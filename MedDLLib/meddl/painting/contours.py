"""Painted contours that are off, moved onto the edges of the image: those of all painted slices by one offset."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from meddl.painting.paint import Paint

_SMOOTHING = 0.7   # standard deviation in voxels, of the image within its slices
_BAND = 0.75       # standard deviation in voxels, of a contour
_STEP = 0.5        # voxels, between growths
_LEAST_GAIN = 1.2  # in the strength of the edges: contours of manual labels need not lie on the strongest ones


@dataclass(frozen=True)
class Offset:
    """How contours are moved within the painted slices, in voxels: grown (or shrunk), and shifted along both axes."""

    growth: float = 0.0
    shift: tuple[int, int] = (0, 0)


def find_offset(paint: Paint, image: np.ndarray, tolerance: int) -> Offset | None:
    """The offset that brings the contours onto much stronger edges; None where there is none.

    Args:
        image: (I, J, K), about 0 to 1.
        tolerance: by how many voxels at most contours are off.
    """
    strengths = edge_strengths(paint, image, tolerance)
    best = max(strengths, key=lambda offset: strengths[offset])
    return best if strengths[best] > _LEAST_GAIN * strengths[Offset()] else None


def edge_strengths(paint: Paint, image: np.ndarray, tolerance: int) -> dict[Offset, float]:
    """The mean derivative of the image across the contours, by the offset with which they are moved."""
    known, classes, slices = (np.moveaxis(array, paint.axis, 0)[list(paint.slices)]
                              for array in (paint.known, paint.classes, image))
    gradient = np.stack(np.gradient(gaussian_filter(slices, (0, _SMOOTHING, _SMOOTHING)), axis=(1, 2)))
    contours = [(n, distance, np.stack(np.gradient(distance)))
                for n in range(len(slices)) for distance in _signed_distances(known[n], classes[n], len(paint.values))
                if distance is not None]
    growths = np.arange(-tolerance, tolerance + _STEP / 2, _STEP)
    sides = range(-tolerance, tolerance + 1)
    found: dict[Offset, float] = {}
    for shift in [(a, b) for a in sides for b in sides]:
        sums = np.zeros((2, len(growths)))
        for n, distance, normal in contours:
            across = np.abs((np.roll(normal, shift, (1, 2)) * gradient[:, n]).sum(axis=0))
            moved = np.roll(distance, shift, (0, 1))
            weights = np.exp(-0.5 * ((moved + growths[:, None, None]) / _BAND) ** 2)
            sums += (weights * across).sum(axis=(1, 2)), weights.sum(axis=(1, 2))
        found |= {Offset(float(growth), shift): float(total / max(weight, 1e-9))
                  for growth, (total, weight) in zip(growths, sums.T, strict=True)}
    return found


def move_contours(paint: Paint, offset: Offset, scale: int = 1) -> Paint:
    """The paint with its contours moved; what is known stays so.

    Args:
        scale: voxels of the paint in one of the offset's.
    """
    classes = paint.classes.copy()
    known, changed = (np.moveaxis(array, paint.axis, 0) for array in (paint.known, classes))
    shift = tuple(scale * side for side in offset.shift)
    for n in paint.slices:
        scores = [np.zeros(known[n].shape)]
        for distance in _signed_distances(known[n], changed[n], len(paint.values)):
            scores.append(np.full(known[n].shape, -np.inf) if distance is None else
                          np.roll(distance, shift, (0, 1)) + scale * offset.growth)
        changed[n] = np.argmax(scores, axis=0) * known[n]
    return replace(paint, classes=classes)


def _signed_distances(known: np.ndarray, classes: np.ndarray, count: int) -> list[np.ndarray | None]:
    """Of each structure in a slice, in voxels, positive inside; None where it is not there, or nothing else is."""
    found: list[np.ndarray | None] = []
    for c in range(1, count + 1):
        inside, outside = known & (classes == c), known & (classes != c)
        found.append(np.where(inside, distance_transform_edt(~outside) - 0.5, 0.5 - distance_transform_edt(~inside))
                     if inside.any() and outside.any() else None)
    return found

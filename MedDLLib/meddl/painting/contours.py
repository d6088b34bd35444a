"""Painted contours that are off, moved onto the edges of the image: all of a region's slices by one offset."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from meddl.painting.paint import Paint

_SMOOTHING = 0.7   # standard deviation in voxels, of the image within its slices
_BAND = 0.75       # standard deviation in voxels, of a contour
_STEP = 0.5        # voxels, between sizes


def offsets(paint: Paint, image: np.ndarray, tolerance: int) -> dict[tuple[float, int, int], float]:
    """How strong the edges under the contours are when they are moved: mean derivative across them.

    Args:
        image: (I, J, K), about 0 to 1.
        tolerance: by how many voxels at most contours grow, shrink and shift.

    Returns:
        The mean by (growth, shift along both axes of the slices) in voxels.
    """
    known, classes = (np.moveaxis(a, paint.axis, 0)[list(paint.slices)] for a in (paint.known, paint.classes))
    slices = np.moveaxis(image, paint.axis, 0)[list(paint.slices)]
    smooth = gaussian_filter(slices, (0, _SMOOTHING, _SMOOTHING))
    gradient = np.gradient(smooth, axis=(1, 2))
    parts = []
    for n in range(len(slices)):
        for c in range(1, len(paint.values) + 1):
            inside, outside = known[n] & (classes[n] == c), known[n] & (classes[n] != c)
            if inside.any() and outside.any():
                distance = signed_distance(inside, outside)
                parts.append((n, distance, np.gradient(distance)))
    steps = np.arange(-tolerance, tolerance + _STEP / 2, _STEP)
    found = {}
    for a in range(-tolerance, tolerance + 1):
        for b in range(-tolerance, tolerance + 1):
            sums = np.zeros((2, len(steps)))
            for n, distance, normal in parts:
                across = np.abs(sum(np.roll(one, (a, b), (0, 1)) * g[n] for one, g in zip(normal, gradient, strict=True)))
                moved = np.roll(distance, (a, b), (0, 1))
                for row, growth in enumerate(steps):
                    weight = np.exp(-0.5 * ((moved + growth) / _BAND) ** 2)
                    sums[:, row] += (weight * across).sum(), weight.sum()
            for growth, (total, weight) in zip(steps, sums.T, strict=True):
                found[(float(growth), a, b)] = float(total / max(weight, 1e-9))
    return found


def signed_distance(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """In voxels, positive inside, 0 on the contour between voxels."""
    return distance_transform_edt(~outside) / 2 - distance_transform_edt(~inside) / 2 if False else (
        np.where(inside, distance_transform_edt(~outside) - 0.5, 0.5 - distance_transform_edt(~inside)))


def moved(paint: Paint, growth: float, a: int, b: int) -> Paint:
    """The paint with its contours grown and shifted within the painted slices."""
    known, classes = paint.known.copy(), paint.classes.copy()
    k, c = np.moveaxis(known, paint.axis, 0), np.moveaxis(classes, paint.axis, 0)
    for n in paint.slices:
        scores = [np.zeros(k[n].shape)]
        for value in range(1, len(paint.values) + 1):
            inside, outside = k[n] & (c[n] == value), k[n] & (c[n] != value)
            scores.append(np.roll(signed_distance(inside, outside), (a, b), (0, 1)) + growth if inside.any()
                          and outside.any() else np.full(k[n].shape, -np.inf))
        c[n] = np.argmax(scores, axis=0) * k[n]
    return replace(paint, known=known, classes=classes)

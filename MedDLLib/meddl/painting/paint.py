"""What was painted: which voxels are known, in which slices, and the region in which the rest is looked for.

NumPy only: the application asks for the region before anything is sent to the worker.
"""

from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError
from meddl.results import Segmentation
from meddl.spatial.label_maps import label_boxes

Box = tuple[slice, slice, slice]

BACKGROUND_NAMES = ("background", "other", "rest")
_STEP = 8            # the region ends at multiples of this many voxels: few strokes change it
_IN_PLANE = 0.35     # of the extent of the paint, on each side
_MOST_IN_PLANE, _MOST_OF_STROKES = 20, 32  # voxels around the structures; strokes may show a part of one alone
_LEAST_MARGIN = 6    # voxels
_LEAST_VOXELS = 12   # of a slice that counts as painted by itself


@dataclass(frozen=True, eq=False)
class Paint:
    """What is known of a region.

    Attributes:
        known: (I, J, K) bool.
        classes: (I, J, K) uint8, where known: 0 background, else 1 + the place in `values`.
        values: label values of the structures.
        axis: across the painted slices.
        slices: indices of the painted slices, ascending.
    """

    known: np.ndarray
    classes: np.ndarray
    values: tuple[int, ...]
    axis: int
    slices: tuple[int, ...]


def background_of(painted: Segmentation) -> int | None:
    """The label value of the segment that is called background; None where there is none."""
    return next((segment.value for segment in painted.segments
                 if segment.name.strip().lower() in BACKGROUND_NAMES), None)


def find_region(labels: np.ndarray, background: int | None = None) -> Box:
    """The box around the painted structures in which they are looked for.

    Across the painted slices it goes on by their mean distance, within them by about a third of the paint's extent, at
    most 20 voxels from the structures; 32 where background is painted, for strokes need not show a whole structure.

    Args:
        labels: (I, J, K), 0 where nothing is painted.
        background: label value of what is no structure.

    Raises:
        InputError: nothing is painted, or only background.
    """
    axis, slices = find_slices(labels)
    box, whole = (label_boxes(found.astype(np.uint8), [1])[1] for found in (
        (labels > 0) & (labels != (background or 0)), labels > 0))
    if box is None or whole is None:
        raise InputError("No structure is painted: only background is.")
    across = (slices[-1] - slices[0]) / (len(slices) - 1) if len(slices) > 1 else max(
        side.stop - side.start for a, side in enumerate(box) if a != axis) / 2
    around, sides = _MOST_IN_PLANE if background is None else _MOST_OF_STROKES, []
    for a, (side, paint, size) in enumerate(zip(box, whole, labels.shape, strict=True)):
        wanted = (across, across) if a == axis else (_IN_PLANE * (paint.stop - paint.start), around)
        margin, most = (max(int(np.ceil(length)), _LEAST_MARGIN) for length in wanted)
        first, last = max(paint.start - margin, side.start - most), min(paint.stop + margin, side.stop + most)
        sides.append(slice(max(first, 0) // _STEP * _STEP, min(-(-last // _STEP) * _STEP, size)))
    return sides[0], sides[1], sides[2]


def find_slices(labels: np.ndarray) -> tuple[int, tuple[int, ...]]:
    """(axis, indices) of the painted slices: across the axis that most of them lie across, or fewest of the extent.

    Raises:
        InputError: nothing is painted.
    """
    paint = labels > 0
    if not paint.any():
        raise InputError("Nothing is painted. Paint the structure in two or three slices.")
    thin = [_thin_slices(paint, axis) for axis in range(3)]
    shares = []
    for axis in range(3):
        there = np.flatnonzero(paint.any(axis=_others(axis)))
        share = len(there) / (there[-1] - there[0] + 1) + len(there) / paint.shape[axis] * 1e-3
        shares.append((-len(thin[axis]), share))
    axis = min(range(3), key=lambda a: shares[a])
    left = paint.copy()
    for a in _others(axis):
        np.moveaxis(left, a, 0)[thin[a]] = False
    counted = left if left.any() else paint
    return axis, tuple(int(k) for k in np.flatnonzero(counted.any(axis=_others(axis))))


def read_paint(labels: np.ndarray, values: tuple[int, ...], background: int | None, complete: bool) -> Paint:
    """What is known.

    Args:
        labels: (I, J, K) of the region.
        values: of the structures.
        background: the label value that says background, if one does.
        complete: whether the voxels without paint in a painted slice are background.

    Raises:
        InputError: nothing is painted, or all that is known is one class.
    """
    axis, slices = find_slices(labels)
    known = labels > 0
    if complete:
        paint = known.copy()
        np.moveaxis(known, axis, 0)[list(slices)] = True
        for a in _others(axis):
            np.moveaxis(known, a, 0)[_thin_slices(paint, a)] = True
    classes = np.zeros(labels.shape, dtype=np.uint8)
    for place, value in enumerate(values, start=1):
        classes[labels == value] = place
    known &= np.isin(labels, (0, *values, *(() if background is None else (background,))))
    found = np.bincount(classes[known], minlength=2)
    if np.count_nonzero(found) < 2:
        raise InputError("Nothing says what is background. Paint some of it in a segment called background, or choose "
                         "that slices are painted completely." if found[1:].any() else
                         "No structure is painted: only background is.")
    return Paint(known, classes, values, axis, slices)


def _thin_slices(paint: np.ndarray, axis: int) -> list[int]:
    """The painted slices across an axis most of whose paint has none on either side."""
    along = np.moveaxis(paint, axis, 0)
    beside = np.zeros_like(along)
    beside[1:] |= along[:-1]
    beside[:-1] |= along[1:]
    counts, alone = along.sum(axis=(1, 2)), (along & ~beside).sum(axis=(1, 2))
    return [int(k) for k in np.flatnonzero((counts >= _LEAST_VOXELS) & (2 * alone > counts))]


def _others(axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(3) if a != axis)

"""One slice of a result as a picture, in radiological orientation."""

from collections.abc import Sequence

import numpy as np

_REVERSED = "SAR"  # axes that grow this way are drawn from their last voxel: up and to the left
_HEIGHT = {"S": 2, "I": 2, "A": 1, "P": 1, "R": 0, "L": 0}  # which of two axes is drawn upright


def slice_picture(after: np.ndarray, before: np.ndarray, codes: Sequence[str], spacing_mm: Sequence[float]) -> dict:
    """A preview: {"kind": "slice", "image", "before": (rows, columns), top row first, "spacing_mm": (row, column)}.

    Superior, else anterior, is up; the patient's right (or anterior) is at the left.

    Args:
        after: (n, m) values.
        before: the same slice, interpolated.
        codes: the direction in which each of both axes grows, such as "R".
        spacing_mm: voxel size along both axes.
    """
    upright = _HEIGHT[codes[0]] > _HEIGHT[codes[1]]
    order = (0, 1) if upright else (1, 0)
    turn = tuple(slice(None, None, -1) if codes[axis] in _REVERSED else slice(None) for axis in order)
    image, old = (np.ascontiguousarray(one.transpose(order)[turn], dtype=np.float32) for one in (after, before))
    return {"kind": "slice", "image": image, "before": old, "spacing_mm": tuple(float(spacing_mm[a]) for a in order)}

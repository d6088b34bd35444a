"""One slice of a result as a picture, turned as radiologists expect it."""

import numpy as np

from meddl.geometry import Grid, axis_codes

_REVERSED = "SAR"  # axes that grow this way are drawn from their last voxel: up and to the left
_HEIGHT = {"S": 2, "I": 2, "A": 1, "P": 1, "R": 0, "L": 0}  # which of two axes is drawn upright


def slice_picture(after: np.ndarray, before: np.ndarray, grid: Grid, axes: tuple[int, int]) -> dict:
    """A preview: {"kind": "slice", "image", "before": (rows, columns), top row first, "spacing_mm": (row, column)}.

    Superior, else anterior, is up; the person's right (or anterior) is at the left.

    Args:
        after: (n, m) values along the grid's `axes`.
        before: the same slice, interpolated.
    """
    codes = [axis_codes(grid.affine)[axis] for axis in axes]
    upright = _HEIGHT[codes[0]] > _HEIGHT[codes[1]]
    images = [image if upright else image.T for image in (after, before)]
    row_code, column_code = codes if upright else codes[::-1]
    rows = slice(None, None, -1) if row_code in _REVERSED else slice(None)
    columns = slice(None, None, -1) if column_code in _REVERSED else slice(None)
    row_axis, column_axis = axes if upright else axes[::-1]
    image, old = (np.ascontiguousarray(one[rows, columns], dtype=np.float32) for one in images)
    spacing = grid.spacing_mm
    return {"kind": "slice", "image": image, "before": old,
            "spacing_mm": (float(spacing[row_axis]), float(spacing[column_axis]))}

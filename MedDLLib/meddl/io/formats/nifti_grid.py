"""Where the voxels of a NIfTI file lie: the one rule by which of its several statements counts.

The sform counts where its code is above 0, else the qform where its code is above 0; a file with neither does not
state its axes, and is read as nibabel reads it: voxel i runs to the left, the middle of the array lies at the origin.
The voxel size is that of what counts, whatever pixdim says. A contradiction between the two is told.
Fields: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meddl.core.errors import FileFormatError
from meddl.spatial.grid import axis_codes

_ROUNDING = 1e-5   # share of a voxel size that single precision explains
_TOO_LONG = 1e-3   # by which the squares of b, c and d may exceed 1
_DIFFERENT = 0.5   # voxels by which two statements about a corner may differ


@dataclass(frozen=True)
class GridFields:
    """The fields of a header that say where the voxels are; lengths in the unit of the file.

    Attributes:
        sizes: voxels along i, j, k.
        pixdim: voxel sizes, with the sign of the third axis of the qform first.
        qform_code, sform_code: 0: not stated.
        quaternion: b, c, d and the offset of the first voxel.
        rows: 3x4, the sform.
        unit_mm: of a length.
    """

    sizes: tuple[int, int, int]
    pixdim: np.ndarray
    qform_code: int
    sform_code: int
    quaternion: np.ndarray
    rows: np.ndarray
    unit_mm: float = 1.0


def grid_of(fields: GridFields, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The affine that counts, and what the user has to know of it.

    Returns:
        4x4 affine, voxel index to RAS mm, and sentences.

    Raises:
        FileFormatError: what counts is not finite, or no grid.
    """
    if fields.sform_code > 0:
        rows = fields.rows
        _check(rows, "sform", name)
        other = _qform(fields) if fields.qform_code > 0 else None
        affine, doubts = _affine(_as_stated(rows, fields.pixdim)), _contradiction(fields, rows, other)
    elif fields.qform_code > 0:
        sizes, doubts = _voxel_size(fields, name)
        turned = _qform(fields, sizes)
        if turned is None:
            raise FileFormatError(f"'{name}' has a damaged NIfTI header: its qform, which says where its voxels "
                                  "are, is no rotation.")
        _check(turned, "qform", name)
        affine = _affine(turned)
    else:
        sizes, doubts = _voxel_size(fields, name)
        steps = sizes * [-1, 1, 1]
        affine = _affine(np.column_stack((np.diag(steps), -steps * (np.array(fields.sizes) - 1) / 2)))
        doubts += ("does not state its axes: the codes of both its sform and its qform are 0. Its voxels are taken "
                   "to run to the left, to the front and up, as nibabel takes them; left and right may be exchanged.",)
    affine[:3] *= fields.unit_mm
    return affine, doubts


def is_sheared(matrix: np.ndarray) -> bool:
    """Whether the axes of a 4x4 affine are not at right angles (beyond what single precision explains)."""
    steps = np.asarray(matrix, dtype=np.float64)[:3, :3]
    cosines = steps / np.maximum(np.linalg.norm(steps, axis=0), 1e-30)
    return bool(np.abs(cosines.T @ cosines - np.eye(3)).max() > 1e-4)


def _affine(rows: np.ndarray) -> np.ndarray:
    return np.vstack((rows, [0, 0, 0, 1])) + 0.0  # no negative zeros


def _check(rows: np.ndarray, what: str, name: str) -> None:
    if not np.isfinite(rows).all():
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: its {what}, which says where its voxels are, is "
                              "not finite.")
    lengths = np.linalg.norm(rows[:, :3], axis=0)
    if lengths.min() <= 0 or abs(np.linalg.det(rows[:, :3] / lengths)) < 1e-6:
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: the axes of its {what}, which says where its "
                              "voxels are, do not span a volume.")


def _as_stated(rows: np.ndarray, pixdim: np.ndarray) -> np.ndarray:
    """Rows of single precision, with axes at right angles and the voxel size of pixdim where they mean these."""
    lengths = np.linalg.norm(rows[:, :3], axis=0)
    sizes = np.abs(pixdim[1:4])
    turn = rows[:, :3] / lengths
    if np.abs(turn.T @ turn - np.eye(3)).max() > _ROUNDING:
        return rows
    if not np.isfinite(sizes).all() or np.abs(lengths - sizes).max() > _ROUNDING * lengths.min():
        sizes = lengths
    left, _, right = np.linalg.svd(turn)
    return np.column_stack((left @ right * sizes, rows[:, 3]))


def _voxel_size(fields: GridFields, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The sizes of pixdim: of negative ones the absolute value, 1 for 0, as nibabel takes them."""
    sizes = fields.pixdim[1:4]
    if not np.isfinite(sizes).all():
        raise FileFormatError(f"'{name}' has a damaged NIfTI header: its voxel size is {_by(sizes)}.")
    taken = np.where(sizes == 0, 1.0, np.abs(sizes))
    if (taken == sizes).all():
        return taken, ()
    return taken, (f"states an impossible voxel size of {_by(sizes)}; it is taken as {_by(taken)}.",)


def _qform(fields: GridFields, sizes: np.ndarray | None = None) -> np.ndarray | None:
    """3x4 of the quaternion; None where it is not finite, or no rotation."""
    sizes = np.abs(fields.pixdim[1:4]) if sizes is None else sizes
    b, c, d, *offset = fields.quaternion
    if not np.isfinite([*fields.quaternion, *sizes]).all():
        return None
    with np.errstate(over="ignore"):
        square = float(b * b + c * c + d * d)
    if square > 1 + _TOO_LONG:
        return None
    a = np.sqrt(max(0.0, 1 - square))
    if a * a < 1e-7:  # half a turn: what is left is rounding
        a, (b, c, d) = 0.0, np.array((b, c, d)) / np.sqrt(square)
    turn = np.array([[a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                     [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                     [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c]])
    return np.column_stack((turn * sizes * [1, 1, -1 if fields.pixdim[0] < 0 else 1], offset))


def _contradiction(fields: GridFields, sform: np.ndarray, qform: np.ndarray | None) -> tuple[str, ...]:
    """What the qform says against the sform."""
    if qform is None or not np.isfinite(qform).all() or abs(np.linalg.det(qform[:, :3])) < 1e-12:
        return ()
    if np.linalg.det(sform[:, :3]) * np.linalg.det(qform[:, :3]) < 0:
        return (f"states two grids that mirror each other: its sform runs to {axis_codes(_affine(sform))}, its qform "
                f"to {axis_codes(_affine(qform))}. The sform is taken; software that takes the qform shows left and "
                "right exchanged.",)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in fields.sizes])).reshape(3, -1)
    apart = (sform - qform) @ np.vstack((corners, np.ones(8)))
    distance = np.linalg.norm(apart, axis=0).max()
    if distance <= _DIFFERENT * np.linalg.norm(sform[:, :3], axis=0).min():
        return ()
    return (f"states two grids that lie up to {distance * fields.unit_mm:.4g} mm apart: its sform (code "
            f"{fields.sform_code}) is taken, its qform (code {fields.qform_code}) is not.",)


def _by(sizes: np.ndarray) -> str:
    return " x ".join(f"{size:g}" for size in sizes)

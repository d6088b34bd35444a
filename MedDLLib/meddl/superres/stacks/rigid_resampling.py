"""Rigid resampling between two grids: a rotation as three rotations in planes, each one sparse matrix.

A rotation in 3D is three in 2D, one about each axis (its Euler angles). In 2D all planes of a volume are sampled at the
same coordinates, so that a windowed sinc of 6 x 6 taps is one sparse matrix for all of them: several times faster than
sampling in 3D, and sharper than linear interpolation.
"""

from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from meddl.core.progress import ProgressCallback, report
from meddl.spatial.grid import Grid, reorient_grid, reorientation

_REACH = 3  # voxels: half the width of Lanczos' window
_LEAST_WEIGHT = 1e-6
_MARGIN = 1e-6  # voxels
_MESSAGE = "Resampling the stacks"


class RigidResampling:
    """The values of a volume at the voxels of another grid, by windowed sinc, the edge values beyond the field of view.

    Windowed sinc: C. E. Duchon, Journal of Applied Meteorology 18, 1979,
    doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2.

    Args:
        source: the grid of the volumes to resample, its axes at right angles.
        target: the grid to sample at, its axes at right angles.
        transform: 4x4, rigid, from the target's space to the source's, RAS mm.
    """

    def __init__(self, source: Grid, target: Grid, transform: np.ndarray):
        turn = source.directions.T  # from RAS to mm along the axes of the source, its first voxel at 0
        affine = np.eye(4)
        affine[:3] = turn @ (np.asarray(transform, float) @ target.affine)[:3]
        affine[:3, 3] -= turn @ source.affine[:3, 3]
        self._permutation, self._flips = reorientation(affine)
        along = reorient_grid(Grid(target.shape, affine))  # the target's voxels, axes as near as can be to the source's
        self._matrices = _plane_matrices(source, along)
        self._source, self._target = source, Grid(target.shape, affine)

    @cached_property
    def covered(self) -> np.ndarray:
        """(I, J, K) bool of the target's shape: the voxels in the source's field of view."""
        return _find_covered(self._source, self._target)

    def __call__(self, data: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """(I, J, K) of the source to float32 of the target's shape."""
        for step, (axes, matrix, shape) in enumerate(self._matrices):
            report(on_progress, step / len(self._matrices), _MESSAGE)
            data = _in_plane(matrix, data, axes, shape)
        made = data[tuple(slice(None, None, -1) if flip else slice(None) for flip in self._flips)]
        return made.transpose(np.argsort(self._permutation))


def _plane_matrices(source: Grid, along: Grid) -> list[tuple[tuple[int, int], csr_matrix, tuple[int, int]]]:
    """For each of three rotations the axes of its plane, its matrix and the shape of the plane that it makes.

    With u mm from the target's center, the source is sampled at c + Z Y X u: first Z turns the axes (0, 1), then Y the
    axes (0, 2), then X the axes (1, 2), already at the target's voxels.
    """
    from scipy.spatial.transform import Rotation

    z, y, x = Rotation.from_matrix(along.directions).as_euler("ZYX")
    center, step = along.center_mm, source.spacing_mm
    goal = [(np.arange(n) - (n - 1) / 2) * d for n, d in zip(along.shape, along.spacing_mm, strict=True)]
    at_source = [np.arange(n) * step[a] - center[a] for a, n in enumerate(source.shape)]
    u1, u2 = np.cos(x) * goal[1][:, None] - np.sin(x) * goal[2], np.sin(x) * goal[1][:, None] + np.cos(x) * goal[2]
    w1, w2 = _span_of(u1, step[1]), _span_of(u2, step[2])
    v0, v2 = np.cos(y) * goal[0][:, None] + np.sin(y) * w2, -np.sin(y) * goal[0][:, None] + np.cos(y) * w2
    t0 = _span_of(v0, step[0])
    s0, s1 = np.cos(z) * t0[:, None] - np.sin(z) * w1, np.sin(z) * t0[:, None] + np.cos(z) * w1
    return [((0, 1), _lanczos(at_source[0], at_source[1], s0, s1), s0.shape),
            ((0, 2), _lanczos(t0, at_source[2], v0, v2), v0.shape),
            ((1, 2), _lanczos(w1, w2, u1, u2), u1.shape)]


def _span_of(coordinates: np.ndarray, step: float) -> np.ndarray:
    """Even coordinates, `step` mm apart, that enclose all of these; exactly theirs where these are such coordinates."""
    low = coordinates.min()
    return low + step * np.arange(int(np.ceil((coordinates.max() - low) / step - _MARGIN)) + 1)


def _lanczos(rows: np.ndarray, columns: np.ndarray, at_rows: np.ndarray, at_columns: np.ndarray) -> csr_matrix:
    """The matrix (m, len(rows) * len(columns)) that samples an image at m points, all coordinates in mm."""
    each = [_taps(axis, coordinates.ravel()) for axis, coordinates in ((rows, at_rows), (columns, at_columns))]
    values = (each[0][1][:, :, None] * each[1][1][:, None, :]).reshape(len(each[0][0]), -1)
    coordinates = (each[0][0][:, :, None] * len(columns) + each[1][0][:, None, :]).reshape(values.shape)
    starts = np.arange(len(values) + 1) * values.shape[1]
    matrix = csr_matrix((values.astype(np.float32).ravel(), coordinates.astype(np.int32).ravel(), starts),
                        (len(values), len(rows) * len(columns)))
    matrix.data[np.abs(matrix.data) < _LEAST_WEIGHT] = 0
    matrix.eliminate_zeros()
    return matrix


def _taps(axis: np.ndarray, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (m, 6) along an axis and their weights, whose sum is 1."""
    step = axis[1] - axis[0] if len(axis) > 1 else 1.0
    here = np.clip((coordinates - axis[0]) / step, -0.5, len(axis) - 0.5)
    near = np.abs(here - np.rint(here)) < _MARGIN
    here[near] = np.rint(here[near])
    voxels = np.floor(here)[:, None] + np.arange(1 - _REACH, _REACH + 1)
    distance = here[:, None] - voxels
    weights = np.sinc(distance) * np.sinc(distance / _REACH)
    return np.clip(voxels, 0, len(axis) - 1).astype(np.int64), weights / weights.sum(axis=1, keepdims=True)


def _in_plane(matrix: csr_matrix, data: np.ndarray, axes: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    still = 3 - sum(axes)
    planes = np.ascontiguousarray(data.transpose(*axes, still), dtype=np.float32)
    made = matrix @ planes.reshape(-1, planes.shape[2])
    return made.reshape(*shape, -1).transpose(np.argsort((*axes, still)))


def _find_covered(source: Grid, target: Grid) -> np.ndarray:
    """Which voxels of the target lie in the source's field of view; `target` in mm along the source's axes."""
    inside = np.ones(target.shape, bool)
    for axis in range(3):
        parts = [np.arange(n, dtype=np.float32) * np.float32(target.affine[axis, a] / source.spacing_mm[axis])
                 for a, n in enumerate(target.shape)]
        index = parts[0][:, None, None] + parts[1][:, None] + parts[2]
        index += np.float32(target.affine[axis, 3] / source.spacing_mm[axis])
        inside &= (index >= -0.5 - 1e-3) & (index <= source.shape[axis] - 0.5 + 1e-3)
    return inside

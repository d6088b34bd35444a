"""Displacement fields: the part u of a map p -> affine @ (p + u(p)) that is not linear.

A displacement is a Volume (3, I, J, K) in mm along R, A, S. Its grid may be coarser than the volume it deforms. It is
linear between its voxel centers and keeps its edge value beyond the outermost of them: every function here, as
`resample` and `sample_at`, reads it so.
"""

from collections.abc import Callable
from typing import Literal, overload

import numpy as np
import torch

from meddl.core.progress import ProgressCallback, report, span
from meddl.spatial.grid import Grid
from meddl.spatial.resample import resample, to_tensor
from meddl.spatial.volume import Volume

INVERSE_TOLERANCE_MM = 1e-3  # of single points
FIELD_TOLERANCE_MM = 5e-3    # of the voxels of an inverse field
_SLAB_POINTS = 1 << 18     # points whose inverse is sought at once
_FIXED_POINT_STEPS = 8
_NEWTON_STEPS = 40
_LONGEST_STEP_VOXELS = 2.0


# --- composition ---


def compose(first_affine: np.ndarray, first: Volume | None, second_affine: np.ndarray, second: Volume | None,
            grid: Grid | None = None, on_progress: ProgressCallback | None = None) -> tuple[np.ndarray, Volume | None]:
    """The map that does the first map and then the second.

    Args:
        first, second: displacements, None for a linear map.
        grid: of the composed displacement where both have one; default the first one's.

    Returns:
        (affine, displacement or None). Exact where at most one of the two has a displacement; else linear between
        the voxels of `grid`.
    """
    affine = np.asarray(second_affine) @ np.asarray(first_affine)
    if second is None:
        return affine, first
    back = np.linalg.inv(first_affine)
    if first is None:
        return affine, Volume(rotate_vectors(second.data, back[:3, :3]), back @ second.affine)
    grid = grid or first.grid
    here = (first if first.grid.same_as(grid)
            else resample(first, grid, clamp=True, on_progress=span(on_progress, 0.0, 0.4)))
    there = resample(second, grid, transform=first_affine, displacement=here, clamp=True,
                     on_progress=span(on_progress, 0.4, 1.0))
    report(on_progress, 1.0, "Joining the deformations")
    return affine, Volume(here.data + rotate_vectors(there.data, back[:3, :3]), grid.affine)


def rotate_vectors(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Vectors (3, ...) mapped by a 3x3 matrix."""
    kind = np.result_type(vectors.dtype, np.float32)
    return np.tensordot(matrix.astype(kind), vectors.astype(kind, copy=False), axes=1)


# --- inversion ---


def inverse_points(affine: np.ndarray, displacement: Volume, points_mm: np.ndarray,
                   tolerance_mm: float = INVERSE_TOLERANCE_MM) -> tuple[np.ndarray, np.ndarray]:
    """The points p with affine @ (p + u(p)) = q, for q = `points_mm` (N, 3).

    Where the field folds, one of several solutions or the nearest approach is returned.

    Returns:
        (points (N, 3), how far affine @ (p + u(p)) is from q, before the affine, in mm (N,)).
    """
    inverse = _Inverse(displacement, torch.float64)
    back = np.linalg.inv(affine)
    plain = np.asarray(points_mm, dtype=np.float64) @ back[:3, :3].T + back[:3, 3]
    moved, residual = inverse.shifts(torch.from_numpy(plain), tolerance_mm)
    return plain + moved.numpy(), residual.numpy()


def invert(affine: np.ndarray, displacement: Volume, grid: Grid, guess: Volume | None = None,
           tolerance_mm: float = FIELD_TOLERANCE_MM,
           on_progress: ProgressCallback | None = None) -> tuple[np.ndarray, Volume, float]:
    """The inverse map, in the same form q -> affine' @ (q + w(q)).

    Fixed-point iteration first (M. Chen et al., "A simple fixed-point approach to invert a deformation field", Medical
    Physics 35(1), 2008, doi:10.1118/1.2816107), then Newton's method with step control for the voxels that it does not
    settle.

    Args:
        grid: of w: where in the moving space the inverse is wanted.
        guess: w on another grid, such as a coarser one, to start from.
        tolerance_mm: to which each voxel's equation is solved.

    Returns:
        (affine', w, fraction of the voxels that were not solved to ten times the tolerance, 0 where nothing folds).
    """
    inverse = _Inverse(displacement, torch.float32)
    back = np.linalg.inv(affine)
    to_plain = torch.from_numpy(back @ grid.affine)
    start_at = None if guess is None else resample(guess, grid, clamp=True).data
    out = np.empty((3, *grid.shape), dtype=np.float32)
    planes = max(1, _SLAB_POINTS // (grid.shape[1] * grid.shape[2]))
    unsolved = 0
    for start in range(0, grid.shape[0], planes):
        def pause(fraction: float = start / grid.shape[0]) -> None:
            report(on_progress, fraction, "Inverting the deformation")

        pause()
        stop = min(start + planes, grid.shape[0])
        axes = [torch.arange(a, b, dtype=torch.float64)
                for a, b in ((start, stop), (0, grid.shape[1]), (0, grid.shape[2]))]
        voxels = torch.cartesian_prod(*axes)
        plain = voxels @ to_plain[:3, :3].T + to_plain[:3, 3]
        first = None
        if start_at is not None:
            first = torch.from_numpy(rotate_vectors(start_at[:, start:stop], back[:3, :3]).reshape(3, -1).T)
        moved, residual = inverse.shifts(plain, tolerance_mm, first, pause)
        unsolved += int((residual > 10 * tolerance_mm).sum())
        turned = moved.numpy() @ np.asarray(affine)[:3, :3].T
        out[:, start:stop] = turned.T.reshape(3, stop - start, *grid.shape[1:])
    return back, Volume(out, grid.affine), unsolved / float(np.prod(grid.shape))


class _Inverse:
    """Solves v = -u(y + v) for many points y, in voxel indices of u's grid."""

    def __init__(self, displacement: Volume, dtype: torch.dtype):
        grid = displacement.grid
        self.dtype = dtype
        self.steps = torch.from_numpy(np.array(grid.affine[:3, :3]))
        self.to_index = torch.linalg.inv(self.steps)
        self.origin = torch.from_numpy(np.array(grid.affine[:3, 3]))
        self.size = torch.tensor(grid.shape)
        data = to_tensor(displacement.data)
        rows = torch.einsum("ab,bijk->ijka", self.to_index.to(data.dtype), data)
        self.rows = rows.reshape(-1, 3)  # one row a voxel: the three numbers of a neighbor lie together

    def shifts(self, points: torch.Tensor, tolerance_mm: float,
               first: torch.Tensor | None = None, pause: Callable[[], None] = lambda: None
               ) -> tuple[torch.Tensor, torch.Tensor]:
        """(v in mm (N, 3), residual in mm (N,)) for points (N, 3) in mm, float64; `first`: a guess of v, in mm;
        `pause` is called between steps."""
        coordinates = ((points - self.origin) @ self.to_index.T).to(self.dtype)
        steps = self.steps.to(self.dtype)
        best = torch.zeros_like(coordinates)
        residual = torch.full((len(coordinates),), torch.inf, dtype=self.dtype)
        active = torch.arange(len(coordinates))
        shift = torch.zeros_like(coordinates) if first is None else \
            first.to(self.dtype) @ self.to_index.T.to(self.dtype)
        for _ in range(_FIXED_POINT_STEPS + 1):
            pause()
            error = shift + self.at(coordinates[active] + shift)[0]
            length = (error @ steps.T).norm(dim=1)
            better = length < residual[active]
            best[active[better]], residual[active[better]] = shift[better], length[better]
            going = length > tolerance_mm
            active, shift = active[going], (shift - error)[going]
            if len(active) == 0:
                break
        self._newton(coordinates, best, residual, active, tolerance_mm, pause)
        return best.double() @ self.steps.T, residual.double()

    def _newton(self, coordinates: torch.Tensor, best: torch.Tensor, residual: torch.Tensor, active: torch.Tensor,
                tolerance_mm: float, pause: Callable[[], None]) -> None:
        """Improve `best` and `residual` of the points `active` in place."""
        steps = self.steps.to(self.dtype)
        fraction = torch.ones(len(active), dtype=self.dtype)
        for _ in range(_NEWTON_STEPS):
            if len(active) == 0:
                return
            pause()
            shift = best[active]
            value, slopes = self.at(coordinates[active] + shift, slopes=True)
            error = shift + value
            step = _solve(slopes + torch.eye(3, dtype=self.dtype), error)
            step = step * (_LONGEST_STEP_VOXELS / step.norm(dim=1, keepdim=True)).clamp(max=1)
            trial = shift - fraction[:, None] * step
            length = ((trial + self.at(coordinates[active] + trial)[0]) @ steps.T).norm(dim=1)
            better = length < residual[active]
            best[active[better]], residual[active[better]] = trial[better], length[better]
            fraction = torch.where(better, (2 * fraction).clamp(max=1), fraction / 2)
            going = (residual[active] > tolerance_mm) & (fraction > 1e-3)
            active, fraction = active[going], fraction[going]

    @overload
    def at(self, coordinates: torch.Tensor, slopes: Literal[False] = False) -> tuple[torch.Tensor, None]: ...

    @overload
    def at(self, coordinates: torch.Tensor, slopes: Literal[True]) -> tuple[torch.Tensor, torch.Tensor]: ...

    def at(self, coordinates: torch.Tensor, slopes: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
        """u at indices (N, 3), in voxels, and its derivative (N, 3 of u, 3 along), zero along a clamped axis."""
        last = (self.size - 1).to(self.dtype)
        inner = torch.minimum(coordinates.clamp(min=0), last)
        base = torch.minimum(inner.floor(), (last - 1).clamp(min=0))
        part = inner - base
        base = base.long()
        ahead = torch.minimum(base + 1, self.size - 1)
        strides = (int(self.size[1] * self.size[2]), int(self.size[2]), 1)
        ends = [(base[:, axis] * strides[axis], ahead[:, axis] * strides[axis]) for axis in range(3)]
        weights = [(1 - part[:, axis], part[:, axis]) for axis in range(3)]
        value = torch.zeros_like(inner)
        slope = torch.zeros((len(inner), 3, 3), dtype=self.dtype) if slopes else None
        for a in (0, 1):
            for b in (0, 1):
                for c in (0, 1):
                    rows = self.rows.index_select(0, ends[0][a] + ends[1][b] + ends[2][c]).to(self.dtype)
                    x, y, z = weights[0][a], weights[1][b], weights[2][c]
                    value += (x * y * z)[:, None] * rows
                    if slope is not None:
                        for axis, weight in enumerate(((2 * a - 1) * y * z, x * (2 * b - 1) * z, x * y * (2 * c - 1))):
                            slope[:, :, axis] += weight[:, None] * rows
        if slope is not None:
            slope = slope * ((coordinates >= 0) & (coordinates <= last))[:, None, :]
        return value, slope


def _solve(matrices: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """x of M x = r for 3x3 matrices (N, 3, 3), by the adjugate; r itself, halved, where M is nearly singular."""
    a, b, c = matrices.unbind(dim=2)
    bc, ca, ab = torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)
    volume = (a * bc).sum(dim=1)
    found = torch.stack([(bc * right).sum(1), (ca * right).sum(1), (ab * right).sum(1)], dim=1)
    sound = volume.abs() > 0.02
    return torch.where(sound[:, None], found / torch.where(sound, volume, 1.0)[:, None], right / 2)


# --- how the field stretches space ---


def jacobian_determinant(displacement: Volume, affine: np.ndarray | None = None,
                         on_progress: ProgressCallback | None = None) -> Volume:
    """How much the map enlarges a small volume around each voxel: det of the derivative of affine @ (p + u(p)).

    Central differences, one-sided at the edges; 1 means no change, 0 and below that space folds.

    Returns:
        Volume (1, I, J, K) float32 on the displacement's grid.
    """
    data, shape = displacement.data, displacement.shape
    to_index = np.linalg.inv(displacement.affine[:3, :3]).astype(np.float32)
    scale = 1.0 if affine is None else float(np.linalg.det(np.asarray(affine)[:3, :3]))
    out = np.empty(shape, dtype=np.float32)
    planes = max(1, _SLAB_POINTS // (shape[1] * shape[2]))
    for start in range(0, shape[0], planes):
        report(on_progress, start / shape[0], "Measuring the deformation")
        stop = min(start + planes, shape[0])
        low, high = max(start - 1, 0), min(stop + 1, shape[0])
        part = np.asarray(data[:, low:high], dtype=np.float32)
        along = [np.gradient(part, axis=axis + 1)[:, start - low:stop - low] if part.shape[axis + 1] > 1
                 else np.zeros_like(part[:, start - low:stop - low]) for axis in range(3)]
        derivative = np.einsum("abijk,bc->acijk", np.stack(along, axis=1), to_index)
        for axis in range(3):
            derivative[axis, axis] += 1
        (a, b, c), (d, e, f), (g, h, i) = derivative
        out[start:stop] = scale * (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
    return Volume.scalar(out, displacement.affine)


def folding_percent(determinant: np.ndarray) -> float:
    """The fraction of the voxels, in percent, in which space folds: whose determinant is zero or below."""
    return 100.0 * float(np.mean(np.asarray(determinant) <= 0))


def sd_log_jacobian(determinant: np.ndarray) -> float:
    """The standard deviation of the natural logarithm of the determinant, over the voxels that do not fold.

    Source: A. D. Leow et al., "Statistical properties of Jacobian maps and the realization of unbiased
    large-deformation nonlinear image registration", IEEE Transactions on Medical Imaging 26(6), 2007,
    doi:10.1109/TMI.2007.892646.
    """
    positive = np.asarray(determinant)[np.asarray(determinant) > 0]
    return float(np.log(positive).std(dtype=np.float64)) if positive.size else float("nan")

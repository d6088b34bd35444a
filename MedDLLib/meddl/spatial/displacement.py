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
from meddl.spatial.grid import Grid, halved_grid, is_orthonormal, orthonormal_grid, padded_grid
from meddl.spatial.resample import resample, sample_at, to_tensor
from meddl.spatial.volume import Volume

INVERSE_TOLERANCE_MM = 1e-3  # of single points
FIELD_TOLERANCE_MM = 5e-3    # of the voxels of an inverse field
_SLAB_POINTS = 1 << 18     # points whose inverse is sought at once
_FIXED_POINT_STEPS = 8
_NEWTON_STEPS = 40
_LONGEST_STEP_VOXELS = 2.0
_LEAST_MARGIN_VOXELS = 4
_MARGIN_RATIOS = (2.0, 1.5, 1.2, 1.06)  # the taper is so much wider than it has to be: the first that memory allows
_MOST_PADDING = 3.0        # a padded field has at most this many times the voxels of the plain one,
_SMALL_VOXELS = 2e6        # or this many
_RESAMPLED_MM = 5e-3       # a sheared field is resampled to this accuracy, where memory allows
_FACE_SAMPLES = 64         # voxels along each axis of a face at which folding is looked for


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
        return affine, Volume(_turned(second.data, back[:3, :3]), back @ second.affine)
    grid = grid or first.grid
    here = (first if first.grid.same_as(grid)
            else resample(first, grid, clamp=True, on_progress=span(on_progress, 0.0, 0.4)))
    there = resample(second, grid, transform=first_affine, displacement=here, clamp=True,
                     on_progress=span(on_progress, 0.4, 1.0))
    report(on_progress, 1.0, "Joining the deformations")
    return affine, Volume(here.data + _turned(there.data, back[:3, :3]), grid.affine)


def _turned(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
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
        (affine', w, share of the voxels that were not solved to ten times the tolerance, 0 where nothing folds).
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
            first = torch.from_numpy(_turned(start_at[:, start:stop], back[:3, :3]).reshape(3, -1).T)
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
        places = ((points - self.origin) @ self.to_index.T).to(self.dtype)
        steps = self.steps.to(self.dtype)
        best = torch.zeros_like(places)
        residual = torch.full((len(places),), torch.inf, dtype=self.dtype)
        active = torch.arange(len(places))
        shift = torch.zeros_like(places) if first is None else first.to(self.dtype) @ self.to_index.T.to(self.dtype)
        for _ in range(_FIXED_POINT_STEPS + 1):
            pause()
            error = shift + self.at(places[active] + shift)[0]
            length = (error @ steps.T).norm(dim=1)
            better = length < residual[active]
            best[active[better]], residual[active[better]] = shift[better], length[better]
            going = length > tolerance_mm
            active, shift = active[going], (shift - error)[going]
            if len(active) == 0:
                break
        self._newton(places, best, residual, active, tolerance_mm, pause)
        return best.double() @ self.steps.T, residual.double()

    def _newton(self, places: torch.Tensor, best: torch.Tensor, residual: torch.Tensor, active: torch.Tensor,
                tolerance_mm: float, pause: Callable[[], None]) -> None:
        """Improve `best` and `residual` of the points `active` in place."""
        steps = self.steps.to(self.dtype)
        share = torch.ones(len(active), dtype=self.dtype)
        for _ in range(_NEWTON_STEPS):
            if len(active) == 0:
                return
            pause()
            shift = best[active]
            value, slopes = self.at(places[active] + shift, slopes=True)
            error = shift + value
            step = _solved(slopes + torch.eye(3, dtype=self.dtype), error)
            step = step * (_LONGEST_STEP_VOXELS / step.norm(dim=1, keepdim=True)).clamp(max=1)
            trial = shift - share[:, None] * step
            length = ((trial + self.at(places[active] + trial)[0]) @ steps.T).norm(dim=1)
            better = length < residual[active]
            best[active[better]], residual[active[better]] = trial[better], length[better]
            share = torch.where(better, (2 * share).clamp(max=1), share / 2)
            going = (residual[active] > tolerance_mm) & (share > 1e-3)
            active, share = active[going], share[going]

    @overload
    def at(self, places: torch.Tensor, slopes: Literal[False] = False) -> tuple[torch.Tensor, None]: ...

    @overload
    def at(self, places: torch.Tensor, slopes: Literal[True]) -> tuple[torch.Tensor, torch.Tensor]: ...

    def at(self, places: torch.Tensor, slopes: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
        """u at voxel places (N, 3), in voxels, and its derivative (N, 3 of u, 3 along), zero along a clamped axis."""
        last = (self.size - 1).to(self.dtype)
        inner = torch.minimum(places.clamp(min=0), last)
        base = torch.minimum(inner.floor(), (last - 1).clamp(min=0))
        part = inner - base
        base = base.long()
        ahead = torch.minimum(base + 1, self.size - 1)
        strides = (int(self.size[1] * self.size[2]), int(self.size[2]), 1)
        ends = [(base[:, axis] * strides[axis], ahead[:, axis] * strides[axis]) for axis in range(3)]
        shares = [(1 - part[:, axis], part[:, axis]) for axis in range(3)]
        value = torch.zeros_like(inner)
        slope = torch.zeros((len(inner), 3, 3), dtype=self.dtype) if slopes else None
        for a in (0, 1):
            for b in (0, 1):
                for c in (0, 1):
                    rows = self.rows.index_select(0, ends[0][a] + ends[1][b] + ends[2][c]).to(self.dtype)
                    x, y, z = shares[0][a], shares[1][b], shares[2][c]
                    value += (x * y * z)[:, None] * rows
                    if slope is not None:
                        for axis, weight in enumerate(((2 * a - 1) * y * z, x * (2 * b - 1) * z, x * y * (2 * c - 1))):
                            slope[:, :, axis] += weight[:, None] * rows
        if slope is not None:
            slope = slope * ((places >= 0) & (places <= last))[:, None, :]
        return value, slope


def _solved(matrices: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
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
    """The share of the voxels, in percent, in which space folds: whose determinant is zero or below."""
    return 100.0 * float(np.mean(np.asarray(determinant) <= 0))


def sd_log_jacobian(determinant: np.ndarray) -> float:
    """The standard deviation of the natural logarithm of the determinant, over the voxels that do not fold.

    Source: A. D. Leow et al., "Statistical properties of Jacobian maps and the realization of unbiased
    large-deformation nonlinear image registration", IEEE Transactions on Medical Imaging 26(6), 2007,
    doi:10.1109/TMI.2007.892646.
    """
    positive = np.asarray(determinant)[np.asarray(determinant) > 0]
    return float(np.log(positive).std(dtype=np.float64)) if positive.size else float("nan")


# --- one field for the whole map ---


def flatten(affine: np.ndarray, displacement: Volume | None, grid: Grid,
            margin_mm: float | None = None) -> tuple[Volume, bool]:
    """The whole map, affine included, as one displacement q - p that is zero at and beyond its edge.

    Programs differ in what a displacement field means outside of its voxels: ITK moves nothing there, VTK repeats the
    edge. A field that ends in zeros means the same to both. Within `grid`'s field of view it is the map itself: it has
    the voxels of the displacement (between which the affine is linear too) or, where there is none, of `grid`. Around
    it lies a margin in which the edge value falls to zero, wide enough on each side that space does not fold.
    A sheared grid, which neither ITK nor VTK can hold, is replaced by one with right angles around it; there the
    displacement is resampled, on smaller voxels where that needs less than two million of them.

    Args:
        grid: the fixed volume's.
        margin_mm: the width of the margin on every side; default: as wide as needed.

    Returns:
        (Volume (3, I, J, K) float32 in mm, whether its margin is wide enough). It is not where the map turns the field
        of view so much that no margin would do, or moves it so far that the field would become three times as large.
    """
    affine = np.asarray(affine, dtype=np.float64)
    base = orthonormal_grid(grid if displacement is None else displacement.grid)
    if displacement is not None and not is_orthonormal(displacement.grid):
        base = _fine_enough(displacement, base)
    corners = base.indices(grid.points_mm(_corners(grid.shape)))
    low = np.maximum(0, np.ceil(-corners.min(axis=0) - 1e-6)).astype(int)
    high = np.maximum(0, np.ceil(corners.max(axis=0) - (np.array(base.shape) - 1) - 1e-6)).astype(int)
    core = padded_grid(base, low, high)
    vectors = _whole_map(affine, displacement, core)
    needed = np.array([_outward_mm(vectors, core, axis, side) for axis in range(3) for side in (0, 1)])
    spacing = np.repeat(core.spacing_mm, 2)
    if margin_mm is not None:
        voxels = np.maximum(1, np.ceil(margin_mm / spacing)).astype(int)
    else:
        voxels = _margins(core.shape, needed / spacing)
    before, after = voxels[0::2], voxels[1::2]
    padded = np.pad(vectors, ((0, 0), *zip(before, after, strict=True)), mode="edge")
    ramps = [_ramp(core.shape[axis], before[axis], after[axis]) for axis in range(3)]
    # The least of the three, not their product: where two margins meet, the field falls along one of them only.
    weights = np.minimum(np.minimum(ramps[0][:, None, None], ramps[1][:, None]), ramps[2])
    padded *= weights
    return Volume(padded, padded_grid(core, before, after).affine), bool((voxels * spacing > 1.05 * needed).all())


def _fine_enough(displacement: Volume, grid: Grid) -> Grid:
    """The grid, its voxels halved until the displacement is the same on it to a few micrometers, or it is too large."""
    places = np.random.default_rng(0).uniform(0, np.array(displacement.shape) - 1, (2000, 3))
    points = displacement.grid.points_mm(places)
    expected = sample_at(displacement, points)
    while True:
        missed = np.abs(sample_at(resample(displacement, grid, clamp=True), points) - expected).max()
        finer = halved_grid(grid)
        if missed < _RESAMPLED_MM or np.prod(finer.shape, dtype=float) > _SMALL_VOXELS:
            return grid
        grid = finer


def _corners(shape: tuple[int, int, int]) -> np.ndarray:
    """The eight corners of the field of view as voxel indices, (8, 3)."""
    ends = [(-0.5, n - 0.5) for n in shape]
    return np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, 8).T


def _whole_map(affine: np.ndarray, displacement: Volume | None, grid: Grid) -> np.ndarray:
    """q - p at the voxels of `grid`, (3, I, J, K) float32."""
    if displacement is None:
        moved = np.zeros((3, *grid.shape), dtype=np.float32)
    else:
        moved = _turned(resample(displacement, grid, clamp=True).data, affine[:3, :3])
    change = (affine - np.eye(4)) @ grid.affine
    axes = np.ogrid[tuple(slice(n) for n in grid.shape)]
    for row in range(3):
        moved[row] += change[row, 3] + sum(change[row, axis] * axes[axis] for axis in range(3))
    return moved.astype(np.float32, copy=False)


def _outward_mm(vectors: np.ndarray, grid: Grid, axis: int, side: int) -> float:
    """The least width of a linear taper beyond one face without folding; infinite where there is none.

    Beyond the face the map is p + w d with w falling from 1 to 0 over the width m along the normal n and d constant
    along n. The determinant of its derivative, det(M) (1 - n M^-1 d / m) with M = 1 + w (d's derivative along the
    face), has to stay above zero for each w.
    """
    face = np.take(vectors, 0 if side == 0 else grid.shape[axis] - 1, axis=axis + 1)
    others = [a for a in range(3) if a != axis]
    to_index = np.linalg.inv(grid.affine[:3, :3])
    slopes = np.zeros((*face.shape[1:], 3, 3))
    for place, other in enumerate(others):
        if face.shape[place + 1] > 1:
            along = np.moveaxis(np.gradient(face, axis=place + 1), 0, -1)
            slopes += along[..., :, None] * to_index[other]
    every = tuple(slice(None, None, max(1, n // _FACE_SAMPLES)) for n in face.shape[1:])
    slopes, shifts = slopes[every], np.moveaxis(face, 0, -1)[every]
    normal = grid.directions[:, axis] * (-1 if side == 0 else 1)
    widest = 0.0
    for weight in np.linspace(0, 1, 9):
        matrices = np.eye(3) + weight * slopes
        if (np.linalg.det(matrices) < 0.05).any():
            return np.inf
        solved = np.linalg.solve(matrices, shifts[..., None].astype(np.float64))[..., 0]
        widest = max(widest, float((solved @ normal).max()))
    return widest


def _margins(shape: tuple[int, int, int], needed: np.ndarray) -> np.ndarray:
    """Margins in voxels (before and after each axis): wider than needed where memory allows."""
    limit = max(_MOST_PADDING * float(np.prod(shape)), _SMALL_VOXELS)
    for ratio in _MARGIN_RATIOS:
        wanted = np.minimum(np.ceil(ratio * needed), 1e6)
        voxels = np.maximum(_LEAST_MARGIN_VOXELS, wanted).astype(int)
        if np.prod(np.array(shape, dtype=float) + voxels[0::2] + voxels[1::2]) <= limit:
            return voxels
    return np.full(6, _LEAST_MARGIN_VOXELS)


def _ramp(count: int, before: int, after: int) -> np.ndarray:
    """Weights along one axis: from 0 up to 1 before the inner voxels and down to 0 after them."""
    up, down = np.arange(before) / before, np.arange(after)[::-1] / after
    return np.concatenate([up, np.ones(count), down]).astype(np.float32)

"""A whole map, affine included, as one displacement field for programs that differ in what lies beyond its edge.

For files the field has less content, to an accuracy that is stated: fewer voxels, and rounded vectors.
"""

import numpy as np

from meddl.core.progress import ProgressCallback, report, span
from meddl.spatial.displacement import rotate_vectors
from meddl.spatial.grid import Grid, halved_grid, is_orthonormal, orthonormal_grid, padded_grid, three
from meddl.spatial.resample import resample, sample_at
from meddl.spatial.volume import Volume

_LEAST_MARGIN_VOXELS = 4
_MARGIN_RATIOS = (2.0, 1.5, 1.2, 1.06)  # the taper is so much wider than it has to be: the first that memory allows
_MOST_PADDING = 3.0        # a padded field has at most this many times the voxels of the plain one,
_SMALL_VOXELS = 2e6        # or this many
_RESAMPLED_MM = 5e-3       # a sheared field is resampled to this accuracy, where memory allows
_LINEAR_CELLS = 8          # along the longest axis of a linear map's field
_FACE_SAMPLES = 64         # voxels along each axis of a face at which folding is looked for

_FACTORS = (16, 12, 8, 6, 4, 3, 2.5, 2, 1.5)
_STEP_SHARE = 0.4          # of the tolerance is the step of rounding, at most,
_MOST_STEP_MM = 1 / 256    # and this: derivatives are taken of what is rounded
_MESSAGE = "Making the transform"
_FIRST_LOOK = 4000         # voxels at which most grids that are too coarse show it


def flatten(affine: np.ndarray, displacement: Volume | None, grid: Grid,
            margin_mm: float | None = None, tolerance_mm: float = 0.0,
            on_progress: ProgressCallback | None = None) -> tuple[Volume, bool]:
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
        tolerance_mm: so far the field may be from the map within the field of view. Above 0 it lies on the coarsest
            grid that keeps that, a linear map on a few voxels, and its vectors are rounded: see `coarsen`.

    Returns:
        (Volume (3, I, J, K) float32 in mm, whether its margin is wide enough). It is not where the map turns the field
        of view so much that no margin would do, or moves it so far that the field would become three times as large.
    """
    affine = np.asarray(affine, dtype=np.float64)
    if tolerance_mm > 0:
        displacement, grid = _coarse(displacement, grid, tolerance_mm)
    base = orthonormal_grid(grid if displacement is None else displacement.grid)
    if displacement is not None and not is_orthonormal(displacement.grid):
        base = _is_fine(displacement, base)
    corners = base.indices(grid.points_mm(_corners(grid.shape)))
    low = np.maximum(0, np.ceil(-corners.min(axis=0) - 1e-6)).astype(int)
    high = np.maximum(0, np.ceil(corners.max(axis=0) - (np.array(base.shape) - 1) - 1e-6)).astype(int)
    core = padded_grid(base, low, high)
    vectors = _whole_map(affine, displacement, core, span(on_progress, 0.0, 0.5))
    report(on_progress, 0.5, _MESSAGE)
    needed = np.array([_outward_mm(vectors, core, axis, side) for axis in range(3) for side in (0, 1)])
    spacing = np.repeat(core.spacing_mm, 2)
    if margin_mm is not None:
        voxels = np.maximum(1, np.ceil(margin_mm / spacing)).astype(int)
    else:
        voxels = _margins(core.shape, needed / spacing)
    before, after = voxels[0::2], voxels[1::2]
    report(on_progress, 0.6, _MESSAGE)
    padded = np.pad(vectors, ((0, 0), *zip(before, after, strict=True)), mode="edge")
    ramps = [_ramp(core.shape[axis], before[axis], after[axis]) for axis in range(3)]
    # The least of the three, not their product: where two margins meet, the field falls along one of them only.
    weights = np.minimum(np.minimum(ramps[0][:, None, None], ramps[1][:, None]), ramps[2])
    report(on_progress, 0.75, _MESSAGE)
    padded *= weights
    report(on_progress, 0.85, _MESSAGE)
    padded = round_vectors(padded, tolerance_mm)
    return Volume(padded, padded_grid(core, before, after).affine), bool((voxels * spacing > 1.05 * needed).all())


def _coarse(displacement: Volume | None, grid: Grid, tolerance_mm: float) -> tuple[Volume | None, Grid]:
    """Displacement and grid of less content. A sheared displacement, which is resampled in any case, stays."""
    if displacement is None:
        return None, spanning_grid(grid, max(grid.shape) / _LINEAR_CELLS)
    return (coarsen(displacement, tolerance_mm) if is_orthonormal(displacement.grid) else displacement), grid


def _is_fine(displacement: Volume, grid: Grid) -> Grid:
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


def _whole_map(affine: np.ndarray, displacement: Volume | None, grid: Grid,
               on_progress: ProgressCallback | None = None) -> np.ndarray:
    """q - p at the voxels of `grid`, (3, I, J, K) float32."""
    if displacement is None:
        moved = np.zeros((3, *grid.shape), dtype=np.float32)
    else:
        moved = resample(displacement, grid, clamp=True, on_progress=span(on_progress, 0.0, 0.7)).data
        report(on_progress, 0.7, _MESSAGE)
        moved = rotate_vectors(moved, affine[:3, :3])
        report(on_progress, 0.85, _MESSAGE)
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


# --- less content ---


def coarsen(displacement: Volume, tolerance_mm: float) -> Volume:
    """The displacement on the coarsest grid that keeps it.

    Linear between its voxels, it is nowhere farther from the displacement, at the voxels of that, than the tolerance
    less what `round_vectors` takes of it. Grids with voxels 16 to 1.5 times as large are tried; they begin and end at
    the outermost voxel centers. The displacement itself where none of them is close enough.

    Args:
        displacement: (3, I, J, K) in mm.
        tolerance_mm: largest distance between the two vectors at a voxel; 0 and below: nothing is changed.
    """
    if tolerance_mm <= 0:
        return displacement
    most_mm = tolerance_mm - _step_mm(tolerance_mm) * np.sqrt(3) / 2
    random = np.random.default_rng(0)
    voxels = random.integers(0, displacement.shape, (_FIRST_LOOK, 3))
    points, vectors = displacement.grid.points_mm(voxels), displacement.data[(slice(None), *voxels.T)]
    for factor in _FACTORS:
        grid = spanning_grid(displacement.grid, factor)
        if np.prod(grid.shape) >= np.prod(displacement.shape):
            continue
        coarse = resample(displacement, grid, clamp=True)
        if (np.linalg.norm(sample_at(coarse, points).T - vectors, axis=0).max() <= most_mm
                and largest_difference_mm(coarse, displacement) <= most_mm):
            return coarse
    return displacement


def largest_difference_mm(coarse: Volume, displacement: Volume) -> float:
    """The largest distance between two displacements at the voxels of the second, in mm."""
    apart = resample(coarse, displacement.grid, clamp=True).data - displacement.data
    return float(np.sqrt(np.einsum("cijk,cijk->ijk", apart, apart).max()))


def round_vectors(vectors: np.ndarray, tolerance_mm: float) -> np.ndarray:
    """Vectors (3, ...) in mm rounded to a power of two, with which files compress far better.

    The step is at most 0.4 of the tolerance and 1/256 mm; 0 and below: nothing is changed.
    """
    if tolerance_mm <= 0:
        return vectors
    step = vectors.dtype.type(_step_mm(tolerance_mm))
    return np.rint(vectors / step) * step + 0  # no negative zeros


def _step_mm(tolerance_mm: float) -> float:
    return float(min(2.0 ** np.floor(np.log2(_STEP_SHARE * tolerance_mm)), _MOST_STEP_MM))


def spanning_grid(grid: Grid, factor: float) -> Grid:
    """A grid with voxels about `factor` times as large (no larger) and the same outermost voxel centers."""
    ends = np.array(grid.shape) - 1
    cells = np.ceil(ends / max(factor, 1.0) - 1e-9).astype(int)
    steps = np.divide(ends, cells, out=np.ones(3), where=cells > 0)
    return Grid(three(int(n) + 1 for n in cells), grid.affine @ np.diag([*steps, 1.0]))

"""Displacements of less content, for files: on fewer voxels and rounded, to an accuracy that is stated."""

import numpy as np

from meddl.spatial.grid import Grid, three
from meddl.spatial.resample import resample, sample_at
from meddl.spatial.volume import Volume

_FACTORS = (16, 12, 8, 6, 4, 3, 2.5, 2, 1.5)
_STEP_SHARE = 0.4          # of the tolerance is the step of rounding, at most,
_MOST_STEP_MM = 1 / 256    # and this: derivatives are taken of what is rounded
_FIRST_LOOK = 4000         # voxels at which most grids that are too coarse show it


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

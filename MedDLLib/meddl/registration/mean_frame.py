"""The mean of several affine transforms, and the grid in its space."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import expm, logm

from meddl.core.errors import InputError
from meddl.spatial.grid import Grid, grid_around, reorient_grid

_STEPS = 50
_EXACT = 1e-10


def geometric_mean(affines: Sequence[np.ndarray]) -> np.ndarray:
    """The 4x4 map from which the ways to all `affines` (4x4) cancel: the mean of their logarithms is zero there.

    It belongs to the maps and not to the space that they start from or lead to: if all are preceded or followed by one
    more map, so is their mean. The mean of rotations is a rotation. By repeated averages of logarithms, after V.
    Arsigny et al., "A log-Euclidean framework for statistics on diffeomorphisms", MICCAI 2006,
    doi:10.1007/11866565_113.

    Raises:
        InputError: the maps turn so far against each other that nothing lies in the middle.
    """
    mean = np.array(affines[0], dtype=np.float64)
    for _ in range(_STEPS):
        ways = [logm(np.linalg.solve(mean, affine)) for affine in affines]
        if any(np.abs(np.imag(way)).max() > 1e-6 for way in ways):
            raise InputError("The volumes are turned against each other by half a turn, and have no mean direction. "
                             "Bring them into about the same position first.")
        step = np.real(np.mean(ways, axis=0))
        mean = mean @ expm(step)
        if np.abs(step).max() < _EXACT:
            break
    mean[3] = 0, 0, 0, 1
    return mean


def mean_grid(grids: Sequence[Grid], affines: Sequence[np.ndarray]) -> Grid:
    """The mean of several fields of view, in the space from which `affines` (4x4, RAS mm) lead to the grids' spaces.

    Its axes are at right angles and run along R, A, S as far as the grids' do; voxel sizes and center are the mean,
    sizes by their logarithms. One grid that already is so comes back as it is.
    """
    centers, directions, spacings, extents = [], [], [], []
    for grid, affine in zip(grids, affines, strict=True):
        upright = reorient_grid(grid)
        here = Grid(upright.shape, np.linalg.inv(affine) @ upright.affine)
        centers.append(here.center_mm)
        directions.append(here.directions)
        spacings.append(here.spacing_mm)
        extents.append(here.extent_mm)
    u, _, vt = np.linalg.svd(np.mean(directions, axis=0))
    spacing = np.exp(np.mean(np.log(spacings), axis=0))
    shape = np.maximum(1, np.rint(np.mean(extents, axis=0) / spacing))
    return grid_around(np.mean(centers, axis=0), shape, u @ vt * spacing)

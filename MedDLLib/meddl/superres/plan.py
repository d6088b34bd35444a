"""The plan of a super-resolution: axes, factors and grid of the result, known before it runs."""

from dataclasses import dataclass

import numpy as np

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.spatial.grid import Grid, centered_grid

_SAME = 1.01  # voxel sizes within one percent count as equal


@dataclass(frozen=True)
class ResolutionPlan:
    """The grid to make, and how it differs from the grid that is there.

    Attributes:
        grid: the output grid, same center and directions.
        axis: the thickest axis among those that change, or of the volume where none does.
        factors: old over new voxel size along i, j, k; 1 where an axis is left alone.
    """

    grid: Grid
    axis: int
    factors: tuple[float, float, float]

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that change, the one that grows least first: cheapest in memory and time."""
        return tuple(a for a in np.argsort(self.factors, kind="stable").tolist() if self.factors[a] != 1)


def plan_resolution(grid: Grid, config: SuperResolveConfig) -> ResolutionPlan:
    """Which axes become finer, and on what grid.

    Without a target spacing, the axis with the largest voxel size gets the smallest voxel size found. With
    one, every axis that is coarser gets it. With a factor, the voxels of the axes that are as thick as the
    thickest become smaller by it. `config.axis` restricts the change to that axis.

    The number of voxels along a changed axis is round(n d / d'); the new first voxel lies at
    o + (d' - d) / 2 + (n d - n' d') / 2, so that the center of the field of view does not move.

    Raises:
        InputError: the axis is not 0, 1 or 2, has a single slice, or is already finer than the target; the
            target is not a positive number of millimeters, the factor not a number above 1, or both are given.
    """
    spacing = grid.spacing_mm
    check_axis(config.axis)
    target = _target(spacing, config)
    thickest = int(np.argmax(spacing)) if config.axis is None else int(config.axis)
    wanted = float(spacing.min()) if target is None else float(target)
    if config.axis is not None or target is None:
        candidates = [thickest]
    else:
        candidates = [0, 1, 2]
    if config.factor is not None and config.axis is None:
        candidates = [a for a in range(3) if spacing[a] * _SAME >= spacing[thickest]]
    axes = [a for a in candidates if spacing[a] > wanted * _SAME]
    if not axes and target is not None:
        which = f"axis {thickest}" if config.axis is not None else "every axis"
        raise InputError(
            f"Super-resolution makes voxels smaller. A target of {wanted:g} mm was asked for, but {which} is "
            f"as fine already (voxels of {', '.join(f'{d:g}' for d in spacing)} mm). Choose a smaller one.")
    for axis in axes:
        if grid.shape[axis] < 2:
            raise InputError(
                f"Axis {axis} has a single slice; between-slice detail needs at least two. "
                f"The volume has {' x '.join(map(str, grid.shape))} voxels.")
    new_spacing = spacing.copy()
    new_spacing[axes] = wanted
    new = centered_grid(grid, new_spacing)
    factors = tuple(float(spacing[a] / wanted) if a in axes else 1.0 for a in range(3))
    return ResolutionPlan(new, max(axes, key=lambda a: spacing[a], default=thickest), factors)


def _target(spacing: np.ndarray, config: SuperResolveConfig) -> float | None:
    """The voxel size to reach in mm, where one was asked for."""
    target, factor = config.target_spacing_mm, config.factor
    if target is not None and not (np.isfinite(target) and target > 0):
        raise InputError(f"The target voxel size is a positive number of mm; got {target!r}.")
    if factor is None:
        return target
    if target is not None:
        raise InputError("Give either a factor or a target voxel size, not both.")
    if not (np.isfinite(factor) and factor > _SAME):
        raise InputError(f"The factor by which voxels become smaller is a number above 1; got {factor!r}.")
    return float(spacing.max() if config.axis is None else spacing[config.axis]) / factor


def check_axis(axis: int | None) -> None:
    """Nothing where the axis is 0, 1, 2 or None; else raises InputError."""
    if axis is not None and axis not in (0, 1, 2):
        raise InputError(f"The axis to sharpen is 0, 1 or 2 (i, j or k); got {axis!r}.")

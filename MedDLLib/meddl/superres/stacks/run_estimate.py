"""Estimate of the time and memory of several stacks into one volume."""

import math
from collections.abc import Sequence
from dataclasses import replace

from meddl.core.config import SuperResolveConfig
from meddl.core.device import describe, select_device
from meddl.models.cost.expected import BASE_BYTES, Expected
from meddl.models.cost.machine_speed import megavoxels_per_second
from meddl.registration.run_estimate import expected_registration
from meddl.spatial.grid import Grid, centered_grid
from meddl.superres.run_estimate import expected_super_resolution
from meddl.superres.stacks.alignment import REGISTRATION
from meddl.superres.stacks.motion_correction import ROUNDS
from meddl.superres.stacks.resolve import bytes_needed

# Measured: interpolations that take as long as what is done for each stack and voxel of the result, and what a round of
# the correction of slice motion takes beside that.
_COMBINED, _ROUND = 25.0, 2.0


def expected_stacks(grids: Sequence[Grid], config: SuperResolveConfig, *, device: str = "auto") -> Expected:
    """What `meddl.super_resolve` will take for stacks on these grids, about.

    Raises:
        InputError: no such device, or an impossible target.
    """
    chosen = select_device(device)
    spacing = config.target_spacing_mm or float(min(grid.spacing_mm.min() for grid in grids))
    fine = [centered_grid(grid, spacing) for grid in grids]
    each = replace(config, factor=None, axis=None, target_spacing_mm=spacing)
    seconds = sum(expected_super_resolution(grid, each, device=device).seconds for grid in grids)
    seconds += sum(expected_registration(fine[0], one, REGISTRATION, device=device).seconds for one in fine[1:])
    voxels = max(math.prod(one.shape) for one in fine)
    rounds = 1 + _ROUND * ROUNDS * config.slice_motion
    seconds += rounds * _COMBINED * voxels * len(grids) / 1e6 / megavoxels_per_second(select_device("cpu"))
    return Expected(seconds, BASE_BYTES + bytes_needed(voxels, len(grids)), describe(chosen))

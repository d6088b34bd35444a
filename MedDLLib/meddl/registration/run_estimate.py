"""Estimate of the time and memory of a registration, from the volumes' grids, the choices and the machine's speed."""

import math

import numpy as np

from meddl.core.config import RegisterConfig
from meddl.core.device import describe, select_device
from meddl.models.cost.expected import BASE_BYTES, Expected
from meddl.models.cost.machine_speed import megavoxels_per_second
from meddl.registration.deformable.deform import BYTES_A_VOXEL, MORE_BYTES_BOTH_WAYS
from meddl.registration.deformable.levels import MOST_VOXELS, deformation_levels_mm, iterations_by_level, voxels_at
from meddl.spatial.grid import Grid

# Interpolations that take as long, measured: for each voxel of a volume (pyramids, the result), for each sample of an
# evaluation of mutual information with and without its gradient, for each voxel of an iteration of a deformation.
_VOXEL, _SAMPLE, _SCORED_SAMPLE = 1.0, 6.0, 3.0
_ITERATION = {"lncc": 10.0, "mind": 14.0}
_BOTH_WAYS = 3.5  # a symmetric iteration beside one of a displacement
_START_S, _EVALUATION_S, _ITERATION_S = 0.3, 0.002, 0.004  # at the least, however small the volumes are
_OBJECT = 0.85  # of a volume is the object, about
_CANDIDATES = (4, 2)  # initial alignments that are refined, on the first levels; one on all others
_PARAMETERS = {"translation": 3, "rigid": 6, "affine": 12}
_HEADER_SAMPLES = 6 * 25 * 8_000  # evaluated for the check of the headers


def expected_registration(fixed: Grid, moving: Grid, config: RegisterConfig, *, device: str = "auto") -> Expected:
    """What `meddl.register` will take for volumes on these grids, about.

    Raises:
        InputError: no such device.
    """
    chosen = select_device("cpu" if device == "mps" else device)
    voxels = math.prod(fixed.shape) + math.prod(moving.shape)
    linear, evaluations = _linear(fixed, config)
    interpolations, seconds = _VOXEL * voxels + linear, _START_S + _EVALUATION_S * evaluations
    memory = BASE_BYTES + 12 * voxels
    if config.transform_type == "deformable":
        metrics = (config.metric,) if config.metric in _ITERATION else tuple(_ITERATION)
        costs = [_deformation(fixed, config, metric) for metric in metrics]  # which of them, the volumes will show
        interpolations += math.prod(cost[0] for cost in costs) ** (1 / len(costs))
        seconds += _ITERATION_S * sum(costs[0][1])
        memory += max(cost[2] for cost in costs)
    return Expected(seconds + interpolations / 1e6 / megavoxels_per_second(chosen), memory, describe(chosen))


def _linear(grid: Grid, config: RegisterConfig) -> tuple[float, float]:
    """Interpolations of the linear registration, and its evaluations."""
    kind = config.linear_transform if config.transform_type == "deformable" else config.transform_type
    each = min(15 + 1.2 * _PARAMETERS[kind], 1.3 * config.iterations)
    searched = config.initialization == "auto"
    levels = sorted(config.levels_mm, reverse=True)
    samples = [min(config.samples, _OBJECT * voxels_at(grid, level)) for level in levels]
    candidates = [*_CANDIDATES, *(1 for _ in levels)][:len(levels)] if searched else [1 for _ in levels]
    counts = [each * count for count in candidates]
    cost = _SAMPLE * (float(np.dot(counts, samples)) + _HEADER_SAMPLES)
    return cost + _SCORED_SAMPLE * config.search_rotations * samples[0], sum(counts)


def _deformation(grid: Grid, config: RegisterConfig, metric: str) -> tuple[float, tuple[int, ...], float]:
    """Interpolations of a deformation with this metric, its iterations by level, and bytes."""
    levels = deformation_levels_mm(grid, config.deformable_levels_mm, MOST_VOXELS[metric])
    iterations = iterations_by_level(config.deformable_iterations, len(levels))
    voxels = [_OBJECT * voxels_at(grid, level) for level in levels]
    cost = _ITERATION[metric] * float(np.dot(iterations, voxels)) * (_BOTH_WAYS if config.symmetric else 1)
    return cost, iterations, (BYTES_A_VOXEL[metric] + MORE_BYTES_BOTH_WAYS * config.symmetric) * voxels[-1]

"""Estimate of the time and memory of a super-resolution, from the volume's grid, the method and the machine's speed."""

import math
from dataclasses import replace

import torch

from meddl.core.config import SuperResolveConfig
from meddl.core.device import describe, select_device
from meddl.core.errors import ModelNotFoundError
from meddl.models.cards import NetworkSpec
from meddl.models.cost.expected import BASE_BYTES, Expected
from meddl.models.cost.machine_speed import gigamacs_per_second, megavoxels_per_second
from meddl.models.cost.network_cost import network_cost
from meddl.models.own_models import METHOD_MODELS
from meddl.models.store.store import ModelStore
from meddl.spatial.grid import Grid
from meddl.superres.methods import denoise, through_plane, volumetric
from meddl.superres.methods.blocks import Blocking, cut_blocks
from meddl.superres.methods.registry import METHODS
from meddl.superres.plan import ResolutionPlan, plan_resolution

# Interpolations that take as long, measured: for each voxel of the input (detection of the acquisition) and of the
# result (interpolation, writing, checking), for an iteration of back-projection, and what a run takes at the least.
_INPUT, _RESULT, _ITERATION, _START_S = 2.0, 0.5, 0.4, 0.1
# What multiply-adds of these methods, in float32, take beside those of the U-Net that measures the machine's speed.
_EFFORT = {"network": 0.7, "self-training": 0.7, "srcnn": 2.5, "denoise": 0.7, "denoise-autoencoder": 0.6,
           "denoise-self-supervised": 0.7}
_SAMPLE = 32  # voxels along each axis of the image whose multiply-adds are counted
_VOLUMETRIC = {**{name: (METHOD_MODELS[name],) for name in ("edsr3d", "srcnn", "srresnet")},
               "srgan": (METHOD_MODELS["srresnet"], "superres-srgan")}
_TIMED = ("self-training", "denoise-self-supervised")  # which take the seconds that they are given


def expected_super_resolution(grid: Grid, config: SuperResolveConfig, *, device: str = "auto") -> Expected:
    """What `meddl.super_resolve` will take for a volume of one channel on this grid, about.

    Raises:
        InputError: no such device, or an impossible target.
    """
    chosen, method = select_device(device), METHODS[config.method]
    plan = ResolutionPlan(grid, 0, (1.0, 1.0, 1.0)) if method.grid == "same" else plan_resolution(
        grid, _with_target(grid, config))
    made = math.prod(plan.grid.shape)
    steps = config.iterations if config.method == "back-projection" else 3 if method.consistent else 0
    voxels = math.prod(grid.shape) * (_INPUT + _ITERATION * steps) + made * _RESULT
    work = _network_work(config.method, grid, plan)
    seconds = (_START_S + (config.seconds if config.method in _TIMED else 0.0)
               + voxels / 1e6 / megavoxels_per_second(chosen))
    if work:
        seconds += work * _EFFORT.get(config.method, 1.0) / gigamacs_per_second(chosen, exact=True)
    memory = BASE_BYTES + method.bytes_per_voxel * made + 8 * math.prod(grid.shape)
    return Expected(seconds, memory, describe(chosen))


def spatial_denoising_seconds(grid: Grid, device: torch.device) -> float:
    """What the network of the method denoise takes for a volume on this grid, alone."""
    work = _network_work("denoise", grid, ResolutionPlan(grid, 0, (1.0, 1.0, 1.0)))
    return work * _EFFORT["denoise"] / gigamacs_per_second(device, exact=True)


def _with_target(grid: Grid, config: SuperResolveConfig) -> SuperResolveConfig:
    """The config, which halves the voxels where its method does and nothing else is asked for."""
    stated = config.factor is not None or config.target_spacing_mm is not None
    if METHODS[config.method].grid != "halved" or stated:
        return config
    return replace(config, axis=None, target_spacing_mm=float(grid.spacing_mm.min()) / 2)


def _network_work(method: str, grid: Grid, plan: ResolutionPlan) -> float:
    """1e9 multiply-adds of the method's networks."""
    if method in ("network", "self-training"):
        spec, work, shape = _network(through_plane.MODEL), 0.0, list(grid.shape)
        if spec is None:
            return 0.0
        for axis in plan.axes:
            # every voxel is seen twice, in images along two directions
            work += 2 * math.prod(shape) * _each(spec, 2, (plan.factors[axis], 1.0))
            shape[axis] = plan.grid.shape[axis]
        return work
    if method in _VOLUMETRIC:
        specs = [_network(model) for model in _VOLUMETRIC[method]]
        return sum(_count_seen(grid, Blocking(2, *volumetric.BLOCKS[spec.architecture])) * _each(spec, 3)
                   for spec in specs if spec is not None)
    if METHODS[method].grid == "same":
        alone = method == "denoise-autoencoder"
        spec = _network(denoise.AUTOENCODER if alone else denoise.RESIDUAL)
        return 0.0 if spec is None else _count_seen(grid, denoise.BLOCKING) * _each(spec, 3, () if alone else (0.05,))
    return 0.0


def _network(model: str) -> NetworkSpec | None:
    try:
        return next(iter(ModelStore().card(model).networks.values()))
    except ModelNotFoundError:
        return None


def _each(spec: NetworkSpec, axes: int, extra: tuple[float, ...] = ()) -> float:
    """1e9 multiply-adds for each voxel of the input."""
    cost = network_cost(spec.architecture, dict(spec.arguments), 1, (_SAMPLE,) * axes, extra)
    return cost.gigamacs / _SAMPLE ** axes


def _count_seen(grid: Grid, blocking: Blocking) -> int:
    """Voxels of all blocks, what lies around them included."""
    return sum(math.prod(part.stop - part.start for part in seen) for seen, _kept in cut_blocks(grid.shape, blocking))

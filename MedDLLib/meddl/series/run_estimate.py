"""Estimate of the time and memory of the denoising of a series, from its grid, its length and the machine's speed."""

import math

import torch

from meddl.core.device import describe, select_device
from meddl.core.errors import ModelNotFoundError
from meddl.models.cards import NetworkSpec
from meddl.models.cost.expected import BASE_BYTES, Expected
from meddl.models.cost.machine_speed import gigamacs_per_second, megavoxels_per_second
from meddl.models.cost.network_cost import build_without_memory
from meddl.models.store.store import ModelStore
from meddl.networks.recurrent.temporal_filter import begin, update
from meddl.series.config import MODEL, DenoiseSeriesConfig, needed_bytes
from meddl.spatial.grid import Grid
from meddl.superres.run_estimate import spatial_denoising_seconds

_START_S = 0.2
_SAMPLE = 32  # voxels along each axis of the frame whose multiply-adds are counted
# Measured (bench_estimates.py): multiply-adds of the temporal filter beside those of the U-Net by which the machine's
# speed is measured; interpolations that take as long as what a voxel of a frame needs beside the networks; the network
# of the spatial step on frames beside its time on larger volumes.
_EFFORT, _FRAME, _SPATIAL = 1.4, 1.0, 1.6
# Interpolations that take as long as local PCA of a voxel: at the least, for each frame and for its square, up to as
# many frames as a window has voxels.
_COMPONENTS, _WINDOW = (140.0, 13.0, 0.24), 125
_ITEMSIZE = 4  # bytes of a voxel of the series, at most as a rule


def expected_denoising(grid: Grid, frames: int, config: DenoiseSeriesConfig, *, device: str = "auto") -> Expected:
    """What `meddl.denoise_series` will take for so many frames on this grid, about.

    Raises:
        InputError: no such device.
    """
    chosen, voxels = select_device(device), math.prod(grid.shape)
    megavoxel_s = 1 / megavoxels_per_second(chosen)
    memory = BASE_BYTES + _ITEMSIZE * voxels * frames + needed_bytes(voxels, frames, _ITEMSIZE, config)
    if config.method == "local-pca":
        size = min(frames, _WINDOW)
        work = voxels / 1e6 * sum(factor * size**power for power, factor in enumerate(_COMPONENTS))
        return Expected(_START_S + work * megavoxel_s, memory, describe(chosen))
    passes = 2 if config.passes == "both" else 1
    seconds = _START_S + config.seconds + _FRAME * voxels * frames / 1e6 * megavoxel_s
    seconds += passes * frames * voxels * _filter_work(config) * _EFFORT / gigamacs_per_second(chosen, exact=True)
    if config.spatial:
        seconds += frames * _SPATIAL * spatial_denoising_seconds(grid, chosen)
    return Expected(seconds, memory, describe(chosen))


def _filter_work(config: DenoiseSeriesConfig) -> float:
    """1e9 multiply-adds of the temporal filter for each voxel of a frame."""
    from torch.utils.flop_counter import FlopCounterMode

    try:
        spec: NetworkSpec = next(iter(ModelStore().card(config.model or MODEL).networks.values()))
    except ModelNotFoundError:
        return 0.0
    network = build_without_memory(spec.architecture, dict(spec.arguments)).eval()
    frame = torch.zeros(1, 1, *(_SAMPLE,) * 3, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        update(network, begin(frame), frame, 1.0)
    return counter.get_total_flops() / 2e9 / _SAMPLE**3

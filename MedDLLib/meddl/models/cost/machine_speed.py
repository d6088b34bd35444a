"""How fast this machine runs networks, and how fast it interpolates volumes.

One small U-Net, and one small volume at moved points: measured once per device and torch version and remembered. On a
CPU the time of its threads counts, not the clock's, so that other programs do not spoil what is remembered.
"""

import contextlib
import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from meddl.core.device import describe, fast_dtype, in_fast_precision
from meddl.core.paths import cache_folder, read_record, write_record
from meddl.models.cost.network_cost import network_cost
from meddl.networks import build_network
from meddl.networks.inference import ready_for_inference

_FILE = "speed.json"
_PATCH = (64, 64, 64)
_ARGUMENTS = {"in_channels": 1, "out_channels": 8, "features": [16, 32, 64], "kernel_sizes": [[3, 3, 3]] * 3,
              "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "counts": [2, 2, 2], "decoder_counts": [2, 2]}
_LEAST_S = 0.2
_known: dict[str, float] = {}


def gigamacs_per_second(device: torch.device, exact: bool = False) -> float:
    """1e9 multiply-adds a second of networks, in the device's fastest precision or in float32 (`exact`)."""
    return _remember(device, str(torch.float32 if exact else fast_dtype(device)), lambda: _measure(device, exact))


def megavoxels_per_second(device: torch.device) -> float:
    """1e6 voxels a second that are interpolated from a volume at moved points, in float32."""
    return _remember(device, "interpolation", lambda: _measure_interpolation(device))


def _remember(device: torch.device, what: str, measure: Callable[[], float]) -> float:
    key = f"{describe(device)}, torch {torch.__version__}, {what}"
    if key not in _known:
        stored = read_record(cache_folder() / _FILE)
        value = stored.get(key)
        if not isinstance(value, (int, float)) or value <= 0:
            value = measure()
            with contextlib.suppress(OSError):  # what cannot be kept is measured again
                write_record(cache_folder() / _FILE, stored | {key: value})
        _known[key] = float(value)
    return _known[key]


@torch.no_grad()
def _measure(device: torch.device, exact: bool) -> float:
    network = ready_for_inference(build_network("PlainConvUNet", _ARGUMENTS), device)
    work = network_cost("PlainConvUNet", _ARGUMENTS, 1, _PATCH).gigamacs
    image = torch.rand(1, 1, *_PATCH, device=device)

    def once() -> None:
        with in_fast_precision(device, exact):
            network(image)

    return work * _times_a_second(once, device)


@torch.no_grad()
def _measure_interpolation(device: torch.device) -> float:
    image = torch.rand(1, 1, *_PATCH, device=device)
    axes = [torch.linspace(-0.97, 0.93, n, device=device) for n in _PATCH]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], dim=-1)[None]
    return math.prod(_PATCH) / 1e6 * _times_a_second(lambda: F.grid_sample(image, points, align_corners=False), device)


def _times_a_second(run: Callable[[], object], device: torch.device) -> float:
    def passes(count: int) -> float:
        begun = device_clock(device)
        for _ in range(count):
            run()
        return device_clock(device) - begun

    once = min(passes(1), passes(1))  # the first one also prepares
    count = max(1, min(200, round(_LEAST_S / max(once, 1e-4))))
    return count / max(passes(count), 1e-6)


def device_clock(device: torch.device) -> float:
    """Seconds of work: on a CPU those of its threads, whatever else runs on the machine; else by the clock."""
    if device.type == "cpu":
        return time.process_time() / torch.get_num_threads()
    (torch.cuda if device.type == "cuda" else torch.mps).synchronize()
    return time.perf_counter()

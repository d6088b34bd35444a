"""How fast this machine runs networks: one small U-Net, measured once per device and torch version and remembered."""

import contextlib
import time

import torch

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
    """1e9 multiply-adds a second, in the device's fastest precision or in float32 (`exact`).

    On a CPU the time of its threads counts, not the clock's, so that other programs do not spoil what is remembered.
    """
    key = f"{describe(device)}, torch {torch.__version__}, {torch.float32 if exact else fast_dtype(device)}"
    if key not in _known:
        stored = read_record(cache_folder() / _FILE)
        value = stored.get(key)
        if not isinstance(value, (int, float)) or value <= 0:
            value = _measure(device, exact)
            with contextlib.suppress(OSError):  # what cannot be kept is measured again
                write_record(cache_folder() / _FILE, stored | {key: value})
        _known[key] = float(value)
    return _known[key]


@torch.no_grad()
def _measure(device: torch.device, exact: bool) -> float:
    network = ready_for_inference(build_network("PlainConvUNet", _ARGUMENTS), device)
    work = network_cost("PlainConvUNet", _ARGUMENTS, 1, _PATCH).gigamacs
    image = torch.rand(1, 1, *_PATCH, device=device)

    def passes(count: int) -> float:
        begun = _clock(device)
        with in_fast_precision(device, exact):
            for _ in range(count):
                network(image)
        return _clock(device) - begun

    once = min(passes(1), passes(1))  # the first one also prepares
    count = max(1, min(200, round(_LEAST_S / max(once, 1e-4))))
    return work * count / max(passes(count), 1e-6)


def _clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time() / torch.get_num_threads()
    (torch.cuda if device.type == "cuda" else torch.mps).synchronize()
    return time.perf_counter()

"""Time and memory of a run."""

from __future__ import annotations

import statistics
import time

import torch

from gpu.floor import WorkCounter
from gpu.machine import Ceilings, wait
from meddl.core.memory import peak_mb, reset_peak

_LONG_S = 10.0  # after which no further run begins


def measured(run, device: torch.device, ceilings: Ceilings, mode: str, repeats: int) -> tuple[dict, object]:
    """Run `repeats` times, fewer where that takes long, after once that also counts the work.

    The device is waited for before and after each run only.

    Args:
        mode: in which numbers in float32 are multiplied: float32 or tf32.

    Returns:
        `(figures, result)`: first_s (with all that is prepared once), seconds, median_s, the floor, peak memory; and
        what the last run gave.
    """
    begun = time.perf_counter()
    with WorkCounter(device) as counter:
        result = run()
    wait(device)
    found = {"first_s": time.perf_counter() - begun, **counter.work.floor(ceilings, mode)}
    _reset(device)
    seconds = []
    while len(seconds) < repeats and (not seconds or sum(seconds) + seconds[-1] < _LONG_S):
        wait(device)
        begun = time.perf_counter()
        result = run()
        wait(device)
        seconds.append(time.perf_counter() - begun)
    found |= {"seconds_each": seconds, "median_s": statistics.median(seconds), **_peaks(device)}
    found["times_the_floor"] = found["median_s"] / found["floor_s"] if found["floor_s"] else None
    return found, result


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    reset_peak()


def _peaks(device: torch.device) -> dict:
    found = {"peak_process_mb": round(peak_mb(), 1)}
    if device.type != "cuda":
        return found
    free, total = torch.cuda.mem_get_info(device)
    return found | {"peak_allocated_mb": torch.cuda.max_memory_allocated(device) / 2**20,
                    "peak_reserved_mb": torch.cuda.max_memory_reserved(device) / 2**20,
                    "taken_of_device_mb": (total - free) / 2**20}

"""The machine, and how fast its device can multiply and move numbers at best."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch

PRECISIONS = ("float32", "tf32", "float16", "bfloat16")
_ROUNDS = 10


@dataclass(frozen=True)
class Ceilings:
    """What no program of a device exceeds.

    Attributes:
        flops: operations a second by precision, of PRECISIONS; a multiply-add is two.
        bytes: read and written a second.
        source: where the numbers are from.
    """

    flops: dict[str, float]
    bytes: float
    source: str


_HOPPER = {"float32": 67e12, "tf32": 494e12, "float16": 989e12, "bfloat16": 989e12}
# By what torch calls the device. NVIDIA's data sheets of the SXM parts, without sparsity.
KNOWN = {"NVIDIA H100 80GB HBM3": Ceilings(_HOPPER, 3.35e12, "data sheet"),
         "NVIDIA H200": Ceilings(_HOPPER, 4.8e12, "data sheet")}


def ceilings(device: torch.device, size: int = 8192) -> Ceilings:
    """The data sheet's where the device is known, else measured."""
    known = KNOWN.get(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return known or measured_ceilings(device, size)


def measured_ceilings(device: torch.device, size: int = 8192) -> Ceilings:
    """By products of random matrices (`size`, `size`) in each precision, and by a copy of one."""
    names = PRECISIONS if device.type == "cuda" else ("float32", "bfloat16")
    flops = {}
    for name in names:
        matrix = torch.randn(size, size, device=device, dtype=getattr(torch, name, torch.float32))
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        flops[name] = 2 * size**3 / seconds_of(lambda matrix=matrix: matrix @ matrix, device)
        torch.backends.cuda.matmul.allow_tf32 = before
    source, target = torch.randn(2, 4 * size, size, device=device)
    moved = 2 * source.nbytes / seconds_of(lambda: target.copy_(source), device)
    return Ceilings({name: flops.get(name, flops["float32"]) for name in PRECISIONS}, moved, "measured")


def seconds_of(run, device: torch.device, rounds: int = _ROUNDS) -> float:
    """Mean time of a short call, after two that are not counted; the device is waited for once, at the end."""
    for _ in range(2):
        run()
    wait(device)
    if device.type == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(rounds):
            run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000 / rounds
    begun = time.perf_counter()
    for _ in range(rounds):
        run()
    return (time.perf_counter() - begun) / rounds


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def figures(device: torch.device) -> dict:
    """What the results depend on."""
    found = {"device": str(device), "python": platform.python_version(), "torch": torch.__version__,
             "numpy": np.__version__, "threads": torch.get_num_threads(), "processor": platform.processor()}
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        found |= {"name": torch.cuda.get_device_name(device), "cuda": torch.version.cuda,
                  "cudnn": torch.backends.cudnn.version(), "memory_bytes": total, "free_bytes": free,
                  "capability": torch.cuda.get_device_capability(device)}
    return found


def known_and_measured(device: torch.device, size: int) -> dict:
    """The ceilings that floors are computed with, beside the measured ones."""
    return {"ceilings": asdict(ceilings(device, size)), "measured_ceilings": asdict(measured_ceilings(device, size))}

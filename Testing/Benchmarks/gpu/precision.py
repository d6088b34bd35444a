"""In which numbers a run computes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import torch

MODES = {"float32": torch.float32, "tf32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@contextlib.contextmanager
def computing_in(mode: str) -> Iterator[torch.dtype]:
    """Within, MedDL's networks compute in `mode`, of MODES, whatever the device is fastest in.

    float32 keeps every product in float32, tf32 rounds the factors of those on a GPU's matrix units.
    """
    import meddl.core.device

    chosen, dtype = meddl.core.device.fast_dtype, MODES[mode]
    holders = [module for name, module in sys.modules.items()
               if name.partition(".")[0] == "meddl" and getattr(module, "fast_dtype", None) is chosen]
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = mode == "tf32"
    for module in holders:
        module.fast_dtype = lambda _device: dtype
    try:
        yield dtype
    finally:
        for module in holders:
            module.fast_dtype = chosen
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed

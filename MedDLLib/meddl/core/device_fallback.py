"""Memory that runs out: how it is recognized, and the fall-back from a GPU to the CPU, which alone loads torch."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from meddl.core.errors import OutOfMemoryError

if TYPE_CHECKING:
    import torch

# In messages of torch: of its allocators for CUDA and MPS, of the CPU's on Windows and on Linux, of cuBLAS and cuDNN.
_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory",
            "_status_alloc_failed")

Found = TypeVar("Found")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, as Python, numpy, the system and torch say it."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def with_cpu_fallback(run: Callable[[torch.device], Found], device: torch.device, warnings: list[str],
                      advice: str) -> tuple[Found, torch.device]:
    """What `run` finds on the device, or on the CPU where the device's memory runs out, and the device that it was.

    Args:
        warnings: gets a line, before the CPU begins, where it takes over.
        advice: message of the error where the CPU's memory runs out.

    Raises:
        OutOfMemoryError: the CPU's memory is not enough. One that `run` itself raised there keeps its message.
    """
    try:
        return run(device), device
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        if device.type == "cpu":
            if isinstance(error, OutOfMemoryError):
                raise
            raise OutOfMemoryError(advice) from error
    import torch

    warnings.append(f"{device} ran out of memory; the CPU did the work.")
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return with_cpu_fallback(run, torch.device("cpu"), warnings, advice)

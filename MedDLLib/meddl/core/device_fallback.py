"""What goes wrong on a GPU: how it is recognized, and the fall-back to the CPU, which alone loads torch."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from meddl.core.errors import MedDLError, OutOfMemoryError

if TYPE_CHECKING:
    import torch

# In messages of torch: of its allocators for CUDA and MPS, of the CPU's on Windows and on Linux, of cuBLAS and cuDNN.
_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory",
            "_status_alloc_failed")
# In messages of torch for a GPU that cannot be used or that fails; the first that is found names the cause.
_CAUSES = {
    "no kernel image": "this torch was not built for that GPU",
    "driver on your system is too old": "its driver is too old for this torch",
    "driver version is insufficient": "its driver is too old for this torch",
    "unsupported toolchain": "its driver is too old for this torch",
    "forward compatibility was attempted": "its driver is too old for this torch",
    "found no nvidia driver": "it has no driver",
    "not compiled with cuda enabled": "this torch was built without CUDA",
    "libcudnn": "cuDNN could not be loaded",
    "cudnn_status_not_initialized": "cuDNN could not be loaded",
    "cudnn_status_sublibrary": "cuDNN could not be loaded",
    "cudnn version incompatibility": "cuDNN is another version than this torch needs",
    "find an engine": "cuDNN has no algorithm for it there",
    "valid cudnn algorithm": "cuDNN has no algorithm for it there",
    "cublas_status_not_initialized": "too little of its memory is free",
    "busy or unavailable": "another program holds it",
    "no cuda-capable device": "it is no longer there",
    "gpu is lost": "it is no longer there",
    "device handle for gpu": "it is no longer there",
    "ecc error": "its memory has errors",
    "launch timed out": "the system stopped a computation that took long",
    "unspecified launch failure": "a computation on it broke off",
    "illegal memory access": "a computation on it broke off",
    "device-side assert triggered": "a computation on it broke off",
    "not currently implemented for the mps device": "this torch has not all operations for it",
    "not currently supported on the mps backend": "this torch has not all operations for it",
}
_FAILURES = ("cuda error", "cuda driver error", "cudnn error", "cudnn_status", "cublas_status", "cufft_",
             "cusolver_status", "cusparse_status", "cuda initialization", "nvrtc error", "hip error", "miopen",
             "mps backend")
_OTHERS_HOLD = re.compile(r"\bProcess \d+ has .* memory in use")  # in torch's message of CUDA memory
_LONGEST_CAUSE = 200

Found = TypeVar("Found")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, as Python, numpy, the system and torch say it."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _PHRASES)


def device_failure(error: BaseException) -> str | None:
    """Why a GPU could not compute, in words; None for an exception that is not about a GPU, or about its memory."""
    if isinstance(error, MedDLError) or is_out_of_memory(error):
        return None
    if not isinstance(error, (RuntimeError, AssertionError, OSError)):
        return None
    text = str(error).strip()
    for phrase, cause in _CAUSES.items():
        if phrase in text.lower():
            return cause
    if any(phrase in text.lower() for phrase in _FAILURES):
        return text.splitlines()[0][:_LONGEST_CAUSE].rstrip(".")
    return None


def with_cpu_fallback(run: Callable[[torch.device], Found], device: torch.device, warnings: list[str],
                      advice: str) -> tuple[Found, torch.device]:
    """What `run` finds on the device, or on the CPU where the device fails, and the device that it was.

    A device fails where its memory runs out, or as `device_failure` says: from the start, or in the middle of a run.
    The CPU then begins anew: nothing of what the device found is in the result.

    Args:
        warnings: loses what a failed run added, and gets a line, before the CPU begins, where it takes over.
        advice: message of the error where the CPU's memory runs out.

    Raises:
        OutOfMemoryError: the CPU's memory is not enough. One that `run` itself raised there keeps its message.
    """
    earlier = list(warnings)
    try:
        return run(device), device
    except (RuntimeError, MemoryError, OSError, AssertionError) as error:
        short, cause = is_out_of_memory(error), device_failure(error)
        if not short and (cause is None or device.type == "cpu"):
            raise
        if device.type == "cpu":
            if isinstance(error, OutOfMemoryError):
                raise
            raise OutOfMemoryError(advice) from error
        others = ", of which other programs hold a part" if _OTHERS_HOLD.search(str(error)) else ""
        happened = f"ran out of memory{others}" if short else f"failed: {cause}"
    import torch

    warnings[:] = [*earlier, f"{device} {happened}; the CPU did the work."]
    if device.type == "cuda":
        with contextlib.suppress(RuntimeError, AssertionError):  # of a GPU that is lost
            torch.cuda.empty_cache()
    return with_cpu_fallback(run, torch.device("cpu"), warnings, advice)

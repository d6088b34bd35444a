"""Which device runs a network, in what precision, and how much memory it has."""

import contextlib
import os
import platform
import time
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

import torch

from meddl.core import memory
from meddl.core.device_fallback import device_failure
from meddl.core.emulated_bf16 import EmulatedBfloat16
from meddl.core.errors import InputError

AUTO = "auto"
PRECISION = "MEDDL_PRECISION"  # environment variable
_PRECISIONS = {AUTO: None, "": None, "float32": torch.float32, "bfloat16": torch.bfloat16}


def select_device(name: str = AUTO, notes: list[str] | None = None) -> torch.device:
    """The torch device of this name; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Args:
        notes: gets a line where `auto` passes over a GPU that torch sees and cannot use.

    Raises:
        InputError: unknown name, or a device that this machine does not have.
    """
    if name == AUTO:
        if _has_cuda():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        if _unusable is not None and notes is not None:
            notes.append(f"The GPU cannot be used: {_unusable}; the CPU did the work.")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"A device is auto, cpu, cuda, cuda:N or mps; got '{name}'.") from None
    if device.type == "cuda" and (not _has_cuda() or (device.index or 0) >= torch.cuda.device_count()):
        why = "" if _unusable is None else f" ({_unusable})"
        raise InputError(f"Device '{name}' was asked for, but torch sees {torch.cuda.device_count()} CUDA GPUs{why}. "
                         "Choose auto or cpu.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("Device 'mps' was asked for, but this machine has none. Choose auto or cpu.")
    return device


_unusable: str | None = None  # why torch cannot use a GPU that is there


def _has_cuda() -> bool:
    """Whether torch can use a CUDA GPU. It says why not once a process, as a warning, which is remembered."""
    global _unusable
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = torch.cuda.is_available()
    for warning in heard:
        _unusable = device_failure(RuntimeError(str(warning.message))) or _unusable
    return found


def describe(device: torch.device) -> str:
    """The device in words, for reports."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        count = torch.get_num_threads()
        return f"cpu ({count} thread{'s' if count > 1 else ''})"
    return str(device)


def free_memory_bytes(device: torch.device) -> int:
    """Memory that a run may still take on the device."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own, free for reuse
        return torch.cuda.mem_get_info(device)[0] + kept
    return memory.free_bytes() or memory.total_bytes() // 2 or 4 << 30


@contextlib.contextmanager
def in_fast_precision(device: torch.device, exact: bool = False) -> Iterator[None]:
    """Within it, networks compute in `fast_dtype` on this device, or in float32 (`exact`)."""
    dtype = torch.float32 if exact else fast_dtype(device)
    emulated = device.type == "cpu" and dtype == torch.bfloat16 and not _may_have_bf16()
    with (EmulatedBfloat16() if emulated else contextlib.nullcontext(),
          torch.autocast(device.type, dtype, enabled=dtype != torch.float32)):
        yield


_chosen: ContextVar[torch.dtype | None] = ContextVar("chosen", default=None)


@contextlib.contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[None]:
    """Within it, `fast_dtype` is this one, unless MEDDL_PRECISION forces another."""
    before = _chosen.set(dtype)
    try:
        yield
    finally:
        _chosen.reset(before)


def may_choose(device: torch.device) -> bool:
    """Whether a network's own measurement may decide for or against bf16: on a CPU that is fast in it, unless
    MEDDL_PRECISION forces a precision."""
    return device.type == "cpu" and _forced_dtype() is None and _measured_cpu_dtype() == torch.bfloat16


def fast_dtype(device: torch.device) -> torch.dtype:
    """The precision in which this device convolves fastest, at no visible loss: bf16, fp16 or fp32.

    The environment variable MEDDL_PRECISION forces one, float32 or bfloat16, on every device and in the processes that
    this one starts; bf16 is emulated where the hardware lacks it. Unset or `auto`, the device decides.

    A CPU is measured once a process, on an image of the size that networks see (torch has another path for small
    ones): bf16 is taken where it beats float32 (AMX, AVX512-BF16). One that says that it has neither is not measured.

    Raises:
        InputError: MEDDL_PRECISION names another precision.
    """
    forced = _forced_dtype() or _chosen.get()
    if forced is not None:
        return forced
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        return _measured_cpu_dtype()
    return torch.float32


def _forced_dtype() -> torch.dtype | None:
    """What MEDDL_PRECISION says; None where it leaves the choice to the device."""
    name = os.environ.get(PRECISION, AUTO).strip().lower()
    if name not in _PRECISIONS:
        raise InputError(f"The environment variable {PRECISION} is float32, bfloat16 or auto; got '{name}'.")
    return _PRECISIONS[name]


_cpu_dtype: torch.dtype | None = None


def _measured_cpu_dtype() -> torch.dtype:
    global _cpu_dtype  # a property of the machine
    if _cpu_dtype is None and not _may_have_bf16():
        _cpu_dtype = torch.float32
    if _cpu_dtype is None:
        seconds = {}
        for dtype in (torch.float32, torch.bfloat16):
            image = torch.ones(1, 32, 32, 32, 32, dtype=dtype).to(memory_format=torch.channels_last_3d)
            weight = torch.ones(32, 32, 3, 3, 3, dtype=dtype).to(memory_format=torch.channels_last_3d)
            runs = []
            for _ in range(3):
                start = time.perf_counter()
                torch.nn.functional.conv3d(image, weight, padding=1)
                runs.append(time.perf_counter() - start)
            seconds[dtype] = min(runs)
        _cpu_dtype = min(seconds, key=lambda dtype: seconds[dtype])
    return _cpu_dtype


def _may_have_bf16() -> bool:
    """False for an x86 processor without instructions for bf16."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    asked = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(ask is None or ask() for ask in asked)

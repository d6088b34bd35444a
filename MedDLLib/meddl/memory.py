"""The peak of this process's memory, and what becomes of freed memory, without further packages."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_USUAL_TRIM_BYTES, _USUAL_MMAP_BYTES = 64 << 20, 32 << 20  # which glibc comes to by itself
KEPT_BYTES, KEPT_BYTES_IN_TRAINING = 16 << 20, 128 << 20  # the largest blocks that stay


def reset_peak() -> None:
    """Start the measurement anew where the system can (Linux); elsewhere it covers the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """The most physical memory held since `reset_peak`, in MB, shared memory included. 0: unknown."""
    if sys.platform == "win32":
        return _windows_peak_bytes() / (1 << 20)
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


@contextmanager
def freed_memory_kept(largest_bytes: int = KEPT_BYTES) -> Iterator[None]:
    """Within, memory that is freed waits in the process for whoever needs as much next, and goes back at the end.

    Networks ask for the same few large blocks again and again. Elsewhere each comes fresh from the system, which fills
    it with zeros page by page: up to a third of a run. Blocks of more than `largest_bytes` still go back at once: kept
    in one heap, they would leave large gaps, which smaller blocks then hold open. glibc (Linux) only; nothing happens
    on other systems.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(_MMAP_THRESHOLD, largest_bytes)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP_BYTES)
        libc.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_BYTES)
        libc.malloc_trim(0)


def give_back_freed() -> None:
    """Let go of the freed memory that `freed_memory_kept` holds, for now: gaps between blocks would pile up."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _windows_peak_bytes() -> int:
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("page_faults", wintypes.DWORD),
            ("peak_working_set", ctypes.c_size_t),
            *((f"other_{index}", ctypes.c_size_t) for index in range(7)),
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel = ctypes.WinDLL("kernel32")
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.K32GetProcessMemoryInfo.argtypes = [wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD]
    done = kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
    return counters.peak_working_set if done else 0

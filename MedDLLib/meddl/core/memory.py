"""The memory of this process and of the machine, and what becomes of freed memory, without further packages."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_USUAL_TRIM_BYTES, _USUAL_MMAP_BYTES = 64 << 20, 32 << 20  # which glibc comes to by itself
POOLED_BYTES, POOLED_BYTES_IN_TRAINING = 16 << 20, 128 << 20  # the largest blocks that stay


def reset_peak() -> None:
    """Start the measurement anew where the system can (Linux); elsewhere it covers the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """The most physical memory held since `reset_peak`, in MB, shared memory included. 0: unknown."""
    if sys.platform == "win32":
        return _windows_counters().peak_working_set / (1 << 20)
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def used_bytes() -> int:
    """The physical memory that this process holds now, shared memory included; on macOS the most that it has held.
    0: unknown."""
    if sys.platform == "win32":
        return _windows_counters().working_set
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return int(peak_mb() * (1 << 20))


def total_bytes() -> int:
    """The physical memory of the machine. 0: unknown."""
    if sys.platform == "win32":
        return _windows_memory().total_physical
    if "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


def free_bytes() -> int:
    """The memory of the machine that a process may still take without swapping (Linux, Windows). 0: unknown."""
    if sys.platform == "win32":
        return _windows_memory().free_physical
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as lines:
            fields = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.strip()}
    except OSError:
        return 0
    return fields.get("MemAvailable", fields["MemFree"]) * 1024


@contextmanager
def reuse_freed_memory(largest_bytes: int = POOLED_BYTES) -> Iterator[None]:
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


def return_freed_memory() -> None:
    """Let go of the freed memory that `reuse_freed_memory` holds, for now: gaps between blocks would pile up."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _kernel32() -> Any:
    if sys.platform != "win32":
        raise OSError("Windows alone has this library.")
    return ctypes.WinDLL("kernel32")


def _windows_memory() -> Any:
    """The machine's memory: a structure with total_physical and free_physical, in bytes."""

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total_physical", ctypes.c_uint64),
            ("free_physical", ctypes.c_uint64),
            *((f"other_{index}", ctypes.c_uint64) for index in range(5)),
        ]

    status = Status(length=ctypes.sizeof(Status))
    _kernel32().GlobalMemoryStatusEx(ctypes.byref(status))
    return status


def _windows_counters() -> Any:
    """This process's memory: a structure with working_set and peak_working_set, in bytes."""
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("page_faults", wintypes.DWORD),
            ("peak_working_set", ctypes.c_size_t),
            ("working_set", ctypes.c_size_t),
            *((f"other_{index}", ctypes.c_size_t) for index in range(6)),
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel = _kernel32()
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    kernel.K32GetProcessMemoryInfo.argtypes = [wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD]
    kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
    return counters

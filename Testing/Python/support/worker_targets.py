"""Small functions for the worker's tests to run in its process."""

import ctypes
import os
import sys
import threading
import time
from fractions import Fraction as foreign  # noqa: F401  imported here, defined elsewhere

import numpy as np

from meddl.core.errors import GeometryError, InputError
from meddl.core.progress import listener_of, preview, span

_calls = 0


def echo(*args, on_progress, **kwargs):
    return args, kwargs


def describe(array, on_progress):
    """Layout and content of an array as this process sees it."""
    return array.shape, array.strides, str(array.dtype), float(array.sum(dtype=float)), array.flags.writeable


def make(shape, on_progress):
    """Labels and confidence, as a segmentation would give."""
    labels = np.zeros(shape, np.uint8)
    labels[1:-1] = 7
    confidence = np.full(shape, 0.5, np.float32)
    return labels, confidence


def count(on_progress):
    """How often this process was asked, and who it is."""
    global _calls
    _calls += 1
    return _calls, os.getpid()


def steps(number, seconds, on_progress):
    for index in range(number):
        on_progress(index / number, f"step {index}")
        time.sleep(seconds)
    on_progress(1.0, "last")
    return number


def until_enough(seconds, on_progress):
    """Works in small steps until it is told that this is enough, or the seconds are over; whether it was told."""
    deadline = time.monotonic() + seconds
    should_stop = span(on_progress, 0.0, 1.0).should_stop
    while time.monotonic() < deadline and not should_stop():
        on_progress(0.5, "working")
        time.sleep(0.01)
    return should_stop()


def previews(number, seconds, size, on_progress):
    """Shows arrays that hold 0, 1, 2, ... and tells how many seconds showing them has taken."""
    taken = 0.0
    for index in range(number):
        on_progress(index / number, f"step {index}")
        array = np.full((size, size, size), index, np.float32)
        before = time.monotonic()
        preview(on_progress, {"kind": "test", "array": array})
        taken += time.monotonic() - before
        time.sleep(seconds)
    return taken


def awkward_previews(on_progress):
    """Shows what cannot be sent, then what cannot be read."""
    preview(on_progress, threading.Lock())
    preview(on_progress, _Unreadable())
    preview(on_progress, "after all")
    time.sleep(0.2)
    on_progress(0.9, "shown")
    return "went on"


class _Unreadable:
    def __reduce__(self):
        return _unreadable, ()


def _unreadable():
    raise ValueError("no")


def has_listener(on_progress):
    """Whether somebody looks at the previews of this job, also through a span."""
    return listener_of(on_progress) is not None, listener_of(span(on_progress, 0, 1)) is not None


def deaf(seconds, on_progress):
    """Never looks whether it was cancelled."""
    on_progress(0.5, "deaf")
    time.sleep(seconds)
    return "heard nothing"


def deaf_with_result(seconds, on_progress):
    on_progress(0.5, "deaf")
    array = np.ones((64, 64, 64))
    time.sleep(seconds)
    return array


def fail(kind, on_progress):
    if kind == "input":
        raise InputError("The volume is empty.")
    if kind == "derived":

        class OwnError(GeometryError):
            pass

        raise OwnError("The affine is singular.")
    if kind == "value":
        raise ValueError("a plain error")
    if kind == "memory":
        raise MemoryError
    if kind == "torch":
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    if kind == "cuda":
        raise RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")
    if kind == "package":
        import a_package_that_is_not_there  # noqa: F401
    if kind == "exit":
        sys.exit(5)
    if kind == "unsendable":
        return threading.Lock()
    return None


def die(how, on_progress):
    print("these are my last words", file=sys.stderr, flush=True)
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how == "kill":
        os.kill(os.getpid(), 9)


def noise(number, on_progress):
    for _ in range(number):
        os.write(1, b"\xff\xfe broken \x80 text\r\n" * 50)
        os.write(2, b"\xe2\x28\xa1 more\n" * 50)
    print("\udc80 surrogate \u4e2d")
    return os.fstat(2).st_size


def modules(on_progress):
    return sorted(sys.modules), sys.path, [name for name in os.environ if name.startswith("QT_")]


def precision(on_progress):
    import torch

    from meddl.core.device import fast_dtype

    return str(fast_dtype(torch.device("cpu")))


def allocate(megabytes, on_progress):
    block = np.ones(megabytes << 20, np.uint8)
    return int(block[::4096].sum())


def allocate_beyond_limit(megabytes, on_progress):
    """An allocation that the limit of the process's address space forbids."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, before[1]))
    try:
        return int(np.ones(megabytes << 20, np.uint8).sum())
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def swell(megabytes, on_progress):
    """Takes memory in steps of 8 MB and holds it."""
    held = []
    for step in range(megabytes // 8):
        on_progress(step * 8 / megabytes, "Swelling")
        held.append(np.ones(8 << 20, np.uint8))
        time.sleep(0.005)
    return len(held)


def hold_gil(on_progress):
    """Python code that never calls back."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pass

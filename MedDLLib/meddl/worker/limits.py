"""Time and memory that a task in a worker process may take; where it takes more, the process ends, with an error.

They are held by the system where it can (`resource`: processor time on Linux and macOS, memory on Linux), everywhere by
a thread that looks a few times a second and ends the process, and at last by the caller's clock, which is patient, as
the machine may be busy.
"""

import contextlib
import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from meddl.core import memory
from meddl.core.errors import Cancelled, MedDLError, OutOfMemoryError, WorkerError
from meddl.core.progress import ProgressCallback, report
from meddl.worker.client import Worker

resource: Any = importlib.import_module("resource") if importlib.util.find_spec("resource") else None  # not on Windows

_PATIENCE = 30  # times the processor time may pass on the clock: the machine may be busy
_LOOK_S = 0.2
_OVER_TIME, _OVER_MEMORY = 81, 82  # exit codes
BEGUN = "Opening the file"  # what a task reports once its limits count


class Limits(NamedTuple):
    """What a task may take: seconds of processor time, bytes of memory beyond what the process has before."""

    seconds: float
    bytes: int


def run_within(worker: Worker, target: str, arguments: tuple, limits: Limits,
                on_progress: ProgressCallback | None = None) -> Any:
    """The value of a worker's task that holds its own limits by `hold_limits`, and reports `BEGUN` then.

    Args:
        target: "package.module:function"; called with the arguments and `limits` as its last one.

    Raises:
        OverLimit: it took more than the limits.
        WorkerError: its process ended otherwise.
        MedDLError: what the function raises.
        Cancelled: from `on_progress`.
    """
    try:
        return _wait(worker, target, (*arguments, tuple(limits)), on_progress, _PATIENCE * limits.seconds)
    except OutOfMemoryError as error:
        raise OverLimit("memory", limits) from error
    except WorkerError as error:
        text = str(error)
        if "SIGXCPU" in text or f"exit code {_OVER_TIME}" in text:
            raise OverLimit("time", limits) from error
        if f"exit code {_OVER_MEMORY}" in text or "memory ran out" in text:
            raise OverLimit("memory", limits) from error
        raise


class OverLimit(WorkerError):
    """A task took more than its limits.

    Attributes:
        what: "time" or "memory"; most: how much it might take, in words.
    """

    def __init__(self, what: str, limits: Limits):
        self.what = what
        self.most = f"{limits.seconds:.0f} s" if what == "time" else f"{limits.bytes / 1e6:.0f} MB"
        super().__init__(f"It takes more {what} than {self.most}.")


def _wait(worker: Worker, target: str, arguments: tuple, on_progress: ProgressCallback | None,
          patience_s: float) -> Any:
    job = worker.submit(target, *arguments)
    reported = ends_at = None
    while not job.done:
        with contextlib.suppress(TimeoutError, MedDLError):
            job.result(0.05)
        if reported != job.progress:
            reported = job.progress
            ends_at = ends_at or (time.monotonic() + patience_s if reported[1] == BEGUN else None)
            try:
                report(on_progress, *reported)
            except BaseException:
                job.cancel()
                with contextlib.suppress(MedDLError):
                    job.result()
                raise
        if ends_at is not None and time.monotonic() > ends_at and not job.done:
            job.cancel()
            with contextlib.suppress(Cancelled):
                job.result()
            raise WorkerError(f"exit code {_OVER_TIME}")
    return job.result()


@contextlib.contextmanager
def hold_limits(limits: Limits) -> Iterator[None]:
    """Within, this process ends where it takes more than the limits."""
    done = threading.Event()
    threading.Thread(target=_watch, args=(limits, done), name="limits", daemon=True).start()
    before = _set_limits(limits)
    try:
        yield
    finally:
        done.set()
        for kind, value in before:
            resource.setrlimit(kind, value)


def _watch(limits: Limits, done: threading.Event) -> None:
    begun, held = time.process_time(), memory.used_bytes()
    while not done.wait(_LOOK_S):
        if time.process_time() - begun > limits.seconds + 1:
            os._exit(_OVER_TIME)
        if memory.used_bytes() - held > limits.bytes:
            os._exit(_OVER_MEMORY)


def _set_limits(limits: Limits) -> list[tuple[int, tuple[int, int]]]:
    """Ask the system to hold the limits; what was before, to be set again."""
    if resource is None:
        return []
    # A process that goes beyond its time would leave an image of its memory behind.
    wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: int(time.process_time() + limits.seconds) + 1}
    if (held := _private_bytes()) is not None:
        wanted[resource.RLIMIT_DATA] = held + limits.bytes
    before = []
    for kind, most in wanted.items():
        soft, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or most <= hard:
            resource.setrlimit(kind, (most, hard))
            before.append((kind, (soft, hard)))
    return before


def _private_bytes() -> int | None:
    """The memory that Linux counts for RLIMIT_DATA; None elsewhere."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return None

"""What went wrong in the worker, in words and types that the caller understands."""

import re
import signal
import traceback
from pathlib import Path
from typing import NamedTuple

from meddl.core import errors
from meddl.core.device_fallback import is_out_of_memory
from meddl.core.errors import DependencyError, MedDLError, OutOfMemoryError, WorkerError
from meddl.worker.vitals import Vitals

_OUT_OF_MEMORY = "out of memory"
_WINDOWS_CODES = {
    0xC0000005: "access violation",
    0xC0000017: _OUT_OF_MEMORY,
    0xC000001D: "illegal instruction",
    0xC00000FD: "stack overflow",
    0xC000012D: _OUT_OF_MEMORY,
    0xC0000135: "a library was not found",
    0xC0000409: "aborted",
}
# What `faulthandler` writes before a process goes down, and the innermost frame below it.
_CRASH = re.compile(r"^(?:Fatal Python error|Windows fatal exception): (.+)$", re.MULTILINE)
_PLACE = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_SIGKILL = getattr(signal, "SIGKILL", 9)
_AGAIN = "The next run starts a fresh one."
_LESS_MEMORY = "Close other programs, use a smaller volume or a coarser resolution, or another device, then try again."


class Failure(NamedTuple):
    """An exception on its way to the caller: a class of `meddl.core.errors` by name, message, traceback text."""

    kind: str
    message: str
    details: str


def describe(error: BaseException) -> Failure:
    """An exception of the computation as a Failure.

    A MedDLError stays what it is; memory that ran out becomes OutOfMemoryError, a missing package
    DependencyError and everything else WorkerError.
    """
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    text = str(error)
    if isinstance(error, MedDLError):
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == errors.__name__)
        return Failure(kind, text, details)
    if is_out_of_memory(error):
        where = "GPU" if any(word in text.lower() for word in ("cuda", "mps", "hip")) else "computer"
        return Failure(
            OutOfMemoryError.__name__,
            f"The memory of the {where} was not enough ({text or type(error).__name__}). "
            "Close other programs, use a smaller volume or a coarser resolution, or another device.", details)
    if isinstance(error, ModuleNotFoundError):
        return Failure(
            DependencyError.__name__,
            f"The Python package '{error.name}' is needed for this step and is not installed.", details)
    message = f"The computation failed with {type(error).__name__}: {text}"
    return Failure(WorkerError.__name__, message, details)


def rebuild(failure: Failure) -> MedDLError:
    """The exception to raise at the caller; `.details` holds the traceback of the worker."""
    kind = getattr(errors, failure.kind, WorkerError)
    error = kind(failure.message)
    error.details = failure.details
    return error


class End(NamedTuple):
    """What is known of a worker process that ended by itself.

    Attributes:
        code: its exit code as `subprocess` gives it (negative: a signal), None if unknown, as behind a launcher.
        log: the last of what it wrote.
        vitals: its state at the last look.
        killed_for_memory: whether the system counted a process that it killed for lack of memory.
        stage: what the run was doing, as its progress said.
    """

    code: int | None
    log: str = ""
    vitals: Vitals | None = None
    killed_for_memory: bool = False
    stage: str = ""


def describe_end(end: End) -> WorkerError:
    """The worker process ended by itself: why, as far as it is known. `.details` holds its last words."""
    crash = _CRASH.search(end.log)
    signal_number = _signal_of(end.code)
    short = end.killed_for_memory or (end.vitals is not None and end.vitals.short_of_memory)
    killed = signal_number == _SIGKILL or (end.code is None and crash is None)
    no_memory = crash is not None and "std::bad_alloc" in end.log
    if no_memory or _WINDOWS_CODES.get(end.code) == _OUT_OF_MEMORY or (killed and short):
        by = " by the system" if end.killed_for_memory else ""
        sure = "memory ran out" if end.killed_for_memory or not killed else "memory most likely ran out"
        message = f"The worker process was ended{by}{_while(end)}: {sure}. {_LESS_MEMORY}"
    elif signal_number == _SIGKILL:
        message = (f"The worker process was killed (SIGKILL) from outside{_while(end)}. If nobody did so, memory may "
                   f"have run out. {_AGAIN}")
    elif crash is not None or signal_number is not None or end.code in _WINDOWS_CODES:
        message = f"The worker process crashed ({_crash_text(end, crash)}){_while(end)}. {_AGAIN}"
    elif end.code is None:
        message = (f"The worker process ended without a word{_while(end)}: it was ended from outside, or by a library "
                   f"that it uses. {_AGAIN}")
    else:
        message = f"The worker process ended unexpectedly with exit code {end.code}{_while(end)}. {_AGAIN}"
    error = WorkerError(message)
    error.details = end.log
    return error


def _while(end: End) -> str:
    """In which stage it ended, and how its memory was."""
    stage = f" in the stage '{end.stage}'" if end.stage else ""
    if end.vitals is None:
        return stage
    used, free, total = (size / (1 << 30) for size in end.vitals)
    memory = f" while it used {used:.1f} of {total:.1f} GB of memory"
    return stage + memory + (f" and {free:.1f} GB were free" if free else "")


def _crash_text(end: End, crash: re.Match | None) -> str:
    number = _signal_of(end.code)
    parts = [crash[1].strip().lower()] if crash is not None else []
    parts += [_signal_name(number)] if number is not None else []
    if end.code in _WINDOWS_CODES:
        parts.append(f"{_WINDOWS_CODES[end.code]}, code {end.code:#x}")
    place = _PLACE.search(end.log, max(crash.end(), end.log.rfind("Current thread"))) if crash is not None else None
    if place is not None:
        parts.append(f"in {place[3]}, {Path(place[1]).name} line {place[2]}")
    return ", ".join(parts)


def _signal_of(code: int | None) -> int | None:
    """The signal that an exit code stands for."""
    if code is not None and code < 0:
        return -code
    if code is not None and 128 < code < 160:  # a shell between tells of a signal so
        return code - 128
    return None


def not_started(python: str, how: str, log: str) -> WorkerError:
    """The worker process ended before it was ready; `how`: with which exit code, or why it was ended."""
    lines = log.strip().splitlines()
    last = f" Its last words: {lines[-1]}" if lines else ""
    error = WorkerError(f"The worker process could not start with {python} ({how}).{last}")
    error.details = log
    return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

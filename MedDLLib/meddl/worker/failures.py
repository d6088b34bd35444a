"""What went wrong in the worker, in words and types that the caller understands."""

import signal
import traceback
from typing import NamedTuple

from meddl import errors
from meddl.errors import DependencyError, MedDLError, OutOfMemoryError, WorkerError

_MEMORY_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
_WINDOWS_CODES = {
    0xC0000005: "access violation",
    0xC0000017: "out of memory",
    0xC000001D: "illegal instruction",
    0xC00000FD: "stack overflow",
    0xC000012D: "out of memory",
    0xC0000135: "a library was not found",
    0xC0000409: "aborted",
}


class Failure(NamedTuple):
    """An exception on its way to the caller: a class of `meddl.errors` by name, message, traceback text."""

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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, as Python, numpy and torch say it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _MEMORY_PHRASES)


def rebuild(failure: Failure) -> MedDLError:
    """The exception to raise at the caller; `.details` holds the traceback of the worker."""
    kind = getattr(errors, failure.kind, WorkerError)
    error = kind(failure.message)
    error.details = failure.details
    return error


def ended(code: int | None, log: str) -> WorkerError:
    """The worker process ended by itself: why, as far as its exit code tells.

    Args:
        code: as `subprocess` gives it (negative: a signal), None if unknown.
        log: the last of what the process wrote, kept in `.details`.
    """
    number = -code if code is not None and code < 0 else None
    if code is not None and 128 < code < 160:  # a launcher or a shell between tells of a signal so
        number = code - 128
    if number == getattr(signal, "SIGKILL", 9):
        message = (
            "The worker process was killed (SIGKILL): the computer probably ran out of memory. "
            "Close other programs or use a smaller volume, then try again.")
    elif number is not None:
        message = f"The worker process crashed ({_signal_name(number)}). The next run starts a fresh one."
    elif code in _WINDOWS_CODES:
        message = f"The worker process crashed ({_WINDOWS_CODES[code]}, code {code:#x}). Try again."
    elif code is None:
        message = "The worker process ended for an unknown reason; perhaps memory ran out. Try again."
    else:
        message = (
            f"The worker process ended unexpectedly with exit code {code}; perhaps memory ran out. "
            "The next run starts a fresh one.")
    error = WorkerError(message)
    error.details = log
    return error


def not_started(python: str, code: int | None, log: str) -> WorkerError:
    """The worker process ended before it was ready."""
    lines = log.strip().splitlines()
    last = f" Its last words: {lines[-1]}" if lines else ""
    error = WorkerError(f"The worker process could not start with {python} (exit code {code}).{last}")
    error.details = log
    return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

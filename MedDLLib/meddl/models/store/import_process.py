"""Models of others are read in a process of their own, which may take the time and memory that go with their size.

Nothing of a model is executed there either. But a file can be made so that reading it does not end, or takes all the
memory of the machine: then that process ends, and the caller gets an error.

Time and memory are held by the system where it can (`resource`: processor time on Linux and macOS, memory on Linux),
everywhere by a thread that looks a few times a second and ends the process, and at last by the caller's clock, which
is patient, as the machine may be busy.
"""

import contextlib
import importlib
import importlib.util
import os
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from meddl.core import memory
from meddl.core.errors import Cancelled, MedDLError, ModelError, OutOfMemoryError, WorkerError
from meddl.core.progress import ProgressCallback, report
from meddl.worker import Worker

resource: Any = importlib.import_module("resource") if importlib.util.find_spec("resource") else None  # not on Windows

_TARGET = "meddl.models.store.import_process:import_here"
_SECONDS, _SECONDS_PER_GB = 6.0, 60.0
_BYTES, _COPIES = 1 << 30, 4
_PATIENCE = 30  # times the processor time may pass on the clock: the machine may be busy
_LOOK_S = 0.2
_MAXIMUM_FILES = 10_000
_THREADS = 2
_BEGUN = "Opening the model"
_OVER_TIME, _OVER_MEMORY = 81, 82  # exit codes


class Limits(NamedTuple):
    """What an import may take: seconds of processor time, bytes of memory beyond what the process has before."""

    seconds: float
    bytes: int


def limits_for(source: Path) -> Limits:
    """What reading a model may take, from the size of its files."""
    size = 0
    places = source.rglob("*") if source.is_dir() else (source,)
    for _, place in zip(range(_MAXIMUM_FILES), places, strict=False):
        with contextlib.suppress(OSError):
            size += place.stat().st_size if place.is_file() else 0
    return Limits(_SECONDS + _SECONDS_PER_GB * size / (1 << 30), _BYTES + _COPIES * size)


@contextlib.contextmanager
def warm_imports() -> Iterator[None]:
    """Imports within share one process, which starts with the first."""
    global _depth, _worker
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if _depth == 0 and _worker is not None:
            _worker.close()
            _worker = None


_depth = 0
_worker: Worker | None = None


def worker_pid() -> int | None:
    """The process that reads models now; None: there is none."""
    return None if _worker is None else _worker.pid


def import_in_process(source: Path, target: Path, choices: Mapping[str, object],
                      on_progress: ProgressCallback | None = None, limits: Limits | None = None) -> None:
    """`formats.convert.convert` in a process of its own, within limits; `choices`: its `ImportChoices`.

    Raises:
        ModelError: the model cannot be read, or takes more than goes with its size.
        MedDLError: what `convert` raises.
        Cancelled: from `on_progress`.
    """
    global _worker
    limits = limits or limits_for(source)
    with warm_imports():
        _worker = _worker or Worker(preload=["torch"])

        def report_progress(fraction: float, message: str) -> None:
            report(on_progress, fraction, message)

        try:
            _run(_worker, (str(source), str(target), dict(choices), tuple(limits)), report_progress,
                 _PATIENCE * limits.seconds)
        except OutOfMemoryError as error:
            raise _too_much(source, limits, "memory") from error
        except WorkerError as error:
            raise _explain_end(source, limits, error) from error


def _run(worker: Worker, arguments: tuple, on_progress: ProgressCallback, patience_s: float) -> None:
    job = worker.submit(_TARGET, *arguments)
    reported = ends_at = None
    while not job.done:
        with contextlib.suppress(TimeoutError, MedDLError):
            job.result(0.05)
        if reported != job.progress:
            reported = job.progress
            ends_at = ends_at or (time.monotonic() + patience_s if reported[1] == _BEGUN else None)
            try:
                on_progress(*reported)
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
    job.result()


def _explain_end(source: Path, limits: Limits, error: WorkerError) -> ModelError:
    text = str(error)
    if "SIGXCPU" in text or f"exit code {_OVER_TIME}" in text:
        return _too_much(source, limits, "time")
    if f"exit code {_OVER_MEMORY}" in text or "memory ran out" in text:
        return _too_much(source, limits, "memory")
    failure = ModelError(f"The model '{source.name}' was not imported: it cannot be read. {text}")
    vars(failure)["details"] = getattr(error, "details", "")
    return failure


def _too_much(source: Path, limits: Limits, what: str) -> ModelError:
    most = f"{limits.seconds:.0f} s" if what == "time" else f"{limits.bytes / 1e6:.0f} MB"
    return ModelError(f"The model '{source.name}' was not imported: reading it takes more {what} than goes with its "
                      f"size ({most}). It is damaged, or made so on purpose.")


def import_here(source: str, target: str, choices: dict, limits: tuple, on_progress: ProgressCallback) -> None:
    """`convert` within limits; run in a worker process, which may end by it."""
    import torch

    from meddl.models.formats.convert import convert

    torch.set_num_threads(min(_THREADS, torch.get_num_threads()))
    place = Path(source)
    if not _is_nnunet(place):
        with contextlib.suppress(ImportError):
            import monai.networks.nets  # noqa: F401  which takes seconds by itself
    with _apply(Limits(*limits)):
        try:
            report(on_progress, 0.0, _BEGUN)
            convert(place, target, on_progress=on_progress, **choices)
        except (MedDLError, MemoryError, ImportError):
            raise
        except OSError as error:
            raise ModelError(f"The model '{place.name}' was not imported: {error.strerror or error}.") from error
        except Exception as error:
            raise ModelError(f"The model '{place.name}' cannot be read: {type(error).__name__} {error}") from error


def _is_nnunet(source: Path) -> bool:
    """Whether this is evidently a trained nnU-Net, which needs no MONAI."""
    if zipfile.is_zipfile(source):
        try:
            with zipfile.ZipFile(source) as opened:
                return any(name.endswith("plans.json") for name in opened.namelist())
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            return False
    return any((place / "plans.json").is_file() for place in (source, source.parent, source.parent.parent))


@contextlib.contextmanager
def _apply(limits: Limits) -> Iterator[None]:
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

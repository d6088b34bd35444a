"""Models of others are read in a process of their own, which may take the time and memory that go with their size.

Nothing of a model is executed there either. But a file can be made so that reading it does not end, or takes all the
memory of the machine: then that process ends, and the caller gets an error.
"""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from meddl.core.errors import MedDLError, ModelError, WorkerError
from meddl.core.progress import ProgressCallback, report
from meddl.worker import Worker
from meddl.worker.limits import BEGUN, Limits, OverLimit, hold_limits, run_within

_TARGET = "meddl.models.store.import_process:import_here"
_SECONDS, _SECONDS_PER_GB = 6.0, 60.0
_BYTES, _COPIES = 1 << 30, 4
_MAXIMUM_FILES = 10_000
_THREADS = 2


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

        try:
            run_within(_worker, _TARGET, (str(source), str(target), dict(choices)), limits, on_progress)
        except OverLimit as error:
            raise ModelError(f"The model '{source.name}' was not imported: reading it takes more {error.what} than "
                             f"goes with its size ({error.most}). It is damaged, or made so on purpose.") from error
        except WorkerError as error:
            failure = ModelError(f"The model '{source.name}' was not imported: it cannot be read. {error}")
            vars(failure)["details"] = getattr(error, "details", "")
            raise failure from error


def import_here(source: str, target: str, choices: dict, limits: tuple, on_progress: ProgressCallback) -> None:
    """`convert` within limits; run in a worker process, which may end by it."""
    import torch

    from meddl.models.formats.convert import convert

    torch.set_num_threads(min(_THREADS, torch.get_num_threads()))
    place = Path(source)
    if not _is_nnunet(place):
        with contextlib.suppress(ImportError):
            import monai.networks.nets  # noqa: F401  which takes seconds by itself
    with hold_limits(Limits(*limits)):
        try:
            report(on_progress, 0.0, BEGUN)
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

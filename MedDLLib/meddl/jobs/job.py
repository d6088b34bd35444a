"""What the verbs of jobs have in common: each does one thing to each case, with a journal, workers and a table."""

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import meddl
from meddl.core.config import ENGINES
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.io.files import as_path
from meddl.jobs import ray_cluster
from meddl.jobs.journal import Journal
from meddl.jobs.local import LocalSlot
from meddl.jobs.schedule import Outcome, Slot, run_cases
from meddl.jobs.summary import Row, Summary

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\..+")  # of `meddl.io.files.replacing`, as a killed worker leaves them


class AnyCase(Protocol):
    """What a job needs to know of a case: see `cases.Case` and `pairs.Pair`."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> tuple: ...
    @property
    def problem(self) -> str: ...


@dataclass(frozen=True)
class Work:
    """What a job does to each case.

    Attributes:
        target: the worker's function, "package.module:function".
        settings: what the results depend on beside their inputs; a job with others is another job.
        outputs: for a case the files that are made of it by what they are; the first is the one that the table names.
        arguments: of the target for a case: (positional, by name); `device` and `threads` are added.
        rows: for a case, the target's value and its seconds the rows of the table, without outputs.
        report: entries of the table's report.
        structures: for all rows the names of the columns of volumes.
    """

    target: str
    settings: dict[str, Any]
    outputs: Callable[[Any], dict[str, Path]]
    arguments: Callable[[Any], tuple[tuple, dict]]
    rows: Callable[[Any, Any, float], list[Row]]
    report: dict[str, Any] = field(default_factory=dict)
    structures: Callable[[Sequence[Row]], tuple[str, ...]] = lambda rows: ()


@dataclass(frozen=True)
class Machines:
    """What the cases run on.

    Attributes:
        engine: "local" (processes of this machine) or "ray" (a cluster; needs the package ray).
        address: of the Ray cluster; None: the one that RAY_ADDRESS or the machine knows, else one of this machine.
        workers: how many cases run at a time; None: one, or with Ray one for each GPU, else for each machine.
        threads: of the CPU for each local worker; None: they divide the cores.
        device: as of the verbs; local workers share out the GPUs.

    Raises:
        InputError: another engine, or no worker.
        DependencyError: the engine's package is not installed.
    """

    engine: str = ENGINES[0]
    address: str | None = None
    workers: int | None = None
    threads: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise InputError(f"The engine is one of {', '.join(ENGINES)}; got '{self.engine}'.")
        if self.engine == "ray":
            ray_cluster.installed_ray()
        if self.workers is not None and self.workers < 1:
            raise InputError(f"The number of workers is 1 or more; got {self.workers}.")


def run_job(folder: Path, work: Work, cases: Sequence[AnyCase], machines: Machines, *,
            unused: Iterable[tuple[str, str]] = (), overwrite: bool = False,
            on_case: Callable[[tuple[Row, ...]], None] | None = None,
            on_progress: ProgressCallback | None = None) -> Summary:
    """Do what is left to do of a job, and write its table into the folder of its results.

    Args:
        folder: of the results; it is made.
        unused: (file, why) of what was found and is no case.
        overwrite: do everything anew, and replace files that are there.
        on_case: called with the rows of each case as it ends.
        on_progress: (fraction of all cases, what is being done).

    Raises:
        InputError: an unusable folder, or one with results of another job.
        Cancelled: from `on_progress`; the table was written, what was done stays.
    """
    begin = time.perf_counter()
    job = _Job(folder, work, overwrite)
    todo = job.prepare(cases)
    slots = _slots(machines, len(todo), job) if todo else []

    def end(case: AnyCase, outcome: Outcome, seconds: float) -> None:
        job.on_end(case, outcome, seconds)
        if on_case is not None:
            on_case(job.rows_of(case))

    try:
        run_cases(todo, slots, job.on_start, end, on_progress)
    finally:
        summary = job.summary(cases, tuple(unused), {
            "engine": machines.engine, "workers": len(slots), "seconds": {"total": time.perf_counter() - begin}})
        summary.save(folder)
    return summary


def as_sources(sources: str | Path | Iterable[str | Path], output: str | Path) -> tuple[list[str | Path], Path]:
    """Files and folders as a list, and the folder of the results, which is none of them.

    Raises:
        InputError: it is, or something is no path.
    """
    given: list[Any] = list(sources) if isinstance(sources, Iterable) and not isinstance(sources, str) else [sources]
    found: list[str | Path] = [as_path(one, "a file or folder") for one in given]
    folder = as_path(output, "a folder").resolve()
    if any(Path(source).resolve() == folder for source in found):
        raise InputError(f"'{folder}' is where the volumes are. Choose another folder for the results.")
    return found, folder


def check_found(cases: Sequence, sources: Iterable, unused: Sequence[tuple[str, str]], what: str = "volume") -> None:
    """Refuse a job of no case.

    Raises:
        InputError: there is none.
    """
    if not cases:
        found = f" {len(unused)} files are not used: the first is {unused[0][0]}, {unused[0][1]}." if unused else ""
        raise InputError(f"There is no {what} in {', '.join(map(str, sources))}.{found}")


def check_suffix(suffix: str, suffixes: Sequence[str]) -> None:
    """Refuse results of a format that is none of these.

    Raises:
        InputError: it is not.
    """
    if suffix not in suffixes:
        raise InputError(f"Results are written as {', '.join(suffixes)}; not as '{suffix}'.")


def _slots(machines: Machines, cases: int, job: "_Job") -> list[Slot]:
    target = job.target
    if machines.engine == "ray":
        return ray_cluster.ray_slots(job.arguments, target, machines.address, cases, machines.workers, machines.device)
    count = min(machines.workers or 1, cases)
    threads = machines.threads or (None if count == 1 else max(1, (os.cpu_count() or 1) // count))
    return [LocalSlot(lambda case, device=device: job.arguments(case, device, threads), target)
            for device in _devices(machines.device, count)]


def _devices(device: str, count: int) -> list[str]:
    """A device for each worker: the GPUs in turn, where the device is not named and there are several."""
    if count > 1 and device in ("auto", "cuda"):
        import torch

        gpus = torch.cuda.device_count()
        if gpus > 1:
            return [f"cuda:{number % gpus}" for number in range(count)]
    return [device] * count


class _Job:
    """The state of one job: what is left to do, and what became of each case."""

    def __init__(self, folder: Path, work: Work, overwrite: bool):
        self._folder, self._work, self._overwrite = folder, work, overwrite
        self._rows: dict[str, list[Row]] = {}
        self._device = ""
        if folder.exists() and not folder.is_dir():
            raise InputError(f"'{folder}' is a file; the results of many volumes go to a folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The folder '{folder}' cannot be made: {error.strerror}.") from error
        self._journal = Journal(folder, work.settings, anew=overwrite)

    @property
    def target(self) -> str:
        """What a worker does."""
        return self._work.target

    def prepare(self, cases: Sequence[AnyCase]) -> list[AnyCase]:
        """The cases that are to be done; the others have their rows."""
        todo: list[AnyCase] = []
        for case in cases:
            outputs = list(self._work.outputs(case).values())
            kept = self._journal.rows_of(case.name, case.state, outputs)
            there = next((output for output in outputs if output.exists()), None)
            if kept is not None:
                self._rows[case.name] = [Row(**{**_with_tuples(row), "state": "kept"}) for row in kept]
            elif case.problem:
                self._rows[case.name] = [Row(case.name, "failed", error=case.problem)]
            elif there is not None and not self._overwrite and not self._journal.has_begun(case.name):
                self._rows[case.name] = [Row(case.name, "failed", error=f"'{there}' was there before this job. "
                                             "Choose another folder for the results, or overwrite.")]
            else:
                todo.append(case)
        for folder in {output.parent for case in todo for output in self._work.outputs(case).values()}:
            _remove_temporary(folder)
        return todo

    def arguments(self, case: AnyCase, device: str, threads: int | None) -> tuple[tuple, dict]:
        """Of the target."""
        positional, named = self._work.arguments(case)
        return positional, {**named, "device": device, "threads": threads}

    def on_start(self, case: AnyCase) -> None:
        self._journal.note_start(case.name)

    def on_end(self, case: AnyCase, outcome: Outcome, seconds: float) -> None:
        if outcome.error is not None:
            self._rows[case.name] = [Row(case.name, "failed", seconds, error=" ".join(str(outcome.error).split()))]
            return
        self._device = outcome.value["device"]
        rows = self._work.rows(case, outcome.value, seconds)
        self._rows[case.name] = rows
        self._journal.note_end(case.name, case.state, [vars(row) for row in rows],
                               list(self._work.outputs(case).values()))

    def rows_of(self, case: AnyCase) -> tuple[Row, ...]:
        """The rows of a case that has ended."""
        return tuple(self._rows[case.name])

    def summary(self, cases: Sequence[AnyCase], unused: tuple[tuple[str, str], ...], report: dict) -> Summary:
        """The table as things stand."""
        rows = [row for case in cases for row in self._rows.get(case.name, [Row(case.name, "cancelled")])]
        return Summary(tuple(rows), self._work.structures(rows), {
            "meddl": meddl.__version__, **self._work.report, **report, "device": self._device, "warnings": []}, unused)


def _remove_temporary(folder: Path) -> None:
    """Remove what a killed worker has left of a file that it wrote."""
    for file in folder.glob(".*") if folder.is_dir() else ():
        if _TEMPORARY.fullmatch(file.name) and file.is_file():
            file.unlink(missing_ok=True)


def _with_tuples(row: dict) -> dict:
    """A row of a journal, whose lists are tuples in the program."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}

"""The verb `meddl.segment_many`."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import meddl
from meddl.core.config import ENGINES, LABEL_SUFFIXES, SegmentConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.jobs import ray_cluster
from meddl.jobs.cases import Case, find_cases
from meddl.jobs.journal import Journal
from meddl.jobs.local import LocalSlot
from meddl.jobs.schedule import Outcome, Slot, run_cases
from meddl.jobs.summary import Row, Summary
from meddl.models.cards import ModelCard
from meddl.models.catalog.collections import fingerprint
from meddl.models.catalog.structure_names import match_structures
from meddl.models.store.store import ModelStore


def segment_many(sources: str | Path | Iterable[str | Path], output: str | Path, model: str = "brain",
                 config: SegmentConfig | None = None, *, suffix: str = LABEL_SUFFIXES[0], frames: bool = False,
                 overwrite: bool = False, engine: str = ENGINES[0], address: str | None = None,
                 workers: int | None = None, threads: int | None = None, device: str = "auto",
                 on_case: Callable[[tuple[Row, ...]], None] | None = None,
                 on_progress: ProgressCallback | None = None) -> Summary:
    """Segment all volumes of a folder into another one, with one table about them.

    Volumes, and DICOM series in subfolders, are each a case; for a model of several channels files are put together
    by nnU-Net's names (see `cases.find_cases`). Worker processes keep the model loaded. A case that fails does not stop
    the rest; one whose worker dies is tried once more. Results are named after their inputs, summary.csv and
    summary.json lie beside them. A job that is started again goes on: what was done before, of the same input with the
    same model and choices, is kept.

    Args:
        sources: a folder, or files and folders.
        output: the folder of the results; it is made.
        model: identifier of an installed model.
        config: choices of `meddl.segment`.
        suffix: of the results, one of `meddl.core.config.LABEL_SUFFIXES`.
        frames: segment each time point of 4D files; their labels are then 4D.
        overwrite: do everything anew, and replace files that are there.
        engine: "local" (processes of this machine) or "ray" (a cluster; needs the package ray).
        address: of the Ray cluster; None: the one that RAY_ADDRESS or the machine knows, else one of this machine.
        workers: how many cases run at a time; None: one, or with Ray one for each GPU, else for each machine.
        threads: of the CPU for each local worker; None: they divide the cores.
        device: as of `meddl.segment`; local workers share out the GPUs.
        on_case: called with the rows of each case as it ends.
        on_progress: (fraction of all cases, what is being done).

    Returns:
        The table.

    Raises:
        InputError: nothing to segment, a structure that the model does not know, an unusable folder, or one with
            results of another job.
        ModelNotFoundError, ModelError: the model cannot be used.
        DependencyError: the engine's package is not installed.
        Cancelled: from `on_progress`; the table was written, what was done stays.
    """
    begin = time.perf_counter()
    config = config or SegmentConfig()
    _check(suffix, frames, engine, workers, config)
    card = ModelStore().card(model)
    match_structures(card.labels, config.structures)  # refused here, not case by case
    sources = [sources] if isinstance(sources, str | Path) else list(sources)
    folder = Path(output).expanduser().resolve()
    if any(Path(source).expanduser().resolve() == folder for source in sources):
        raise InputError(f"'{folder}' is where the volumes are. Choose another folder for the results.")
    cases, unused = find_cases(sources, card.channel_names, folder)
    if not cases:
        found = f" {len(unused)} files are not used: the first is {unused[0][0]}, {unused[0][1]}." if unused else ""
        raise InputError(f"There is no volume in {', '.join(map(str, sources))}.{found}")
    job = _Job(folder, card, config, suffix, frames, overwrite)
    todo = job.prepare(cases)
    slots = _slots(engine, address, len(todo), workers, (device, threads), job) if todo else []

    def end(case: Case, outcome: Outcome, seconds: float) -> None:
        job.on_end(case, outcome, seconds)
        if on_case is not None:
            on_case(job.rows_of(case))

    try:
        run_cases(todo, slots, job.on_start, end, on_progress)
    finally:
        summary = job.summary(cases, unused, time.perf_counter() - begin, engine, len(slots))
        summary.save(folder)
    return summary


def _check(suffix: str, frames: bool, engine: str, workers: int | None, config: SegmentConfig) -> None:
    if suffix not in LABEL_SUFFIXES:
        raise InputError(f"Results are written as {', '.join(LABEL_SUFFIXES)}; not as '{suffix}'.")
    if frames and suffix == ".seg.nrrd":
        raise InputError("Labels of several time points are one label map with four axes; .seg.nrrd holds none.")
    if engine not in ENGINES:
        raise InputError(f"The engine is one of {', '.join(ENGINES)}; got '{engine}'.")
    if engine == "ray":
        ray_cluster.installed_ray()
    if workers is not None and workers < 1:
        raise InputError(f"The number of workers is 1 or more; got {workers}.")
    if config.confidence:
        raise InputError("A job of many volumes writes labels; leave out the choice `confidence`.")


def _slots(engine: str, address: str | None, cases: int, workers: int | None, place: tuple[str, int | None],
           job: "_Job") -> list[Slot]:
    device, threads = place
    if engine == "ray":
        return ray_cluster.ray_slots(job.arguments, address, cases, workers, device)
    count = min(workers or 1, cases)
    threads = threads or (None if count == 1 else max(1, (os.cpu_count() or 1) // count))
    devices = _devices(device, count)
    return [LocalSlot(lambda case, place=place: job.arguments(case, place, threads)) for place in devices]


def _devices(device: str, count: int) -> list[str]:
    """A device for each worker: the GPUs in turn, where the device is not named and there are several."""
    if count > 1 and device in ("auto", "cuda"):
        import torch

        gpus = torch.cuda.device_count()
        if gpus > 1:
            return [f"cuda:{number % gpus}" for number in range(count)]
    return [device] * count


class _Job:
    """The state of one job: what is done to each case, where results go, and what became of them."""

    def __init__(self, folder: Path, card: ModelCard, config: SegmentConfig, suffix: str, frames: bool,
                 overwrite: bool):
        self._folder, self._card, self._config = folder, card, config
        self._suffix, self._frames, self._overwrite = suffix, frames, overwrite
        self._rows: dict[str, list[Row]] = {}
        self._device = ""
        if folder.exists() and not folder.is_dir():
            raise InputError(f"'{folder}' is a file; the results of many volumes go to a folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"The folder '{folder}' cannot be made: {error.strerror}.") from error
        self._journal = Journal(folder, {
            "model": card.id, "weights": fingerprint(card), "choices": asdict(config), "suffix": suffix,
            "frames": frames}, anew=overwrite)

    def prepare(self, cases: Sequence[Case]) -> list[Case]:
        """The cases that are to be done; the others have their rows."""
        todo = []
        for case in cases:
            output = self._output(case)
            kept = self._journal.rows_of(case.name, case.state, output)
            if kept is not None:
                self._rows[case.name] = [Row(**{**_with_tuples(row), "state": "kept"}) for row in kept]
            elif case.problem:
                self._rows[case.name] = [Row(case.name, "failed", error=case.problem)]
            elif output.exists() and not self._overwrite and not self._journal.has_begun(case.name):
                self._rows[case.name] = [Row(case.name, "failed", error=f"'{output}' was there before this job. "
                                             "Choose another folder for the results, or overwrite.")]
            else:
                todo.append(case)
        return todo

    def arguments(self, case: Case, device: str, threads: int | None) -> tuple[tuple, dict]:
        """Of `one_case.segment_case`."""
        return ((case, str(self._output(case)), self._card.id, self._config),
                {"frames": self._frames, "device": device, "threads": threads})

    def on_start(self, case: Case) -> None:
        self._journal.note_start(case.name)

    def on_end(self, case: Case, outcome: Outcome, seconds: float) -> None:
        if outcome.error is not None:
            self._rows[case.name] = [Row(case.name, "failed", seconds, error=" ".join(str(outcome.error).split()))]
            return
        frames = outcome.value["frames"]
        self._device = outcome.value["device"]
        rows = [Row(case.name, "done", seconds / len(frames), output=str(self._output(case)),
                    frame=number if self._frames else None, sha256=tuple(outcome.value["sha256"]), inputs=case.files,
                    series=case.series, component=outcome.value["component"], **_with_tuples(frame))
                for number, frame in enumerate(frames)]
        self._rows[case.name] = rows
        self._journal.note_end(case.name, case.state, [asdict(row) for row in rows], self._output(case))

    def rows_of(self, case: Case) -> tuple[Row, ...]:
        """The rows of a case that has ended."""
        return tuple(self._rows[case.name])

    def summary(self, cases: Sequence[Case], unused, seconds: float, engine: str, workers: int) -> Summary:
        """The table as things stand."""
        rows = [row for case in cases for row in self._rows.get(case.name, [Row(case.name, "cancelled")])]
        measured = {name for row in rows for name in row.volumes_ml}
        names = [label.name for label in self._card.labels]
        return Summary(tuple(rows), tuple(name for name in names if name in measured or not measured), {
            "meddl": meddl.__version__, "model": self._card.id, "model_version": self._card.version,
            "choices": asdict(self._config), "engine": engine, "workers": workers, "device": self._device,
            "seconds": {"total": seconds}, "warnings": []}, tuple(unused))

    def _output(self, case: Case) -> Path:
        return self._folder / f"{case.name}{self._suffix}"


def _with_tuples(row: dict) -> dict:
    """A row of a journal or of a worker, whose lists are tuples in the program."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}

"""The verb `meddl.segment_many`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from meddl.core.config import ENGINES, LABEL_SUFFIXES, SegmentConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.jobs.cases import Case, find_cases
from meddl.jobs.job import Machines, Work, as_sources, check_found, check_suffix, run_job
from meddl.jobs.summary import Row, Summary
from meddl.models.cards import ModelCard
from meddl.models.catalog.collections import fingerprint
from meddl.models.catalog.structure_names import match_structures
from meddl.models.store.store import ModelStore

TARGET = "meddl.jobs.one_case:segment_case"


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
    config = config or SegmentConfig()
    check_suffix(suffix, LABEL_SUFFIXES)
    if frames and suffix == ".seg.nrrd":
        raise InputError("Labels of several time points are one label map with four axes; .seg.nrrd holds none.")
    machines = Machines(engine, address, workers, threads, device)
    if config.confidence:
        raise InputError("A job of many volumes writes labels; leave out the choice `confidence`.")
    card = ModelStore().card(model)
    match_structures(card.labels, config.structures)  # refused here, not case by case
    sources, folder = as_sources(sources, output)
    cases, unused = find_cases(sources, card.channel_names, folder)
    check_found(cases, sources, unused)
    return run_job(folder, _work(folder, card, config, suffix, frames), cases, machines, unused=unused,
                   overwrite=overwrite, on_case=on_case, on_progress=on_progress)


def _work(folder: Path, card: ModelCard, config: SegmentConfig, suffix: str, frames: bool) -> Work:
    def outputs(case: Case) -> dict[str, Path]:
        return {"labels": folder / f"{case.name}{suffix}"}

    def arguments(case: Case) -> tuple[tuple, dict]:
        return (case, str(outputs(case)["labels"]), card.id, config), {"frames": frames}

    def rows(case: Case, value: dict, seconds: float) -> list[Row]:
        count = len(value["frames"])
        return [Row(case.name, "done", seconds / count, output=str(outputs(case)["labels"]),
                    frame=number if frames else None, sha256=tuple(value["sha256"]), inputs=case.files,
                    series=case.series, component=value["component"], figures=value.get("figures", {}),
                    **{**found, "warnings": tuple(found["warnings"]), "low": tuple(found.get("low", ()))})
                for number, found in enumerate(value["frames"])]

    def structures(found: Sequence[Row]) -> tuple[str, ...]:
        measured = {name for row in found for name in row.volumes_ml}
        names = [label.name for label in card.labels]
        return tuple(name for name in names if name in measured or not measured)

    return Work(TARGET, {"model": card.id, "weights": fingerprint(card), "choices": asdict(config), "suffix": suffix,
                         "frames": frames}, outputs, arguments, rows,
                {"verb": "segment", "model": card.id, "model_version": card.version, "choices": asdict(config)},
                structures)

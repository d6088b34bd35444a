"""The verb `meddl.super_resolve_many`."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from meddl.core.config import ENGINES, SuperResolveConfig, check_config
from meddl.core.progress import ProgressCallback
from meddl.io.files import WRITABLE
from meddl.jobs.cases import Case, find_cases
from meddl.jobs.job import Machines, Work, as_sources, check_found, check_suffix, run_job
from meddl.jobs.summary import Row, Summary

TARGET = "meddl.jobs.one_case:super_resolve_case"


def super_resolve_many(sources: str | Path | Iterable[str | Path], output: str | Path,
                       config: SuperResolveConfig | None = None, *, suffix: str = WRITABLE[0], overwrite: bool = False,
                       engine: str = ENGINES[0], address: str | None = None, workers: int | None = None,
                       threads: int | None = None, device: str = "auto",
                       on_case: Callable[[tuple[Row, ...]], None] | None = None,
                       on_progress: ProgressCallback | None = None) -> Summary:
    """Super-resolve (or denoise) all volumes of a folder into another one, with one table about them.

    As in `meddl.segment_many`, volumes and DICOM series in subfolders are each a case, one that fails does not stop
    the rest, one whose worker dies is tried once more, and a job that is started again goes on.

    Args:
        sources: a folder, or files and folders.
        output: the folder of the results, named after their inputs; it is made.
        config: choices of `meddl.super_resolve`; the slice thickness that a DICOM header states is used where it gives
            none.
        suffix: of the results.
        overwrite, engine, address, workers, threads, device, on_case, on_progress: as of `meddl.segment_many`.

    Returns:
        The table: a row for each case, whose `figures` are method, sizes of voxels, slice thickness and residual.

    Raises:
        InputError: no volume, an unusable folder, or one with results of another job.
        DependencyError: the engine's package is not installed.
        Cancelled: from `on_progress`; the table was written, what was done stays.
    """
    config = check_config(config, SuperResolveConfig)
    check_suffix(suffix, WRITABLE)
    machines = Machines(engine, address, workers, threads, device)
    sources, folder = as_sources(sources, output)
    cases, unused = find_cases(sources, leave_out=folder)
    check_found(cases, sources, unused)
    return run_job(folder, _work(folder, config, suffix), cases, machines, unused=unused, overwrite=overwrite,
                   on_case=on_case, on_progress=on_progress)


def _work(folder: Path, config: SuperResolveConfig, suffix: str) -> Work:
    settings = {"verb": "super-resolve", "choices": asdict(config), "suffix": suffix}

    def outputs(case: Case) -> dict[str, Path]:
        return {"volume": folder / f"{case.name}{suffix}"}

    def arguments(case: Case) -> tuple[tuple, dict]:
        return (case, str(outputs(case)["volume"]), config), {}

    def rows(case: Case, value: dict, seconds: float) -> list[Row]:
        return [Row(case.name, "done", seconds, warnings=tuple(value["warnings"]), quality=value["quality"],
                    output=str(outputs(case)["volume"]), sha256=tuple(value["sha256"]), inputs=case.files,
                    series=case.series, component=case.component, figures=value["figures"])]

    return Work(TARGET, settings, outputs, arguments, rows, {name: settings[name] for name in ("verb", "choices")})

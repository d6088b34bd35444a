"""The verb `meddl.register_many`."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from meddl.core.config import (
    ENGINES,
    FIELD_TOLERANCE_MM,
    INTERPOLATIONS,
    REGISTER_RESULTS,
    RegisterConfig,
    registration_config,
)
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.io.files import WRITABLE, suffix_of
from meddl.jobs.cases import Case, case_of, find_cases
from meddl.jobs.job import Machines, Work, as_sources, check_found, check_suffix, run_job
from meddl.jobs.pairs import Pair, pairs_of_subjects, pairs_of_table, pairs_to_one
from meddl.jobs.summary import Row, Summary

TARGET = "meddl.jobs.one_case:register_case"
_FOLDERS = {"warped": "warped", "transform": "transforms", "inverse": "inverse", "jacobian": "jacobian"}


def register_many(sources: str | Path | Iterable[str | Path], output: str | Path, config: RegisterConfig | None = None,
                  *, fixed: str | Path | Case | None = None, preset: str | None = None,
                  results: Iterable[str] = REGISTER_RESULTS[:2], interpolation: str | None = None,
                  field_tolerance_mm: float = FIELD_TOLERANCE_MM, suffix: str = WRITABLE[0], overwrite: bool = False,
                  engine: str = ENGINES[0], address: str | None = None, workers: int | None = None,
                  threads: int | None = None, device: str = "auto",
                  on_case: Callable[[tuple[Row, ...]], None] | None = None,
                  on_progress: ProgressCallback | None = None) -> Summary:
    """Register many volumes: all of a folder to one, each follow-up to its subject's baseline, or the pairs of a table.

    Without `fixed`, folders are read as subject/session/volume (BIDS) or subject/volume: the first session of each
    subject is the baseline of the volumes of the same name in later ones (see `pairs.follow_ups`). As in
    `meddl.segment_many`, a pair that fails does not stop the rest, one whose worker dies is tried once more, and a job
    that is started again goes on.

    Args:
        sources: a folder, or files and folders; or a table of pairs (.csv, .tsv) with the columns fixed and moving, as
            `pairs.pairs_of_table` reads it.
        output: the folder of the results; it is made. Each kind has a folder in it (warped, transforms, inverse,
            jacobian), whose files are named after the moving volumes; summary.csv and summary.json lie beside them.
        config: choices of `meddl.register`.
        fixed: the volume that all others are registered to.
        preset: the name of a preset, instead of `config`.
        results: what is written, of `meddl.core.config.REGISTER_RESULTS`: the warped moving volume, the transform from
            fixed to moving points (.h5), its inverse (.h5), its Jacobian determinant.
        interpolation: of the warped volume, one of `meddl.core.config.INTERPOLATIONS`; None: linear, nearest for
            what looks like a label map.
        field_tolerance_mm: of the files of displacement fields, as of `Registration.save`.
        suffix: of volumes.
        overwrite, engine, address, workers, threads, device, on_case, on_progress: as of `meddl.segment_many`.

    Returns:
        The table: a row for each pair, whose `figures` are metric before and after, overlap, rotation, translation,
        and of a deformation folding and the SD of the log Jacobian determinant.

    Raises:
        InputError: no pair, an unusable choice, table or folder, or one with results of another job.
        DependencyError: the engine's package is not installed.
        Cancelled: from `on_progress`; the table was written, what was done stays.
    """
    config = registration_config(config, preset)
    results = tuple(dict.fromkeys(results))
    check_suffix(suffix, WRITABLE)
    if not results or not set(results) <= set(REGISTER_RESULTS):
        raise InputError(f"Results of a registration are {', '.join(REGISTER_RESULTS)}; got "
                         f"{', '.join(map(repr, results)) or 'none'}.")
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        raise InputError(f"The interpolation is one of {', '.join(INTERPOLATIONS)}; got '{interpolation}'.")
    machines = Machines(engine, address, workers, threads, device)
    sources, folder = as_sources(sources, output)
    pairs, unused = find_pairs(sources, fixed, folder)
    check_found(pairs, sources, unused, "pair of volumes")
    settings = {"verb": "register", "choices": asdict(config), "results": results, "interpolation": interpolation,
                "field_tolerance_mm": field_tolerance_mm, "suffix": suffix,
                "fixed": Path(pairs[0].fixed.files[0]).name if fixed is not None else None}
    return run_job(folder, _work(folder, settings, config), pairs, machines, unused=unused, overwrite=overwrite,
                   on_case=on_case, on_progress=on_progress)


def find_pairs(sources: list[str | Path], fixed: str | Path | Case | None, leave_out: str | Path | None = None
               ) -> tuple[list[Pair], list[tuple[str, str]]]:
    """The pairs of a registration of many volumes: arguments as of `register_many`.

    Returns:
        The pairs, and (file, why it is not used).

    Raises:
        InputError: something is not there, the fixed volume cannot be used, or the table is none.
    """
    tables = [source for source in sources if suffix_of(source) == "" and
              Path(source).suffix.lower() in (".csv", ".tsv") and not Path(source).is_dir()]
    if tables and (fixed is not None or len(sources) > 1):
        raise InputError(f"'{tables[0]}' is a table of pairs, which has all volumes itself. Give it alone.")
    if tables:
        return pairs_of_table(tables[0]), []
    cases, unused = find_cases(sources, leave_out=leave_out)
    if fixed is None:
        pairs, alone = pairs_of_subjects(cases)
    else:
        one = fixed if isinstance(fixed, Case) else case_of(fixed)
        if one.problem:
            raise InputError(one.problem)
        pairs, alone = pairs_to_one(one, cases)
    return pairs, [*unused, *alone]


def _work(folder: Path, settings: dict, config: RegisterConfig) -> Work:
    def outputs(pair: Pair) -> dict[str, Path]:
        return {name: folder / _FOLDERS[name] /
                f"{pair.name}{'.h5' if name in ('transform', 'inverse') else settings['suffix']}"
                for name in settings["results"]}

    def arguments(pair: Pair) -> tuple[tuple, dict]:
        files = {name: str(file) for name, file in outputs(pair).items()}
        return (pair, files, config), {name: settings[name] for name in ("interpolation", "field_tolerance_mm")}

    def rows(pair: Pair, value: dict, seconds: float) -> list[Row]:
        return [Row(pair.name, "done", seconds, warnings=tuple(value["warnings"]),
                    output=str(next(iter(outputs(pair).values()))), quality=value["quality"],
                    sha256=tuple(value["sha256"]), inputs=pair.files, series=pair.fixed.series,
                    component=pair.fixed.component, figures=value["figures"])]

    return Work(TARGET, settings, outputs, arguments, rows,
                {name: settings[name] for name in ("verb", "choices", "results")})

"""What a worker does with one case, on whatever machine: read, segment, register or super-resolve, write."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from meddl.core.config import FIELD_TOLERANCE_MM, RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl.core.errors import FileWarning, InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import sha256_of
from meddl.jobs.cases import Case
from meddl.jobs.pairs import Pair
from meddl.jobs.summary import quality_of, registration_figures, super_resolution_figures
from meddl.results import Registration, Segmentation, low_confidence
from meddl.spatial.volume import Volume


def segment_case(case: Case, output: str, model: str, config: SegmentConfig, frames: bool = False,
                 device: str = "auto", threads: int | None = None,
                 on_progress: ProgressCallback | None = None) -> dict:
    """Segment one case and write the result, whole or not at all.

    Args:
        case: where its files are.
        output: the file to write; its folder is made. Of several time points a label map with four axes.
        model, config, device: as of `meddl.segment`.
        frames: each time point of a 4D file by itself.
        threads: of the CPU that this process may use; None: as many as torch takes.

    Returns:
        {"device", "component" that was read, "sha256" of each file, "figures": what the first volume looks like,
        "frames": for each time point (or the only one)
        {"volumes_ml", "confidence", "low", "quality", "warnings"}}.

    Raises:
        InputError: a file is not there, or cannot be used; and all that `meddl.segment` raises.
        Cancelled: from `on_progress`; nothing is written.
    """
    from meddl.models.store.store import ModelStore
    from meddl.segmentation import segment, segment_series

    _use_threads(threads)
    report(on_progress, 0.0, "Reading")
    channels = ModelStore().card(model).channel_names
    with _doubts_noted() as doubts:
        whole = frames or (len(case.files) == 1 and len(channels) > 1)
        component = "all" if whole and case.component is None else case.component
        volumes = _volumes(case, component)
    inner = span(on_progress, 0.05, 0.95)
    if frames:
        found = segment_series(volumes[0], model, config, others=volumes[1:], device=device, on_progress=inner)
    else:
        found = (segment(volumes[0], model, config, others=volumes[1:], device=device, on_progress=inner),)
    report(on_progress, 0.95, "Writing")
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    _write(found, case, Path(output))
    return {"device": found[0].report.get("device", ""), "component": component,
            "sha256": [sha256_of(file, case.series) for file in case.files],
            "figures": _looks(volumes[:1], ("looks like",), doubts),
            "frames": [_figures(one.report, told)
                       for one, told in zip(found, [doubts, *[[]] * (len(found) - 1)], strict=True)]}


def register_case(pair: Pair, outputs: dict[str, str], config: RegisterConfig, interpolation: str | None = None,
                  field_tolerance_mm: float = FIELD_TOLERANCE_MM, device: str = "auto", threads: int | None = None,
                  on_progress: ProgressCallback | None = None) -> dict:
    """Register one pair of volumes and write the results, each whole or not at all.

    Args:
        pair: where their files are.
        outputs: the file of each result, of "warped", "transform", "inverse" and "jacobian"; its folder is made.
        config, device: as of `meddl.register`.
        interpolation, field_tolerance_mm: as of `meddl.register_many`.
        threads: as of `segment_case`.

    Returns:
        {"device", "sha256" of both files, "figures", "quality", "warnings"}.

    Raises:
        InputError: a file is not there, or cannot be used; and all that `meddl.register` raises.
        Cancelled: from `on_progress`; no result is half-written.
    """
    from meddl.registration import register
    from meddl.spatial.label_maps import fitting_interpolation

    _use_threads(threads)
    report(on_progress, 0.0, "Reading")
    with _doubts_noted() as doubts:
        fixed, moving = (_volumes(case, case.component)[0] for case in (pair.fixed, pair.moving))
    looks = _looks([fixed, moving], ("fixed looks like", "moving looks like"), doubts)
    found = register(fixed, moving, config, device=device, on_progress=span(on_progress, 0.05, 0.85))
    if "warped" in outputs:
        interpolation, blended = fitting_interpolation(moving.data, interpolation, "The moving volume")
        doubts += blended
        _write_warped(found, pair, moving, interpolation, outputs["warped"], span(on_progress, 0.85, 0.9))
    _write_maps(found, pair, outputs, field_tolerance_mm, span(on_progress, 0.9, 1.0))
    return {"device": found.report.get("device", ""),
            "sha256": [sha256_of(case.files[0], case.series) for case in (pair.fixed, pair.moving)],
            "figures": registration_figures(found.report) | looks, "quality": quality_of(found.report),
            "warnings": [*doubts, *found.report.get("warnings", ())]}


def super_resolve_case(case: Case, output: str, config: SuperResolveConfig, device: str = "auto",
                       threads: int | None = None, on_progress: ProgressCallback | None = None) -> dict:
    """Super-resolve one volume and write the result, whole or not at all.

    Args:
        case: where its file is; the slice thickness that its DICOM header states is used.
        output: the file to write; its folder is made.
        config, device: as of `meddl.super_resolve`.
        threads: as of `segment_case`.

    Returns:
        {"device", "sha256" of the file, "figures", "quality", "warnings"}.

    Raises:
        InputError: the file is not there, or cannot be used; and all that `meddl.super_resolve` raises.
        Cancelled: from `on_progress`; nothing is written.
    """
    from meddl.io import load_header, save
    from meddl.superres import super_resolve
    from meddl.superres.acquisition.stated_thickness import with_stated_thickness

    _use_threads(threads)
    report(on_progress, 0.0, "Reading")
    with _doubts_noted() as doubts:
        volume = _volumes(case, case.component)[0]
    looks = _looks([volume], ("looks like",), doubts)
    config = with_stated_thickness(config, volume, case.files[0], case.series)
    found = super_resolve(volume, config, device=device, on_progress=span(on_progress, 0.05, 0.95))
    report(on_progress, 0.95, "Writing")
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    save(found.volume, output, header=load_header(case.files[0]))
    return {"device": found.report.get("device", ""), "sha256": [sha256_of(case.files[0], case.series)],
            "figures": super_resolution_figures(found.report) | looks, "quality": quality_of(found.report),
            "warnings": [*doubts, *found.report.get("warnings", ())]}


def _use_threads(count: int | None) -> None:
    """Let this process use so many threads of the CPU; None: as many as torch takes."""
    if count:
        import torch

        torch.set_num_threads(count)


@contextmanager
def _doubts_noted() -> Iterator[list[str]]:
    """What files state that is in doubt, while they are read."""
    doubts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FileWarning)
        yield doubts
    doubts += [str(one.message) for one in caught if issubclass(one.category, FileWarning)]


def _looks(volumes: list[Volume], titles: tuple[str, ...], doubts: list[str]) -> dict[str, str]:
    """What volumes look like, by the title of their column; what speaks against their headers is added to `doubts`."""
    from meddl.recognition.recognize import recognize

    found = [recognize(volume) for volume in volumes]
    doubts.extend(text for one in found for text in one.warnings())
    return {title: one.describe() for title, one in zip(titles, found, strict=True)}


def _write_warped(found: Registration, pair: Pair, moving: Volume, interpolation: str, output: str,
                  on_progress: ProgressCallback | None) -> None:
    from meddl.io import load_header, save

    Path(output).parent.mkdir(parents=True, exist_ok=True)
    warped = found.warp(moving, interpolation, on_progress=on_progress).astype(moving.data.dtype)
    save(warped, output, header=load_header(pair.moving.files[0]).in_space_of(load_header(pair.fixed.files[0])))


def _write_maps(found: Registration, pair: Pair, outputs: dict[str, str], field_tolerance_mm: float,
                on_progress: ProgressCallback | None) -> None:
    from meddl.io import load_header, save

    report(on_progress, 0.0, "Writing")
    for output in outputs.values():
        Path(output).parent.mkdir(parents=True, exist_ok=True)
    if "transform" in outputs:
        found.save(outputs["transform"], field_tolerance_mm)
    if "inverse" in outputs:
        found.invert(span(on_progress, 0.2, 0.9)).save(outputs["inverse"], field_tolerance_mm)
    if "jacobian" in outputs:
        save(found.jacobian(), outputs["jacobian"], header=load_header(pair.fixed.files[0]).of_other_values())


def _figures(report: dict, doubts: list[str]) -> dict:
    """What the table says of a result."""
    low, usual = low_confidence(report), report.get("usual_confidence", {})
    rated = [name for name in report.get("confidence", {}) if name in usual]
    return {"volumes_ml": report.get("volumes_ml", {}), "confidence": report.get("confidence", {}), "low": list(low),
            "quality": 1 - len(low) / len(rated) if rated else None,
            "warnings": [*doubts, *report.get("warnings", ())]}


def _volumes(case: Case, component: int | str | None) -> list[Volume]:
    from meddl.io import load

    for file in case.files:
        if not Path(file).exists():
            raise InputError(f"'{file}' does not exist on this machine. Workers on several machines need the inputs in "
                             "a folder that all of them see under the same name.")
    return [load(file, component, case.series) for file in case.files]


def _write(found: tuple[Segmentation, ...], case: Case, output: Path) -> None:
    from meddl.io import load_header, save_segmentation, save_series, time_step

    header = load_header(case.files[0]).of_other_values()
    if len(found) == 1:
        save_segmentation(found[0], output, header)
        return
    labels = Volume(np.stack([one.labels for one in found]), found[0].affine)
    save_series(labels, output, 1.0 if case.series else time_step(case.files[0]), header=header)

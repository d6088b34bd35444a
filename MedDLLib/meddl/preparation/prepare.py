"""The verb: a volume through a chain of steps, and a folder of volumes through the same chain."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from meddl.core.errors import Cancelled, InputError, MedDLError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import VolumeHeader, VolumeLike, as_volume, load, load_header, save
from meddl.io.files import replacing
from meddl.jobs.cases import find_cases
from meddl.preparation import intensities, sampling
from meddl.preparation.steps import N4, Crop, Denoise, Equalize, Normalize, Reorient, Resample, Resize, Step, name_of
from meddl.spatial.label_maps import blending_warnings
from meddl.spatial.normalize import check_magnitude
from meddl.spatial.volume import Volume

_WORDS = {"n4": "Correcting the bias field", "denoise": "Removing noise", "equalize": "Equalizing the contrast",
          "normalize": "Normalizing intensities", "crop": "Cropping", "resample": "Resampling",
          "reorient": "Reorienting", "resize": "Resizing"}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A volume after a chain of steps.

    Attributes:
        volume: as the last step left it; floating point after a step that changes intensities.
        report: `steps` (each with all its values, its seconds and what it found, such as a mean or a box), `seconds`
            by step, `device`, `warnings`.
    """

    volume: Volume
    report: dict = field(default_factory=dict)


def prepare(volume: VolumeLike, steps: Sequence[Step], *, reference: VolumeLike | None = None,
            roi: Volume | np.ndarray | None = None, device: str = "auto",
            on_progress: ProgressCallback | None = None) -> Prepared:
    """Run a volume through steps, one after the other.

    Args:
        volume: any number of channels; each is prepared by itself.
        steps: of `meddl.preparation.steps`, such as `[N4(), Normalize()]`, or `load_chain(path)`.
        reference: whose histogram `Normalize(method="match")` takes.
        roi: of `Crop(to="roi")`: a mask volume, or a box as `meddl.segment` takes it.
        device: of `Denoise(method="network")`.

    Raises:
        InputError: no step, a step that the volume does not allow, or values that are not finite.
        Cancelled: from `on_progress`.
    """
    volume = as_volume(volume, component="all")
    reference = None if reference is None else as_volume(reference, "reference")
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise InputError(f"`steps` is a list of steps, or what load_chain(path) gives; got {type(steps).__name__}.")
    if not steps:
        raise InputError("The chain has no step. Give at least one.")
    if volume.data.dtype.kind == "f" and not np.isfinite(volume.data).all():
        raise InputError("The volume holds values that are not finite. Repair it before it is prepared.")
    check_magnitude(volume.data)
    warnings = blending_warnings(volume.data) if any(map(_blends, steps)) else []
    entries: list[dict] = []
    seconds: dict[str, float] = {}
    begin = time.monotonic()
    for number, step in enumerate(steps):
        figures: dict = {}
        name, start = name_of(step), time.monotonic()
        report(on_progress, number / len(steps), f"{_WORDS[name]}, {number + 1} of {len(steps)}")
        try:
            volume = _run(volume, step, reference, roi, device, figures,
                          span(on_progress, number / len(steps), (number + 1) / len(steps)))
        except RuntimeError as error:  # of SimpleITK
            if isinstance(error, MedDLError):
                raise
            raise InputError(f"The step '{name}' failed: {str(error).strip().splitlines()[-1]}") from error
        spent = round(time.monotonic() - start, 3)
        entries.append({"step": name, **asdict(step), **figures, "seconds": spent})
        seconds[f"{number + 1} {name}"] = spent
    report(on_progress, 1.0, "Prepared")
    seconds["total"] = time.monotonic() - begin
    network = any(isinstance(step, Denoise) and step.method == "network" for step in steps)
    return Prepared(volume, {"steps": entries, "seconds": seconds, "device": _describe(device if network else "cpu"),
                             "warnings": warnings})


def _blends(step: Step) -> bool:
    """Whether neighboring values are mixed."""
    if isinstance(step, Resample):
        return step.interpolation != "nearest"
    return isinstance(step, Denoise) or isinstance(step, Resize) and not step.keep_spacing


def header_after(steps: Sequence[Step], header: VolumeHeader) -> VolumeHeader:
    """What holds for a volume after these steps of what the header of its file says."""
    rescaled = any(isinstance(step, N4 | Equalize | Normalize) for step in steps)
    return header.of_other_values() if rescaled else header


def prepare_folder(folder: str | Path, output: str | Path, steps: Sequence[Step], *,
                   reference: Volume | None = None, device: str = "auto", on_progress: ProgressCallback | None = None
                   ) -> list[dict]:
    """Run all volumes of a folder through the same steps.

    Args:
        output: a folder, which is made; each result has the name of its volume, ending with .nii.gz, and beside it a
            report, ending with .json.

    Returns:
        A dictionary for each volume: `case`, `file`, `seconds` and `error`, "" where it was prepared.

    Raises:
        InputError: the folder is not there or holds no volume.
        Cancelled: from `on_progress`; what was prepared stays.
    """
    cases, _ = find_cases([folder], leave_out=output)
    if not cases:
        raise InputError(f"There is no volume in '{folder}'.")
    rows: list[dict] = []
    for number, case in enumerate(cases):
        stage = span(on_progress, number / len(cases), (number + 1) / len(cases))
        file = Path(output).expanduser() / f"{case.name}.nii.gz"
        row: dict = {"case": case.name, "file": str(file), "seconds": 0.0, "error": case.problem}
        rows.append(row)
        if case.problem:
            continue
        try:
            found = prepare(load(case.files[0], case.component, case.series), steps, reference=reference,
                            device=device, on_progress=stage)
            file.parent.mkdir(parents=True, exist_ok=True)
            save(found.volume, file, header=header_after(steps, load_header(case.files[0])))
            with replacing(file.with_name(f"{Path(case.name).name}.json"), ".json") as temporary:
                temporary.write_text(json.dumps(found.report, indent=1) + "\n", encoding="utf-8")
            row["seconds"] = found.report["seconds"]["total"]
        except Cancelled:
            raise
        except MedDLError as error:  # a damaged file, or one that a step does not allow: the others go on
            row["error"] = str(error)
    return rows


def _describe(device: str) -> str:
    from meddl.core.device import describe, select_device

    return describe(select_device(device))


def _run(volume: Volume, step: Step, reference: Volume | None, roi: Volume | np.ndarray | None, device: str,
         figures: dict, on_progress: ProgressCallback | None) -> Volume:
    match step:
        case N4():
            return intensities.correct_bias(volume, step, figures)
        case Denoise():
            return intensities.remove_noise(volume, step, device, on_progress)
        case Equalize():
            return intensities.equalize(volume, step)
        case Normalize():
            return intensities.normalize(volume, step, reference, figures)
        case Crop():
            return sampling.crop(volume, step, roi, figures)
        case Resample():
            return sampling.change_spacing(volume, step)
        case Reorient():
            return sampling.reorient(volume, step)
        case Resize():
            return sampling.resize(volume, step)
    raise InputError(f"A step of a chain was expected; got {step!r}.")

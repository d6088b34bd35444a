"""What a worker does with one case, on whatever machine: read, segment, write."""

import warnings
from pathlib import Path

import numpy as np

from meddl.core.config import SegmentConfig
from meddl.core.errors import FileWarning, InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io import sha256_of
from meddl.jobs.cases import Case
from meddl.results import Segmentation, low_confidence
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
        {"device", "component" that was read, "sha256" of each file, "frames": for each time point (or the only one)
        {"volumes_ml", "confidence", "low", "quality", "warnings"}}.

    Raises:
        InputError: a file is not there, or cannot be used; and all that `meddl.segment` raises.
        Cancelled: from `on_progress`; nothing is written.
    """
    import torch

    from meddl.models.store.store import ModelStore
    from meddl.segmentation import segment, segment_series

    if threads:
        torch.set_num_threads(threads)
    report(on_progress, 0.0, "Reading")
    channels = ModelStore().card(model).channel_names
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FileWarning)
        whole = frames or (len(case.files) == 1 and len(channels) > 1)
        component = "all" if whole and case.component is None else case.component
        volumes = _volumes(case, component)
    doubts = [str(one.message) for one in caught if issubclass(one.category, FileWarning)]
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
            "frames": [_figures(one.report, told)
                       for one, told in zip(found, [doubts, *[[]] * (len(found) - 1)], strict=True)]}


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

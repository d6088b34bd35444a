"""The volumes that a model is shrunk with: to learn from, and to check the result with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from meddl.compression.distillation import classes_of
from meddl.core.errors import GeometryError, InputError
from meddl.core.progress import ProgressCallback, report
from meddl.core.stage_clock import StageClock
from meddl.io import load, load_segmentation
from meddl.io.files import suffix_of
from meddl.jobs.cases import Case, find_cases
from meddl.models.recipes import Recipe
from meddl.segmentation.brain.loaded_model import SegmentationModel
from meddl.segmentation.imported.segment_by_recipe import network_input
from meddl.segmentation.region_of_interest import Scope
from meddl.spatial.volume import Volume
from meddl.training.supervised.prepared import PreparedCase, read_case

_CHECKED_FRACTION, _MOST_CHECKED = 5, 20  # one of five


@dataclass(frozen=True, eq=False)
class CheckedCase:
    """A volume that the result is checked with, and its label map on the same voxels where there is one."""

    volume: Volume
    truth: np.ndarray | None


def split_cases(volumes: str | Path, channels: tuple[str, ...], seed: int) -> tuple[list[Case], list[Case]]:
    """Cases to learn from and cases to check with, drawn at random.

    Raises:
        InputError: fewer than three.
    """
    cases = [case for case in find_cases([volumes], channels)[0] if not case.problem]
    if len(cases) < 3:
        raise InputError(f"A model is shrunk with three volumes at least; '{volumes}' holds {len(cases)} that can be "
                         "used.")
    drawn = [cases[n] for n in np.random.default_rng(seed).permutation(len(cases))]
    count = max(1, min(_MOST_CHECKED, len(cases) // _CHECKED_FRACTION))
    return drawn[count:], drawn[:count]


def load_case(case: Case) -> Volume:
    """A case with all its channels.

    Raises:
        FileFormatError, GeometryError: a file cannot be read, or its channels lie on different grids.
    """
    parts = [load(file, case.component, case.series) for file in case.files]
    if any(not part.grid.same_as(parts[0].grid) for part in parts):
        raise GeometryError(f"The channels of '{case.name}' lie on different grids; resample them to one.")
    return Volume(np.concatenate([part.data for part in parts]), parts[0].affine)


def load_checked(cases: list[Case], labels: str | Path | None) -> list[CheckedCase]:
    """The cases to check with.

    Raises:
        InputError: a case has no label map of its name in `labels`, or one on another grid.
    """
    return [CheckedCase(volume, None if labels is None else _truth(Path(labels).expanduser(), case, volume))
            for case in cases for volume in (load_case(case),)]


def _truth(folder: Path, case: Case, volume: Volume) -> np.ndarray:
    name = Path(case.name).name
    found = [path for path in sorted(folder.iterdir()) if path.name.removesuffix(suffix_of(path)) == name]
    if not found:
        raise InputError(f"'{folder}' holds no label map named '{name}'.")
    segmentation = load_segmentation(found[0])
    if segmentation.labels.shape != volume.shape or not np.allclose(segmentation.affine, volume.affine, atol=1e-3):
        raise InputError(f"The label map '{found[0].name}' lies on another grid than its volume.")
    return segmentation.labels


def prepare_unlabeled(cases: list[Case], model: SegmentationModel, recipe: Recipe, teacher, folder: Path,
                      on_progress: ProgressCallback | None = None) -> list[PreparedCase]:
    """Cases as the network sees them, on the disk, with the labels of the large network."""
    for n, case in enumerate(cases):
        report(on_progress, n / len(cases), f"Segmenting volume {n + 1} of {len(cases)}")
        volume = load_case(case)
        upright = volume if recipe.orientation is None else volume.reorient(recipe.orientation)
        image, _ = network_input(model, recipe, upright, Scope(), StageClock())
        data = image.data.cpu().contiguous().numpy().astype(np.float32)
        seen = PreparedCase(case.name, data, np.zeros(data.shape[1:], np.int16), {})
        with torch.inference_mode():
            found = classes_of(teacher, seen, recipe, model.device)
        np.save(folder / f"{n}_image.npy", data)
        np.save(folder / f"{n}_classes.npy", found)
    return [read_case(folder, n, case.name) for n, case in enumerate(cases)]

"""Cubes of cases on the disk, larger than what the network sees, so that they can be moved and turned."""

import hashlib
import json
from pathlib import Path

import numpy as np

from meddl.classification.view import cube_of
from meddl.core.errors import InputError
from meddl.core.paths import read_record, write_record
from meddl.core.progress import ProgressCallback, report
from meddl.training.supervised.classification.inspection import ClassInspection
from meddl.training.supervised.classification.network import ClassifierPlan
from meddl.training.supervised.data.volumes import load_volume

_MARGIN = 0.15  # of the cube, around it


def margin_voxels(size: int) -> int:
    """So many more voxels lie around the cube in what `prepare_cubes` gives."""
    return int(np.ceil(_MARGIN * size))


def prepare_cubes(inspection: ClassInspection, plan: ClassifierPlan, folder: Path,
                  on_progress: ProgressCallback | None = None) -> np.ndarray:
    """The cubes of all cases, (cases, 2, M, M, M) uint8 read from `folder`; made there unless they are those of this
    data and plan.

    Raises:
        InputError: the disk is full.
        Cancelled: from `on_progress`.
    """
    size = plan.size + 2 * margin_voxels(plan.size)
    key = hashlib.sha256(json.dumps([plan.spacing_mm, size, [one.digest for one in inspection.cases]]
                                    ).encode()).hexdigest()
    place, stamp = folder / "cubes.npy", folder / "cubes.json"
    try:
        if read_record(stamp).get("key") != key or not place.is_file():
            stamp.unlink(missing_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            cubes = np.lib.format.open_memmap(place, "w+", np.uint8, (len(inspection.cases), 2, size, size, size))
            for n, one in enumerate(inspection.cases):
                report(on_progress, n / len(inspection.cases), f"Preprocessing {one.case.name}")
                image = cube_of(load_volume(one.case.image), plan.spacing_mm, size).image
                cubes[n] = (255 * image).round().byte().numpy()
            cubes.flush()
            write_record(stamp, {"key": key})
    except OSError as error:
        raise InputError(f"The preprocessed cases could not be written to '{folder}': {error.strerror or error}. Make "
                         "room, or choose another folder.") from error
    return np.load(place, mmap_mode="r")

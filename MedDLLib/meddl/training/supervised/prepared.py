"""Preprocessed cases on the disk, from which patches are read without holding all in memory."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.models.recipes import Step
from meddl.segmentation.imported.score_labels import axis_coordinates
from meddl.segmentation.imported.steps.preprocessing import Image
from meddl.segmentation.imported.steps.run_steps import run_steps
from meddl.spatial.resample import to_tensor
from meddl.training.supervised.data.cases import IGNORED, classes_of, labels_by_structure, load_case
from meddl.training.supervised.data.inspection import Inspection

_POSITIONS = 2000  # voxels of each class that patches are centered on, a case
_SAME_VOXEL = 1e-3  # a continuous index so near to a whole one is that voxel


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case as the network sees it.

    Attributes:
        image: (C, x, y, z) float32.
        classes: (x, y, z) int16, -1 where a voxel does not count.
        positions: by class but background, (N, 3) some of its voxels.
    """

    name: str
    image: np.ndarray
    classes: np.ndarray
    positions: dict[int, np.ndarray]


def prepare_cases(inspection: Inspection, recipe: dict, folder: Path, painted_slices: bool = False,
                  on_progress: ProgressCallback | None = None) -> dict[str, PreparedCase]:
    """Preprocess all cases into `folder`, or read them where they lie there from the same data and recipe.

    Raises:
        InputError: the disk is full.
        Cancelled: from `on_progress`.
    """
    key = hashlib.sha256(json.dumps([
        recipe["steps"], painted_slices, [(one.case.name, one.digest, one.voxels) for one in inspection.fingerprints],
        [str(one.case.labels.stat().st_mtime_ns) for one in inspection.fingerprints], inspection.structures.members,
        inspection.structures.ignore], default=str).encode()).hexdigest()
    stamp = folder / "key.txt"
    if not stamp.is_file() or stamp.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir(parents=True)
            _write_all(inspection, recipe, folder, painted_slices, on_progress)
            stamp.write_text(key)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(f"The preprocessed cases could not be written to '{folder}': "
                             f"{error.strerror or error}. Make room, or choose another folder.") from error
    return {one.case.name: read_case(folder, n, one.case.name) for n, one in enumerate(inspection.fingerprints)}


def _write_all(inspection: Inspection, recipe: dict, folder: Path, painted_slices: bool,
               on_progress: ProgressCallback | None) -> None:
    steps = tuple(Step(step["name"], step.get("arguments", {})) for step in recipe["steps"])
    for n, one in enumerate(inspection.fingerprints):
        report(on_progress, n / len(inspection.fingerprints), f"Preprocessing {one.case.name}")
        volume, segmentation, _ = load_case(one.case, inspection.dataset)
        labels = labels_by_structure(segmentation, one.case, inspection.structures)
        image = run_steps(Image(to_tensor(volume.data, torch.device("cpu")), np.array(volume.affine)), steps)
        found = classes_on_image(classes_of(labels, inspection.structures, painted_slices), volume.affine, image)
        write_case(folder, n, image.data.contiguous().numpy(), found)


def classes_on_image(classes: np.ndarray, affine: np.ndarray, image: Image) -> np.ndarray:
    """Classes (I, J, K) of a volume on the voxels of an image made from it, (x, y, z) int16: at each the class with the
    largest fraction, interpolated linearly, of equal ones the nearest voxel's; IGNORED outside of the volume.

    Raises:
        GeometryError: the image is turned against the volume.
    """
    order, coordinates = axis_coordinates(image.affine, affine, image.data.shape[1:])
    turned = [coordinates[order.index(axis)] for axis in range(3)]  # of each axis of the image
    classes = classes.transpose([order.index(axis) for axis in range(3)])
    nearest = classes[np.ix_(*(np.clip(np.floor(along + 0.5), 0, n - 1).astype(int)
                               for along, n in zip(turned, classes.shape, strict=True)))]
    found = nearest.astype(np.int16)
    if any(np.abs(along - along.round()).max() > _SAME_VOXEL for along in turned):
        found = _most_frequent(classes, nearest, turned)
    for axis, along in enumerate(turned):
        outside = (along < -0.5 - 1e-6) | (along > classes.shape[axis] - 0.5 + 1e-6)
        found[(slice(None),) * axis + (outside,)] = IGNORED
    return found


def _most_frequent(classes: np.ndarray, nearest: np.ndarray, coordinates: list[np.ndarray]) -> np.ndarray:
    best, found = np.full(nearest.shape, -1.0, dtype=np.float32), np.zeros(nearest.shape, dtype=np.int16)
    for value in np.unique(classes).tolist():
        fraction = (classes == value).astype(np.float32)
        for axis, along in enumerate(coordinates):
            fraction = _linear(fraction, axis, along)
        better = (fraction > best) | ((fraction == best) & (nearest == value))
        best[better], found[better] = fraction[better], value
    return found


def _linear(values: np.ndarray, axis: int, coordinates: np.ndarray) -> np.ndarray:
    """Values at continuous indices along an axis, held at the ends."""
    held = np.clip(coordinates, 0, values.shape[axis] - 1)
    if np.abs(held - held.round()).max() < _SAME_VOXEL:
        return values.take(held.round().astype(int), axis=axis)
    low = np.minimum(np.floor(held).astype(int), max(values.shape[axis] - 2, 0))
    weight = (held - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    high = np.minimum(low + 1, values.shape[axis] - 1)
    return values.take(low, axis=axis) * (1 - weight) + values.take(high, axis=axis) * weight


def write_case(folder: Path, n: int, image: np.ndarray, classes: np.ndarray) -> None:
    """Write the image (C, x, y, z) and the classes (x, y, z) of the n-th case of a folder."""
    np.save(folder / f"{n}_image.npy", image)
    np.save(folder / f"{n}_classes.npy", classes)


def read_case(folder: Path, n: int, name: str) -> PreparedCase:
    """The n-th case that `write_case` has written to a folder."""
    image = np.load(folder / f"{n}_image.npy", mmap_mode="r")
    classes = np.load(folder / f"{n}_classes.npy", mmap_mode="r")
    positions = {}
    for value in np.unique(classes).tolist():
        if value not in (0, IGNORED):
            found = np.argwhere(classes == value)
            positions[value] = found[::max(1, len(found) // _POSITIONS)]
    return PreparedCase(name, image, classes, positions)

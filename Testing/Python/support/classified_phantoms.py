"""Volumes of classes that differ in a bright cube in a ball: where it is (left, right), or whether it is there at all
(marked, plain)."""

from pathlib import Path

import numpy as np

import meddl
from meddl.spatial.volume import Volume

SIZE, SPACING_MM = 24, 2.0
PLACES = {"left": 5, "right": 18}  # of the cube along the first axis, in voxels
MARKED = ("marked", "plain")       # the cube of a marked one is anywhere in the ball
_REACH, _RADIUS, _FARTHEST = 2, 10, 5


def phantom(label: str, seed: int = 0) -> Volume:
    """A volume of this class."""
    rng = np.random.default_rng([seed, len(label)])
    data = 20 + 3 * rng.standard_normal((SIZE,) * 3)
    data[((np.indices((SIZE,) * 3) - (SIZE - 1) / 2) ** 2).sum(axis=0) < _RADIUS**2] += 80
    if label != "plain":
        data[cube(label, seed)] += 100
    return Volume.scalar(data.astype(np.float32), np.diag([SPACING_MM] * 3 + [1.0]))


def cube(label: str, seed: int = 0) -> tuple[slice, ...]:
    """The voxels by which a volume's class is known."""
    middle = SIZE // 2
    place = ((PLACES[label], middle, middle) if label in PLACES else
             middle + np.random.default_rng(seed).integers(-_FARTHEST, _FARTHEST + 1, size=3))
    return tuple(slice(int(c) - _REACH, int(c) + _REACH + 1) for c in place)


def write_classes(folder: Path, each: int = 5, classes=tuple(PLACES)) -> Path:
    """A folder with a folder for each class."""
    for label in classes:
        (folder / label).mkdir(parents=True)
        for seed in range(each):
            meddl.save(phantom(label, seed), folder / label / f"{label}-{seed}.nii.gz")
    return folder


def train(folder: Path, name: str, each: int = 5, classes=tuple(PLACES), steps: int = 60):
    """A classifier of phantoms, `meddl.train_classifier` into `folder`; it is installed."""
    return meddl.train_classifier(write_classes(folder / "data", each, classes), out=folder / "run", name=name,
                                  device="cpu", config=meddl.ClassifierTrainConfig(steps=steps, learning_rate=3e-3))

"""Volumes of two classes that differ in one place: a ball with a bright cube on its left or on its right."""

from pathlib import Path

import numpy as np

import meddl
from meddl.spatial.volume import Volume

SIZE, SPACING_MM = 24, 2.0
PLACES = {"left": 5, "right": 18}  # of the cube along the first axis, in voxels
_REACH, _RADIUS = 2, 10


def phantom(label: str, seed: int = 0) -> Volume:
    """A volume of this class."""
    rng = np.random.default_rng([seed, PLACES[label]])
    data = 20 + 3 * rng.standard_normal((SIZE,) * 3)
    data[((np.indices((SIZE,) * 3) - (SIZE - 1) / 2) ** 2).sum(axis=0) < _RADIUS**2] += 80
    data[cube(label)] += 100
    return Volume.scalar(data.astype(np.float32), np.diag([SPACING_MM] * 3 + [1.0]))


def cube(label: str) -> tuple[slice, ...]:
    """The voxels by which a class is known."""
    return tuple(slice(c - _REACH, c + _REACH + 1) for c in (PLACES[label], SIZE // 2, SIZE // 2))


def write_classes(folder: Path, each: int = 5) -> Path:
    """A folder with a folder for each class."""
    for label in PLACES:
        (folder / label).mkdir(parents=True)
        for seed in range(each):
            meddl.save(phantom(label, seed), folder / label / f"{label}-{seed}.nii.gz")
    return folder


def train(folder: Path):
    """A classifier of phantoms, `meddl.train_classifier` into `folder`; it is installed as "phantoms"."""
    return meddl.train_classifier(write_classes(folder / "data"), out=folder / "run", name="phantoms", device="cpu",
                                  config=meddl.ClassifierTrainConfig(steps=60, learning_rate=3e-3))

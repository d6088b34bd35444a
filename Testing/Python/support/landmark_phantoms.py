"""Volumes with known places: an ellipsoid in noise with a bright ball on its left and a dark one on its right."""

from pathlib import Path

import numpy as np

import meddl
from meddl.io.points import save_points
from meddl.spatial.points import Boxes, Points
from meddl.spatial.volume import Volume

SIZE, SPACING_MM = 24, 2.0
NAMES = ("Bright ball", "Dark ball")
BODY = "Body"
_BALLS_MM = {"Bright ball": (4.5, 140.0), "Dark ball": (4.5, -60.0)}  # radius, brightness
_FLANK_MM = 10.0


def phantom(seed: int) -> tuple[Volume, Points, Boxes]:
    """A volume, the centers of its balls, and the box about its ellipsoid."""
    rng = np.random.default_rng([seed, 7])
    to_mm = np.diag([SPACING_MM] * 3 + [1.0])
    places = np.moveaxis(np.indices((SIZE,) * 3), 0, -1) @ to_mm[:3, :3].T + to_mm[:3, 3]
    middle = places.reshape(-1, 3).mean(axis=0) + rng.uniform(-3, 3, 3)
    axes = np.array([17.0, 14.0, 12.0]) * rng.uniform(0.9, 1.1, 3)
    data = 10 + 3 * rng.standard_normal((SIZE,) * 3)
    data[(((places - middle) / axes) ** 2).sum(axis=-1) < 1] += 60
    centers = [middle + np.array([sign * _FLANK_MM, *rng.uniform(-3, 3, 2)]) for sign in (-1, 1)]
    for center, (radius, brightness) in zip(centers, _BALLS_MM.values(), strict=True):
        data[((places - center) ** 2).sum(axis=-1) < radius**2] += brightness
    return (Volume.scalar(data.astype(np.float32), to_mm), Points(np.array(centers), NAMES),
            Boxes(middle[None], 2 * axes[None], (BODY,)))


def write_marked(folder: Path, count: int = 6, names: tuple[str, str] = NAMES) -> tuple[Path, Path]:
    """Folders of volumes and of their markups: a point list, and an ROI in a file of its own."""
    images, points = folder / "images", folder / "points"
    for place in (images, points):
        place.mkdir(parents=True)
    for seed in range(count):
        volume, placed, boxes = phantom(seed)
        meddl.save(volume, images / f"case{seed}.nii.gz")
        save_points(Points(placed.positions, names), points / f"case{seed}.mrk.json")
        save_points(Points(np.zeros((0, 3)), ()), points / f"case{seed}_{BODY}.mrk.json", boxes=boxes)
    return images, points


def train(folder: Path, steps: int = 200, count: int = 8):
    """A model of phantoms, `meddl.train_landmarks` into `folder`; it is installed as "balls"."""
    return meddl.train_landmarks(*write_marked(folder / "data", count), out=folder / "run", name="balls", device="cpu",
                                 config=meddl.LandmarkTrainConfig(steps=steps, spacing_mm=3.0))

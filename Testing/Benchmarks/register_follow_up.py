"""A known loss of volume of one structure between two dates: how much of it a registration finds, and what elsewhere.

    python Testing/Benchmarks/register_follow_up.py [--presets "Same subject, two dates" Deformable] [--spacing 2]
        [--noise 2] [--threads 1]

The second date is the first, drawn together around the center of a structure so that this loses a known fraction of its
volume; both have independent noise, in percent of the range between the 1st and the 99th percentile. Printed for each
pair: the true and the found change of the structure's volume; of the structures that do not change, the largest mean
|log J|, and the 99th percentile of |J - 1|; seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import register_cases
import torch
from register_figures import jacobian_determinants
from scipy import ndimage, optimize

from meddl.core.config import REGISTER_PRESETS
from meddl.registration import register
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

STRUCTURES = {"lateral ventricle": 4, "thalamus": 10, "putamen": 12, "hippocampus": 17}
CHANGES = [("lateral ventricle", 0.05), ("lateral ventricle", 0.1), ("lateral ventricle", 0.2), ("thalamus", 0.05),
           ("thalamus", 0.1), ("thalamus", 0.2), ("putamen", 0.1), ("putamen", 0.2), ("hippocampus", 0.1),
           ("hippocampus", 0.2), ("hippocampus", 0.0)]
_STILL = 0.002  # |J - 1| of what does not change


def contraction(image: Volume, inside: np.ndarray, fraction: float) -> Callable[[np.ndarray], np.ndarray]:
    """Displacement (N, 3) at points (N, 3), RAS mm, by which `inside` (I, J, K) loses a fraction of its volume."""
    points = image.grid.points_mm(np.stack(np.nonzero(inside), axis=-1))
    center = points.mean(axis=0)
    sigma_mm = max(1.2 * np.sqrt(((points - center) ** 2).sum(axis=1).mean()), 6.0)

    def by(strength: float) -> Callable[[np.ndarray], np.ndarray]:
        def displacement(where: np.ndarray) -> np.ndarray:
            away = where - center
            return -strength * away * np.exp(-(away ** 2).sum(axis=-1, keepdims=True) / (2 * sigma_mm ** 2))
        return displacement

    def miss(strength: float) -> float:
        return fraction - (1 - jacobian(image, by(strength))[inside].mean())

    return by(optimize.brentq(miss, 0.0, 0.9, xtol=1e-5) if fraction else 0.0)


def jacobian(image: Volume, displacement: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The determinant (I, J, K) of the map x + displacement(x)."""
    return jacobian_determinants(image.grid, lambda points: points + displacement(points))


def follow_up(image: Volume, displacement: Callable[[np.ndarray], np.ndarray], noise: float, seed: int = 0
              ) -> tuple[Volume, Volume]:
    """Both dates with noise: `image`, and what it has become where x has moved to x + displacement(x)."""
    there = image.grid.points_mm(np.moveaxis(np.indices(image.shape), 0, -1).reshape(-1, 3))
    here = there
    for _ in range(20):
        here = there - displacement(here)
    indices = (np.linalg.inv(image.affine) @ np.c_[here, np.ones(len(here))].T)[:3]
    data = image.scalar_data.astype(np.float32)
    moved = ndimage.map_coordinates(data, indices, order=3, mode="nearest").reshape(image.shape)
    low, high = np.percentile(data[data > 0], (1, 99))
    rng = np.random.default_rng(seed)
    return tuple(Volume.scalar((values + rng.normal(0, noise * (high - low), data.shape)).astype(np.float32),
                               image.affine) for values in (data, moved))


def main() -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(description="Find a known change of volume between two dates.")
    parser.add_argument("--presets", nargs="+", choices=REGISTER_PRESETS, default=["Same subject, two dates"])
    parser.add_argument("--spacing", type=float, default=2.0, help="mm")
    parser.add_argument("--noise", type=float, default=2.0, help="percent")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if register_cases.data_folder() is None:
        print("No real volumes: set MEDDL_DATA to the folder that holds them. Nothing was measured.")
        return 0
    torch.set_num_threads(arguments.threads)
    image, labels = register_cases.brain("ecog")
    image = register_cases.at_spacing(image, arguments.spacing)
    labels = resample(labels, image.grid, "nearest").scalar_data
    for preset in arguments.presets:
        print(f"{preset}\n{'structure':18} {'true':>7} {'found':>7} {'elsewhere':>9} {'p99':>6} {'s':>6}")
        for structure, fraction in CHANGES:
            inside = labels == STRUCTURES[structure]
            displacement = contraction(image, inside, fraction)
            fixed, moving = follow_up(image, displacement, arguments.noise / 100)
            started = time.perf_counter()
            found = jacobian_determinants(image.grid, register(fixed, moving, preset=preset).points)
            seconds, true = time.perf_counter() - started, jacobian(image, displacement)
            still = (np.abs(true - 1) < _STILL) & (labels > 0)
            means = [abs(np.log(found[still & (labels == value)].clip(1e-3)).mean())
                     for value in np.unique(labels[still]) if (still & (labels == value)).sum() > 50]
            print(f"{structure:18} {true[inside].mean() - 1:7.3f} {found[inside].mean() - 1:7.3f} {max(means):9.4f} "
                  f"{np.percentile(np.abs(found[still] - 1), 99):6.3f} {seconds:6.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

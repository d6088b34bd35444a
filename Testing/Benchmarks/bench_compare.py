"""Seconds and peak memory of the comparison of two large segmentations with surface distances.

    python Testing/Benchmarks/bench_compare.py [--size 512 512 400] [--structures 100] [--threads 2]

Structures are ellipsoids of random size on a grid of cells that fills the volume; those of the second segmentation are
moved by up to three voxels. Peak memory is the whole process's, interpreter, libraries and both segmentations included.
Result: at most 30 s and 3 GB on two cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

import numpy as np
import torch

from meddl.comparison.segmentations import compare_segmentations
from meddl.spatial.segmentation import Segment, Segmentation

AFFINE = np.diag([0.8, 0.8, 1.0, 1.0])


def label_maps(size: tuple[int, int, int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two label maps (I, J, K) uint8 or uint16 of `count` ellipsoids, the second with each one moved."""
    random = np.random.default_rng(0)
    cells = max(1, int(np.ceil(count ** (1 / 3))))
    cell = np.array(size) // cells
    places = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:count]
    maps = np.zeros((2, *size), np.uint8 if count < 256 else np.uint16)
    for value, place in enumerate(places, start=1):
        radii = cell * random.uniform(0.3, 0.45, 3)
        middle = (place + 0.5) * cell
        for labels, shift in zip(maps, (np.zeros(3), random.uniform(-3, 3, 3)), strict=True):
            box = tuple(slice(int(place[a] * cell[a]), int((place[a] + 1) * cell[a])) for a in range(3))
            axes = np.ogrid[box]
            inside = sum(((axis - middle[a] - shift[a]) / radii[a]) ** 2 for a, axis in enumerate(axes)) <= 1
            labels[box][inside] = value
    return maps[0], maps[1]


def main() -> int:
    """Measure and print; returns the exit status: 1 above 30 s or 3 GB at the full size."""
    parser = argparse.ArgumentParser(description="Measure the comparison of two large segmentations.")
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 400), metavar="VOXELS")
    parser.add_argument("--structures", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = [Segment(value, f"structure {value}", (0.5, 0.5, 0.5)) for value in range(1, arguments.structures + 1)]
    first, second = (Segmentation(labels, AFFINE, names) for labels in label_maps(
        tuple(arguments.size), arguments.structures))
    begin, spent = time.perf_counter(), time.process_time()
    found = compare_segmentations(first, second)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 ** 2
    print(json.dumps({"size": list(arguments.size), "structures": len(found.structures), "seconds": round(seconds, 1),
                      "cpu_seconds": round(time.process_time() - spent, 1), "peak_gb": round(peak, 2),
                      "mean_dice": round(found.report["mean"]["dice"], 4)}))
    return 0 if seconds <= 30 and peak <= 3 else 1


if __name__ == "__main__":
    sys.exit(main())

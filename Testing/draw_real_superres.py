"""Draws Resources/Screenshots/superres-real-heads.png: real volumes made four times coarser, and sharpened.

    python Testing/draw_real_superres.py

A row a volume: its thick slices, cubic interpolation, the default method, the truth, and how far the default method
is from it (white: a fifth of the truth's range). The slices are made by the benchmark's simulator from the volumes
of the data folder (environment variable MEDDL_DATA).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Benchmarks")]

import numpy as np  # noqa: E402
import superres_cases as cases  # noqa: E402
from bench_superres import sharpen  # noqa: E402

from meddl.core.config import SuperResolveConfig  # noqa: E402
from meddl.core.paths import data_folder  # noqa: E402
from meddl.pictures.slices import beside, frame, slices, stack, write  # noqa: E402
from meddl.spatial.volume import Volume  # noqa: E402

ROWS = (("chris_t1", "coronal"), ("vm", "axial"), ("aorta_cta", "coronal"))
FACTOR, VOXELS = 4.0, 192
HEIGHT, WIDTH = 220, 220


def difference(made: Volume, truth: Volume) -> Volume:
    """What is missing or too much, 1 for a fifth of the truth's range."""
    data = np.abs(made.scalar_data - truth.scalar_data)
    largest = 0.2 * np.subtract(*np.percentile(truth.scalar_data, (99.9, 0.1)))
    return Volume.scalar(np.clip(data / largest, 0, 1).astype(np.float32), truth.affine)


def main() -> None:
    """Sharpen and draw."""
    if data_folder() is None:
        sys.exit("The real volumes were not found. Set MEDDL_DATA to the folder that holds them.")
    rows = []
    for name, view in ROWS:
        case = cases.through_plane(name, FACTOR, "gaussian", VOXELS)
        cubic, ours = (sharpen(case, method)[0] for method in ("cubic", SuperResolveConfig().method))
        look = {"views": (view,), "size": HEIGHT, "point_mm": case.truth.grid.center_mm}
        tiles = [slices(case.given, nearest=True, **look), *(slices(v, **look) for v in (cubic, ours, case.truth))]
        tiles.append(slices(difference(ours, case.truth), span=(0, 1), **look))
        rows.append(beside(*(frame(tile, WIDTH) for tile in tiles)))
    write(stack(*rows), ROOT / "Resources/Screenshots/superres-real-heads.png")


if __name__ == "__main__":
    main()

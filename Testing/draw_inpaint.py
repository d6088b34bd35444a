"""Draws Resources/Screenshots/inpaint.png: rendered heads with a tumor, filled.

    python Testing/draw_inpaint.py

A row a patient of the label maps 13 to 16, axial slices of T1 through the tumor: the head with the outline of the mask,
the harmonic fill, the biharmonic fill, the other hemisphere, and the same head without the tumor.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Benchmarks")]

import inpaint_cases as cases  # noqa: E402

import meddl  # noqa: E402
from meddl.core.paths import data_folder  # noqa: E402
from meddl.pictures.slices import beside, outline_slices, slices, stack, write  # noqa: E402

PATIENTS, HEIGHT = 2, 150


def main() -> None:
    """Fill, and draw."""
    rows = [draw(case) for case in itertools.islice(cases.tumor_cases(data_folder(), PATIENTS), PATIENTS)]
    write(stack(*rows), ROOT / "Resources" / "Screenshots" / "inpaint.png")


def draw(case: cases.TumorCase) -> np.ndarray:
    """A row of the picture."""
    mask = meddl.Volume.scalar(case.tumor.astype(np.uint8), case.volume.affine)
    outline = meddl.Segmentation(mask.scalar_data, mask.affine, (meddl.Segment(1, "Mask", (1.0, 0.8, 0.0)),))
    place = {"point_mm": mask.grid.points_mm(np.argwhere(case.tumor).mean(axis=0)), "views": ("axial",),
             "size": HEIGHT}
    filled = [meddl.inpaint(case.volume, mask, meddl.InpaintConfig(method=method), device="cpu").volume
              for method in ("harmonic", "biharmonic", "mirror")]
    return beside(outline_slices(case.volume, outline, **place),
                  *(slices(volume, **place) for volume in (*filled, case.healthy)))


if __name__ == "__main__":
    main()

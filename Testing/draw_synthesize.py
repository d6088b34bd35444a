"""Draws Resources/Screenshots/synthesize.png: T2 and FLAIR synthesized from T1, beside the measured ones.

    python Testing/draw_synthesize.py

An axial slice of a patient with multiple sclerosis (open_ms_data, University of Ljubljana, CC BY) in the data folder
(MEDDL_DATA): T1, T2, T2 from T1, FLAIR, FLAIR from T1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "MedDLLib"))

import meddl  # noqa: E402
from meddl.core.paths import data_folder  # noqa: E402
from meddl.pictures.slices import beside, slices, write  # noqa: E402

HEIGHT, POINT_MM = 190, (0.0, 0.0, 14.0)


def main() -> None:
    """Synthesize, and draw."""
    data = data_folder()
    if data is None:
        raise SystemExit("Nothing was drawn: MEDDL_DATA names no folder of real volumes.")
    t1, t2, flair = (meddl.load(data / "ms" / f"ms07_{name}.nii.gz") for name in ("t1", "t2", "flair"))
    made = [meddl.synthesize_contrast(t1, contrast, device="cpu").volume for contrast in ("t2", "flair")]
    mean = np.argwhere(t1.scalar_data > 0).mean(axis=0)
    point = t1.grid.points_mm([mean])[0] + np.array(POINT_MM)
    row = beside(*(slices(volume, point_mm=point, views=("axial",), size=HEIGHT)
                   for volume in (t1, t2, made[0], flair, made[1])))
    write(row, ROOT / "Resources" / "Screenshots" / "synthesize.png")


if __name__ == "__main__":
    main()

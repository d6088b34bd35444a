"""Draws Resources/Screenshots/register-real-heads.png: one person's brain deformed onto another's.

    python Testing/draw_real_registration.py

A row each: the moving brain (green) over the fixed one (magenta) as they lie, after the affine and after the deformable
registration (what agrees is gray), and a grid of 10 mm carried by the deformation. The volumes are those of the data
folder (environment variable MEDDL_DATA).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "MedDLLib"))

import numpy as np  # noqa: E402

import meddl  # noqa: E402
from meddl.core.config import REGISTER_PRESETS  # noqa: E402
from meddl.core.paths import data_folder  # noqa: E402
from meddl.pictures.slices import frame, slices, stack, write  # noqa: E402
from meddl.spatial.volume import Volume  # noqa: E402

FIXED, MOVING = "brain/vm_t1_stripped", "brain/ecog_t1_stripped"
HEIGHT, WIDTH = 240, 640
LINES_MM = 10.0


def lattice(volume: Volume) -> Volume:
    """Lines at every 10 mm of the volume's world, on its grid."""
    axes = np.meshgrid(*map(np.arange, volume.shape), indexing="ij")
    points = volume.grid.points_mm(np.stack(axes, axis=-1))
    lines = (np.abs((points + LINES_MM / 2) % LINES_MM - LINES_MM / 2) < 0.6).sum(axis=-1)
    return Volume.scalar(np.minimum(lines, 1).astype(np.float32) * 100, volume.affine)


def main() -> None:
    """Register, draw, and say how well structures agree."""
    data = data_folder()
    if data is None:
        sys.exit("The real volumes were not found. Set MEDDL_DATA to the folder that holds them.")
    fixed, moving = (meddl.load(data / f"{name}.nii.gz") for name in (FIXED, MOVING))
    affine = meddl.register(fixed, moving, REGISTER_PRESETS["Affine"])
    found = meddl.register(fixed, moving, REGISTER_PRESETS["Deformable"])
    rows = [slices(fixed, over=other, size=HEIGHT) for other in (moving, affine.warp(moving), found.warp(moving))]
    rows.append(slices(found.warp(lattice(moving)), size=HEIGHT))
    write(stack(*(frame(row, WIDTH) for row in rows)), ROOT / "Resources/Screenshots/register-real-heads.png")
    print(found.report)


if __name__ == "__main__":
    main()

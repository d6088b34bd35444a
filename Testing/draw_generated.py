"""Draws Resources/Screenshots/generated.png: images that a GAN has rendered from label maps for a training.

    meddl train segmentation --data DATA --generate 8 --generate-steps 200 --out RUN
    python Testing/draw_generated.py RUN

Upper row: volumes of the user, each without and with its labels; lower row: what the GAN has rendered from such labels,
turned and scaled. Sagittal slices through the labels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "MedDLLib"))

from meddl.pictures.slices import beside, slices, stack, write  # noqa: E402
from meddl.results import Segment, Segmentation  # noqa: E402
from meddl.spatial.volume import Volume  # noqa: E402
from meddl.training.supervised.prepared import read_case  # noqa: E402

SHOWN, HEIGHT = 3, 110
COLORS = ((0.9, 0.6, 0.2), (0.3, 0.7, 0.9), (0.5, 0.8, 0.4), (0.8, 0.4, 0.7))


def drawn(folder: Path, number: int) -> np.ndarray:
    """A case with its labels beside it."""
    case = read_case(folder, number, "")
    volume, found = Volume(np.asarray(case.image, np.float32), np.eye(4)), np.maximum(case.classes, 0).astype(np.uint8)
    segments = tuple(Segment(int(value), str(value), COLORS[(value - 1) % len(COLORS)])
                     for value in np.unique(found) if value)
    labels = Segmentation(found, volume.affine, segments)
    place = {"views": ("sagittal",), "size": HEIGHT, "point_mm": np.argwhere(found == segments[0].value).mean(axis=0)}
    return beside(slices(volume, **place), slices(volume, labels, **place), gap=1)


def main() -> None:
    """Draw both rows."""
    run = Path(sys.argv[1])
    rows = [beside(*(drawn(run / folder, number) for number in range(SHOWN))) for folder in ("cases", "generated")]
    write(stack(*rows), ROOT / "Resources" / "Screenshots" / "generated.png")


if __name__ == "__main__":
    main()

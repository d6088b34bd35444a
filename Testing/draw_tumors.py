"""Draws Resources/Screenshots/tumors.png: rendered patients with a brain tumor, the truth and what a model found.

    python Testing/Benchmarks/bench_tumors.py --keep FOLDER
    python Testing/draw_tumors.py FOLDER

A row a patient that was held out, axial slices through the tumor: T1, T1 with contrast agent, T2, FLAIR; FLAIR
(magenta) over T1 with contrast agent (green); FLAIR with the outlines of the truth, and with those of the result.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "MedDLLib"))

import meddl  # noqa: E402
from meddl.pictures.slices import beside, comparison_slices, middle, outline_slices, slices, stack, write  # noqa: E402

MODEL, PATIENTS, HEIGHT = "bench-tumors", ("Ts001", "Ts002"), 128


def main() -> None:
    """Segment, and draw."""
    folder = Path(sys.argv[1])
    os.environ["MEDDL_CACHE"] = str(folder / "cache")
    write(stack(*(drawn(folder, case) for case in PATIENTS)), ROOT / "Resources" / "Screenshots" / "tumors.png")


def drawn(folder: Path, case: str) -> np.ndarray:
    """A row of the picture."""
    channels = [meddl.load(file) for file in sorted((folder / "imagesTs").glob(f"{case}_*.nii.gz"))]
    found = meddl.segment(channels[0], model=MODEL, others=channels[1:], device="cpu")
    true = meddl.load_segmentation(folder / "labelsTs" / f"{case}.nii.gz")
    truth = replace(found, labels=true.labels)
    place = {"point_mm": middle(channels[0], truth), "views": ("axial",), "size": HEIGHT}
    t1ce, flair = channels[1], channels[3]
    return beside(*(slices(channel, **place) for channel in channels), comparison_slices(flair, t1ce, **place),
                  outline_slices(flair, truth, **place), outline_slices(flair, found, **place))


if __name__ == "__main__":
    main()

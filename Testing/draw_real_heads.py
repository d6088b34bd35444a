"""Draws Resources/Screenshots/brain-real-heads.png: `brain` on real heads that no training saw, good and bad.

    python Testing/draw_real_heads.py

A row a head: slices through the middle of the brain as they are, and with the structures over them. The volumes are
those of the data folder (environment variable MEDDL_DATA).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "MedDLLib"))

import meddl  # noqa: E402
from meddl.demo.pictures import beside, framed, middle, slices, stacked, write  # noqa: E402
from meddl.paths import data_folder  # noqa: E402

VIEWS = ("axial", "sagittal", "coronal")
HEIGHT, WIDTH = 200, 220
HEADS = {
    "T1, whole head": "brain/ecog_t1",
    "T1, 0.9 mm": "brain/chris_t1",
    "PD, oblique, 2.4 mm slices": "brain/chris_PD",
    "T2, 2 mm slices": "brain_multimodal/T2w",
    "functional EPI, 2.4 mm": "brain_multimodal/fmri",
    "FLAIR, stripped, multiple sclerosis": "ms/ms07_flair",
    "MR angiography: vessels only, no brain to see": "brain/chris_MRA",
}


def main() -> None:
    """Segment, draw, and say which row is which."""
    data = data_folder()
    if data is None:
        sys.exit("The real volumes were not found. Set MEDDL_DATA to the folder that holds them.")
    rows = []
    for title, name in HEADS.items():
        volume = meddl.load(data / f"{name}.nii.gz")
        found = meddl.segment(volume)
        point = middle(volume, found)
        rows.append(beside(*(framed(slices(volume, labels, point, views=(view,), size=HEIGHT), WIDTH)
                             for labels in (None, found) for view in VIEWS)))
        brain_ml = sum(ml for structure, ml in found.report["volumes_ml"].items() if structure != "csf")
        print(f"{title} ({name}): brain {brain_ml:.0f} ml, {found.report['seconds']['total']:.1f} s",
              *found.report["warnings"], sep="; ")
    write(stacked(*rows), ROOT / "Resources" / "Screenshots" / "brain-real-heads.png")


if __name__ == "__main__":
    main()

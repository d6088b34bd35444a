"""Draws Resources/Screenshots/brain-real-heads.png: `brain` on heads that no training saw, good and bad.

    python Testing/draw_real_segmentation.py

A row a head: slices through the middle of the brain as they are, and with the structures over them. The volumes are
those of the data folder (environment variable MEDDL_DATA), which holds no CT of a head: that one is synthetic, from
the held-out label map 13.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "MedDLLib"))

import meddl  # noqa: E402
from meddl.core.paths import data_folder  # noqa: E402
from meddl.pictures.slices import beside, frame, middle, slices, stack, write  # noqa: E402
from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps  # noqa: E402

VIEWS = ("axial", "sagittal", "coronal")
HEIGHT, WIDTH = 200, 220
HEADS = {
    "T1, whole head": "brain/ecog_t1",
    "T2, stripped, multiple sclerosis": "ms/ms07_t2",
    "FLAIR of the same": "ms/ms07_flair",
    "PD, oblique, 2.4 mm slices": "brain/chris_PD",
    "CT, synthetic": None,
    "functional EPI, 2.4 mm": "brain_multimodal/fmri",
    "MR angiography: vessels only, no brain to see": "brain/chris_MRA",
}
CT = SynthesisConfig(spacing_mm=1.0, shape=(192, 232, 224), center_jitter_mm=0, rotation_degrees=6, prior_probability=1,
                     bias_sd=(0, 0), gamma_sd=0, isotropic_mm=(1, 1), anisotropic_probability=0, noise_sd=(0.02, 0.02),
                     crop_probability=0, stripped_probability=0, dark_background_probability=1, clip_probability=0)


def main() -> None:
    """Segment, draw, and say which row is which."""
    data = data_folder()
    if data is None:
        sys.exit("The real volumes were not found. Set MEDDL_DATA to the folder that holds them.")
    rows = []
    for title, name in HEADS.items():
        volume = synthetic_ct(data / "labelmaps") if name is None else meddl.load(data / f"{name}.nii.gz")
        found = meddl.segment(volume)
        rows.append(drawn(volume, found))
        brain_ml = sum(ml for structure, ml in found.report["volumes_ml"].items() if structure != "csf")
        print(f"{title} ({name}): brain {brain_ml:.0f} ml, {found.report['seconds']['total']:.1f} s",
              *found.report["warnings"], sep="; ")
    write(stack(*rows), ROOT / "Resources" / "Screenshots" / "brain-real-heads.png")


def drawn(volume: meddl.Volume, found: meddl.Segmentation) -> np.ndarray:
    """A row of the picture; CT in a brain window."""
    point = middle(volume, found)
    if volume.scalar_data.min() <= -900:
        volume = meddl.Volume.scalar(volume.scalar_data.clip(-50, 150), volume.affine)
    return beside(*(frame(slices(volume, labels, point, views=(view,), size=HEIGHT), WIDTH)
                    for labels in (None, found) for view in VIEWS))


def synthetic_ct(folder: Path) -> meddl.Volume:
    """A head of the held-out map 13 as CT in a brain window, in Hounsfield units, air at -1000."""
    generator = HeadGenerator(load_label_maps(folder, 13, 13), CT, seed=13, contrasts=("CT",))
    image = generator.sample(1).images[0, 0].numpy()
    return meddl.Volume.scalar(np.where(image < 0.08, -1000, 200 * image - 50).astype(np.int16), np.eye(4))


if __name__ == "__main__":
    main()

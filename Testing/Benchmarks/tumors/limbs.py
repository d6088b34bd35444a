"""Limb sarcomas in MR, CT and PET of four patients: the real check of several channels, one patient left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import meddl
from meddl.segmentation.channels import join_channels
from meddl.spatial.grid import Grid, grid_around
from meddl.spatial.resample import resample

CHANNELS = ("MR", "CT", "PET")
PATIENTS = ("sts01", "sts02", "sts03", "sts04")
REGIONS = {"tumor": (1,)}
SPACING_MM = 3.0


def _coarse(grid: Grid) -> Grid:
    """The grid's extent in cubic voxels of `SPACING_MM`."""
    shape = np.maximum(1, np.rint(np.array(grid.shape) * grid.spacing_mm / SPACING_MM)).astype(int)
    center = grid.points_mm((np.array(grid.shape) - 1) / 2)
    return grid_around(center, tuple(int(n) for n in shape), grid.affine[:3, :3] / grid.spacing_mm * SPACING_MM)


def write_dataset(data: Path, folder: Path, left_out: str, channels: Sequence[str] = CHANNELS) -> None:
    """A raw data set of nnU-Net on the extent of each MR volume: one patient in imagesTs, the others in imagesTr."""
    for patient in PATIENTS:
        part = "Ts" if patient == left_out else "Tr"
        read = [meddl.load(data / "sarcoma" / f"{patient}_{name.lower()}.nii.gz") for name in ("MR", *channels)]
        joined, _ = join_channels(read[0], read[1:], ("extent", *channels))
        grid = _coarse(read[0].grid)
        labels = meddl.load(data / "sarcoma" / f"{patient}_mr_tumour.nii.gz")
        for name in ("images", "labels"):
            (folder / f"{name}{part}").mkdir(parents=True, exist_ok=True)
        for number in range(len(channels)):
            one = meddl.Volume.scalar(joined.data[1 + number], joined.affine)
            meddl.save(resample(one, grid), folder / f"images{part}" / f"{patient}_{number:04d}.nii.gz")
        inside = resample(meddl.Volume.scalar(labels.scalar_data.astype(np.float32), labels.affine), grid)
        meddl.save(meddl.Volume.scalar((inside.scalar_data > 0.5).astype(np.uint8), grid.affine),
                   folder / f"labels{part}" / f"{patient}.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({
        "channel_names": dict(enumerate(channels)), "labels": {"background": 0, "tumor": 1},
        "numTraining": len(PATIENTS) - 1, "file_ending": ".nii.gz"}, indent=1) + "\n", encoding="utf-8")

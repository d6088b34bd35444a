"""Volumes and models, all made here: heads from the embedded label map, networks with random weights."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import bundle_cases
import numpy as np
from nnunet_folder import write_nnunet

from gpu.sizes import Sizes
from meddl.core.paths import resources_folder
from meddl.models.store.store import ModelStore
from meddl.samples import LABELS_FILE, TABLE_FILE, head
from meddl.spatial.volume import Volume
from meddl.synthesis import LabelMaps, load_label_maps


@lru_cache(maxsize=8)
def head_of(spacing_mm: float | tuple, shape: tuple | None = None, contrast: str = "T1", seed: int = 0) -> Volume:
    """A head; with `shape` in the middle of so many voxels."""
    volume = head(contrast, spacing_mm, seed)[0]
    return volume if shape is None else fitted(volume, shape)


def fitted(volume: Volume, shape: tuple[int, int, int]) -> Volume:
    """The volume cut or padded with its smallest value to `shape`, about its middle."""
    data, affine = volume.data, np.array(volume.affine)
    for axis, wanted in enumerate(shape):
        more = wanted - data.shape[axis + 1]
        before = more // 2
        affine[:3, 3] -= affine[:3, axis] * before
        if more < 0:
            data = data.take(range(-before, -before + wanted), axis=axis + 1)
        else:
            around = [(before, more - before) if a == axis + 1 else (0, 0) for a in range(4)]
            data = np.pad(data, around, constant_values=data.min())
    return Volume(np.asfortranarray(data), affine)


@lru_cache(maxsize=1)
def body_of(sizes: Sizes) -> Volume:
    """A volume in Hounsfield units of `sizes.body` voxels: a head with larger voxels than its own."""
    small = head_of(3.0, None, "CT").data
    for axis, wanted in enumerate(sizes.body):
        small = small.take(np.arange(wanted) * small.shape[axis + 1] // wanted, axis=axis + 1)
    return Volume(np.asfortranarray(small), np.diag([*sizes.body_mm, 1.0]))


def nnunet_model(folder: Path, sizes: Sizes, classes: int) -> str:
    """Import an nnU-Net of so many classes; its identifier."""
    identifier = f"random-nnunet-{classes}"
    labels = {"background": 0, **{f"structure {n}": n for n in range(1, classes)}}
    return _imported(identifier, lambda: write_nnunet(
        folder / identifier, labels=labels, channels=("CT",), spacing=sizes.spacing_mm, patch=sizes.patch, mirror=(),
        scheme="CTNormalization", features=sizes.features))


def bundle_model(folder: Path) -> str:
    """Import a MONAI bundle; its identifier."""
    identifier = "random-bundle"
    return _imported(identifier, lambda: bundle_cases.write_bundle(folder / identifier, bundle_cases.CASES["unet"]))


def _imported(identifier: str, write) -> str:
    store = ModelStore()
    if not any(card.id == identifier for card in store.list()):
        store.import_model(write(), identifier=identifier)
    return identifier


def write_label_maps(folder: Path) -> Path:
    """The embedded head as a folder of label maps: one to train with, one held out."""
    samples = resources_folder() / "Samples"
    (folder / "heads").mkdir(parents=True, exist_ok=True)
    for number in (1, 13):
        (folder / "heads" / f"head_{number:02d}.nii.gz").write_bytes((samples / LABELS_FILE).read_bytes())
    (folder / "labels.csv").write_bytes((samples / TABLE_FILE).read_bytes())
    return folder


@lru_cache(maxsize=1)
def label_maps(folder: Path) -> LabelMaps:
    """The embedded head as label maps."""
    return load_label_maps(write_label_maps(folder), 1, 1)

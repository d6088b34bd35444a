"""Heads to inpaint, with known truth: rendered heads of label maps 13 to 16 with masks, tumor patients, MS lesions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from tumors import patients

import meddl
from meddl.spatial.grid import centered_grid
from meddl.spatial.resample import resample

FIRST, LAST = 13, 16
T1, T2, FLAIR = 0, 2, 3
MS_CONTRASTS = ("t1", "t1post", "t2", "flair")
MASKS = ("five lesions", "blob", "large blob", "2 slices", "4 slices")


@dataclass(frozen=True)
class MaskedHead:
    """A head, and where it is to be filled."""

    name: str
    volume: meddl.Volume
    inside: np.ndarray


def masked_heads(data: Path, heads: int = 4, seed: int = 0) -> Iterator[MaskedHead]:
    """Whole heads at 2 mm in T1, T2 and FLAIR by turns, each with each kind of mask."""
    anatomies = patients.Anatomies(data, FIRST, LAST)
    for number in range(heads):
        rng = np.random.default_rng((seed, number))
        patient = patients.render(anatomies, number % anatomies.count, rng, tumor=False, stripped=False)
        channel = (T1, T2, FLAIR)[number % 3]
        volume = meddl.Volume.scalar(patient.channels[channel], patient.affine)
        brain = np.isin(patient.anatomy, (2, 3, 41, 42, 10, 11, 12, 49, 50, 51))
        for kind in MASKS:
            yield MaskedHead(kind, volume, _mask(kind, brain, rng))


def _mask(kind: str, brain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    places = np.argwhere(brain)
    axes = np.meshgrid(*(np.arange(n) for n in brain.shape), indexing="ij")

    def blob(radius_mm: float) -> np.ndarray:
        place = places[rng.integers(len(places))]
        far = np.sqrt(sum((axis - p) ** 2 for axis, p in zip(axes, place, strict=True))) * patients.SPACING_MM
        rough = ndimage.gaussian_filter(rng.normal(size=brain.shape), 3)
        return far / radius_mm + 0.2 * rough / rough.std() < 1

    if kind == "five lesions":
        return np.any([blob(rng.uniform(4, 7)) for _ in range(5)], axis=0)
    if kind == "blob":
        return blob(rng.uniform(9, 12))
    if kind == "large blob":
        return blob(rng.uniform(17, 22))
    start = int(places[:, 2].mean()) + int(rng.integers(-8, 8))
    return (axes[2] >= start) & (axes[2] < start + int(kind[0]))


@dataclass(frozen=True)
class TumorCase:
    """A patient with a tumor, and the same head without it.

    Attributes:
        volume, healthy: one contrast, one grid.
        tumor: (I, J, K) bool.
        truth: (I, J, K) label values of the model brain.
        source_mm: (I, J, K, 3), where each voxel lies in `template`.
        template: the undeformed, healthy head of the same label map, other intensities.
    """

    volume: meddl.Volume
    healthy: meddl.Volume
    tumor: np.ndarray
    truth: np.ndarray
    source_mm: np.ndarray
    template: meddl.Volume


def tumor_cases(data: Path, count: int = 4, channel: int = T1, seed: int = 5) -> Iterator[TumorCase]:
    """Rendered patients of label maps 13 to 16, each map as often as another; stripped, 2 mm."""
    anatomies = patients.Anatomies(data, FIRST, LAST)
    table = anatomies.table
    target = np.zeros((2, int(table.labels.max()) + 1), np.int32)
    target[0, table.labels], target[1, table.labels] = table.targets, table.targets[table.mirrors]
    for number in range(count):
        sick, healthy = (patients.render(anatomies, number % anatomies.count, np.random.default_rng((seed, number)),
                                         tumor=tumor) for tumor in (True, False))
        template = patients.render_undeformed(anatomies, number % anatomies.count, np.random.default_rng((9, number)))
        # Some patients are mirrored: so are then the names of their structures, and the template.
        mirrored = bool((sick.source[0] * patients.points_mm()[0]).sum() < 0)
        side = np.array([-1 if mirrored else 1, 1, 1], np.float32)
        yield TumorCase(*(meddl.Volume.scalar(one.channels[channel], one.affine) for one in (sick, healthy)),
                        sick.labels > 0, target[int(mirrored)][healthy.anatomy],
                        np.moveaxis(sick.source, 0, -1) * side,
                        meddl.Volume.scalar(template.channels[channel][::int(side[0])], template.affine))


def ms_patient(data: Path, names: Sequence[str] = MS_CONTRASTS) -> tuple[dict[str, meddl.Volume], meddl.Volume]:
    """Contrasts of the MS patient, and the lesions that three raters agreed on, at 2 mm."""
    def coarse(volume: meddl.Volume) -> meddl.Volume:
        return resample(volume, centered_grid(volume.grid, patients.SPACING_MM))

    lesions = meddl.load(data / "ms" / "ms07_lesions.nii.gz")
    present = coarse(meddl.Volume((lesions.data > 0).astype(np.float32), lesions.affine))
    return ({name: coarse(meddl.load(data / "ms" / f"ms07_{name}.nii.gz")) for name in names},
            meddl.Volume((present.data > 0.25).astype(np.uint8), present.affine))

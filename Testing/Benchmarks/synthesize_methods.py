"""Ways to another contrast of a head: of an intensity alone, and of labels with known means.

Each is a function of a `Pair`; the truth is used by the best possible mapping of intensities alone, which nobody has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from synthesize_network import unit_image

import meddl
from meddl.contrast_synthesis import synthesize as verb
from meddl.contrast_synthesis.contrasts import TARGETS
from meddl.core.paths import data_folder
from meddl.segmentation.brain.preprocess import prepare
from meddl.spatial.grid import axis_codes
from meddl.spatial.volume import Volume
from meddl.synthesis import HeadGenerator, SynthesisConfig, load_label_maps
from meddl.synthesis.contrasts import means_by_label

BINS = 64
_FINE = SynthesisConfig(
    spacing_mm=1.0, shape=(160, 192, 160), center_jitter_mm=4.0, rotation_degrees=5.0, prior_probability=1.0,
    tissue_sd=(0.02, 0.05), bias_sd=(0.0, 0.2), gamma_sd=0.1, anisotropic_probability=0.0, isotropic_mm=(1.0, 1.0),
    noise_sd=(0.01, 0.03), crop_probability=0.0, dark_background_probability=1.0, clip_probability=0.0,
    mirror_probability=0.0, lesion_probability=0.5)


@dataclass(frozen=True, eq=False)
class Pair:
    """A volume, and what another contrast shows.

    Attributes:
        volume: of the contrast `source`.
        source, contrast: words of `TARGETS`.
        truth: (I, J, K) of the contrast, on the volume's grid.
        mask: (I, J, K) bool, the head.
    """

    name: str
    volume: Volume
    source: str
    contrast: str
    truth: np.ndarray
    mask: np.ndarray


def render(data: Path, number: int, stripped: bool) -> tuple[Volume, dict[str, np.ndarray], np.ndarray]:
    """A T1 head of a label map with voxels of 1 mm, the same in T2 and FLAIR without noise, and where the head is."""
    maps = load_label_maps(data / "labelmaps", number, number)
    config = replace(_FINE, stripped_probability=float(stripped))
    batch = HeadGenerator(maps, config, number, ("T1",), tuple(TARGETS.values())).sample(1)
    volume = Volume.scalar(1000 * batch.images[0, 0].numpy(), np.eye(4))
    return volume, dict(zip(TARGETS, batch.targets[0].numpy(), strict=True)), batch.rows[0].numpy() > 0


def unit_of(volume: Volume) -> np.ndarray:
    """Intensities of a volume, 1 for the bright part of the head."""
    unit = unit_image(prepare(volume, torch.device("cpu"), "MR").image)
    return Volume.scalar(unit.numpy(), volume.reorient("RAS").affine).reorient(axis_codes(volume.affine)).scalar_data


def as_it_is(pair: Pair) -> np.ndarray:
    """The volume itself: a linear mapping of intensities, after the fit."""
    return pair.volume.scalar_data.astype(np.float32)


@cache
def curve(source: str, contrast: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean intensity of a contrast by intensity of another in rendered heads of the maps 1 to 12."""
    maps = load_label_maps(data_folder() / "labelmaps", 1, 12)
    config = replace(_FINE, spacing_mm=2.0, shape=(80, 96, 80), stripped_probability=0.5)
    generator = HeadGenerator(maps, config, 1, (TARGETS[source],), (TARGETS[contrast],))
    values, wanted = [], []
    for _ in range(12):
        batch = generator.sample(1)
        head = batch.rows[:1] > 0
        values.append(unit_image(batch.images[0])[head].numpy())
        wanted.append(batch.targets[0][head].numpy())
    return _means(np.concatenate(values), np.concatenate(wanted))


def _means(values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle of each bin of values, and the mean of what is wanted there."""
    edges = np.quantile(values, np.linspace(0, 1, BINS + 1))
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    count = np.maximum(np.bincount(place, minlength=BINS), 1)
    return (np.bincount(place, values, BINS) / count, np.bincount(place, wanted, BINS) / count)


def intensity_mapping(pair: Pair) -> np.ndarray:
    """The curve of the rendered heads: the source's contrast has to be known."""
    return np.interp(unit_of(pair.volume), *_sorted(*curve(pair.source, pair.contrast)))


def best_intensity_mapping(pair: Pair) -> np.ndarray:
    """The curve of this very pair, which needs the truth: the most that any mapping of intensities can reach."""
    values = pair.volume.scalar_data.astype(np.float64)
    return np.interp(values, *_sorted(*_means(values[pair.mask], pair.truth[pair.mask].astype(np.float64))))


def _sorted(places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(places)
    return places[order], values[order]


@lru_cache(maxsize=2)
def _labels(volume: Volume) -> np.ndarray:
    return meddl.segment(volume, device="cpu").labels


def label_means(pair: Pair) -> np.ndarray:
    """The labels of the model brain, each painted with the mean that its tissue has in the contrast."""
    means = means_by_label(TARGETS[pair.contrast])
    of_label = np.full(1024, means[24])  # within the mask, what has no label is mostly CSF
    of_label[list(means)] = list(means.values())
    of_label[0] = means[24]
    return of_label[_labels(pair.volume)]


def labels_with_detail(pair: Pair) -> np.ndarray:
    """What `meddl.synthesize_contrast` does with the labels of `brain`."""
    found = meddl.Segmentation(_labels(pair.volume), pair.volume.affine, ())
    return verb.paint(pair.volume, found, pair.contrast).scalar_data


METHODS = {"as it is": as_it_is, "intensity mapping": intensity_mapping, "best intensity mapping":
           best_intensity_mapping, "label means": label_means, "label means with detail": labels_with_detail}

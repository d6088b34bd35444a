"""Rendered patients with a glioma, in four MR contrasts, as of the BraTS challenge: a simulator apart from training's.

Anatomy is a label map (of /labelmaps in the data folder), deformed at random. A tumor grows from a point of the white
matter: a necrotic core, an enhancing rim (not in each), edema along the white matter; what lies around it is pushed
away. Each patient has intensities, bias fields, noise, and now and then white matter lesions of its own. The volumes
are stripped and on one grid, labels are those of BraTS: 1 necrotic or not enhancing core, 2 edema, 3 enhancing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

import meddl
from meddl.synthesis import load_label_maps
from meddl.synthesis.contrasts import CONTRASTS, tissue_means

CHANNELS = ("T1", "T1ce", "T2", "FLAIR")
CORE, EDEMA, ENHANCING = 1, 2, 3
REGIONS = {"whole tumor": (CORE, EDEMA, ENHANCING), "tumor core": (CORE, ENHANCING), "enhancing tumor": (ENHANCING,)}
SPACING_MM, SHAPE = 2.0, (76, 96, 76)
WHITE_MATTER, CSF = (2, 41, 7, 46), (4, 5, 14, 15, 24, 43, 44, 72)
_MEANS = {  # of T1, T1ce, T2, FLAIR, on the scale of `contrasts`
    CORE: (0.28, 0.30, 0.80, 0.48), EDEMA: (0.50, 0.50, 0.72, 0.82), ENHANCING: (0.48, 0.98, 0.58, 0.68)}
_LOW_GRADE = 0.2  # fraction without an enhancing part
_MS_LESIONS = 0.4  # fraction with some lesions of white matter that are no tumor
_CORNERS = np.stack(np.meshgrid(*[(-0.25, 0.25)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class Patient:
    """One rendered patient.

    Attributes:
        channels: (4, I, J, K) float32 in RAS, of `CHANNELS`.
        labels: (I, J, K) uint8: 0, `CORE`, `EDEMA` or `ENHANCING`.
        anatomy: (I, J, K) int32, labels of the head's own map as they are where the tumor is not.
        affine: voxels to RAS mm.
        source: (3, I, J, K) float32, where each voxel lies in the head's own map, mm from the middle of its brain.
    """

    channels: np.ndarray
    labels: np.ndarray
    anatomy: np.ndarray
    affine: np.ndarray
    source: np.ndarray


class Anatomies:
    """The label maps `first` to `last` of a data folder."""

    def __init__(self, data: Path, first: int, last: int):
        self._maps = load_label_maps(data / "labelmaps", first, last)
        self.table = self._maps.table
        self.count = len(self._maps.rows)
        means = tissue_means(self.table)
        self.means = np.stack([means[CONTRASTS.index(name)] for name in ("T1", "T1", "T2", "FLAIR")])

    def sample(self, number: int, coordinates: np.ndarray) -> np.ndarray:
        """Rows of the label table at voxels (3, ...) about the middle of a map's brain."""
        rows = self._maps.rows[number].numpy()
        center = self._maps.centers[number].numpy().reshape(3, *[1] * (coordinates.ndim - 1))
        index = np.rint(coordinates + center).astype(int)
        inside = np.all([(along >= 0) & (along < size) for along, size in zip(index, rows.shape, strict=True)], axis=0)
        return np.where(inside, rows[tuple(along.clip(0, size - 1) for along, size in
                                           zip(index, rows.shape, strict=True))], 0)


def render(anatomies: Anatomies, number: int, rng: np.random.Generator, *, tumor: bool = True,
           stripped: bool = True) -> Patient:
    """A patient with the anatomy of one label map.

    Args:
        tumor: False: the same head with the same intensities, deformed alike, in which the tumor is healthy tissue.
        stripped: False: the whole head.
    """
    points = points_mm()
    source = _deformed(points, rng)
    table = anatomies.table
    values = table.labels[anatomies.sample(number, source)]
    center, radius = _seed(values, points, rng)
    away = points - center.reshape(3, 1, 1, 1)
    distance = np.sqrt((away ** 2).sum(axis=0))
    # What was nearer to the seed is now farther: the tumor takes its place.
    pushed = rng.uniform(0.2, 0.55) * np.exp(-((distance / (1.6 * radius)) ** 2))
    source -= away * pushed
    probes = [anatomies.sample(number, source + SPACING_MM * corner.reshape(3, 1, 1, 1)) for corner in _CORNERS]
    rows = anatomies.sample(number, source)
    anatomy = table.labels[rows]
    inside = table.targets[rows] > 0
    labels = _tumor(anatomy, inside, distance, radius, rng) * tumor
    return _patient(anatomies, source, (probes, anatomy, labels, inside | (not stripped)), rng)


def render_undeformed(anatomies: Anatomies, number: int, rng: np.random.Generator) -> Patient:
    """The head of a label map as it is, stripped and healthy: `Patient.source` of others leads to its points."""
    points = points_mm()
    probes = [anatomies.sample(number, points + SPACING_MM * corner.reshape(3, 1, 1, 1)) for corner in _CORNERS]
    rows = anatomies.sample(number, points)
    anatomy = anatomies.table.labels[rows]
    return _patient(anatomies, points, (probes, anatomy, np.zeros(SHAPE, np.uint8), anatomies.table.targets[rows] > 0),
                    rng)


def points_mm() -> np.ndarray:
    """The voxels of a patient, (3, I, J, K) in RAS mm."""
    return (np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")).astype(np.float32)
            - (np.array(SHAPE, np.float32).reshape(3, 1, 1, 1) - 1) / 2) * SPACING_MM


def _patient(anatomies: Anatomies, source: np.ndarray, parts: tuple, rng: np.random.Generator) -> Patient:
    """A patient of probes, anatomy, labels of the tumor, and what is shown."""
    probes, anatomy, labels, shown = parts
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = points_mm()[:, 0, 0, 0]
    return Patient(_channels(anatomies, probes, anatomy, labels, shown, rng), labels, anatomy.astype(np.int32), affine,
                   source)


def _noise(shape: tuple[int, ...], size_mm: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random field of standard deviation 1."""
    field = ndimage.gaussian_filter(rng.normal(size=shape), size_mm / SPACING_MM, mode="wrap")
    return (field / field.std()).astype(np.float32)


def _deformed(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where the points lie in the map, in its voxels of 1 mm: an affine and a smooth displacement."""
    angles = rng.normal(size=3) * 0.09
    x, y, z = (np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) for a in angles)
    turn = x @ np.roll(y, 1, axis=(0, 1)) @ np.roll(z, 2, axis=(0, 1)) @ np.diag(rng.uniform(0.9, 1.1, size=3))
    if rng.random() < 0.5:
        turn = turn @ np.diag([-1, 1, 1])
    moved = np.einsum("ab,bijk->aijk", turn, points)
    return (moved + np.stack([2.0 * _noise(points.shape[1:], 18, rng) for _ in range(3)])).astype(np.float32)


def _seed(values: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Center (3,) of a tumor in the cerebrum's white matter, and the radius of its core, mm."""
    depth = ndimage.distance_transform_edt(np.isin(values, WHITE_MATTER[:2])) * SPACING_MM
    places = np.argwhere(depth >= 4)
    place = places[rng.integers(len(places))]
    return points[(slice(None), *place)].astype(np.float64), float(rng.uniform(7, 19))


def _tumor(anatomy: np.ndarray, inside: np.ndarray, distance: np.ndarray, radius: float, rng: np.random.Generator
           ) -> np.ndarray:
    """Labels of core, edema and enhancing tumor."""
    tissue = inside & ~np.isin(anatomy, CSF)
    shape = anatomy.shape
    far = distance / radius + 0.16 * _noise(shape, 7, rng)
    core = tissue & (far < 1)
    necrosis = far + 0.12 * _noise(shape, 5, rng) < rng.uniform(0.45, 0.85)
    spread = rng.uniform(1.25, 2.4) * np.where(np.isin(anatomy, WHITE_MATTER), 1.0, 0.55)
    edema = tissue & (distance / radius + 0.25 * _noise(shape, 9, rng) < spread) & ~core
    labels = np.where(edema, EDEMA, 0)
    labels[core] = CORE if rng.random() < _LOW_GRADE else ENHANCING
    labels[core & necrosis] = CORE
    return labels.astype(np.uint8)


def _channels(anatomies: Anatomies, probes: list[np.ndarray], anatomy: np.ndarray, labels: np.ndarray,
              inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Intensities of the four contrasts, in scanner units."""
    tissues, shape = anatomies.table.tissues, labels.shape
    lesions = np.zeros(shape, bool)
    if rng.random() < _MS_LESIONS:
        lesions = np.isin(anatomy, WHITE_MATTER[:2]) & (_noise(shape, 3, rng) > rng.uniform(2.2, 2.8)) & (labels == 0)
    # Voxels of 2 mm mix what is in them: labels are softened by half a voxel.
    weight = {value: ndimage.gaussian_filter((labels == value).astype(np.float32), 0.5) for value in _MEANS}
    healthy = 1 - sum(weight.values())
    channels = []
    for number in range(len(CHANNELS)):
        means = anatomies.means[number] * rng.normal(1, 0.06, size=anatomies.means.shape[1])
        image = np.mean([means[tissues[rows]] for rows in probes], axis=0)
        image = np.where(lesions, _MEANS[EDEMA][number] * rng.uniform(0.85, 1.1), image) * healthy
        texture = 1 + 0.10 * _noise(shape, 4, rng)
        for value, part in weight.items():
            image += part * _MEANS[value][number] * rng.uniform(0.85, 1.15) * texture
        image *= np.exp(0.15 * _noise(shape, 45, rng))
        sd = rng.uniform(0.015, 0.05)
        image = np.hypot(image + sd * rng.normal(size=shape), sd * rng.normal(size=shape))  # Rician
        channels.append(image * inside * rng.uniform(300, 1500))
    return np.stack(channels).astype(np.float32)


def patients(data: Path, first: int, last: int, count: int, seed: int) -> Iterator[Patient]:
    """`count` patients of the label maps `first` to `last`, each map as often as another."""
    anatomies = Anatomies(data, first, last)
    for number in range(count):
        yield render(anatomies, number % anatomies.count, np.random.default_rng((seed, number)))


def write_dataset(data: Path, folder: Path, train: int, test: int, channels: Sequence[str] = CHANNELS) -> None:
    """A raw data set of nnU-Net: patients of maps 1 to 12 in imagesTr, of maps 13 to 16 in imagesTs, labels beside."""
    chosen = [CHANNELS.index(name) for name in channels]
    for part, first, last, count in (("Tr", 1, 12, train), ("Ts", 13, 16, test)):
        images, labels = (folder / f"{name}{part}" for name in ("images", "labels"))
        for place in (images, labels):
            place.mkdir(parents=True, exist_ok=True)
        for number, patient in enumerate(patients(data, first, last, count, first)):
            name = f"{part}{number:03d}"
            for channel, kept in enumerate(chosen):
                meddl.save(meddl.Volume.scalar(patient.channels[kept], patient.affine),
                           images / f"{name}_{channel:04d}.nii.gz")
            meddl.save(meddl.Volume.scalar(patient.labels, patient.affine), labels / f"{name}.nii.gz")
    regions = {"background": 0, **{name: list(values) for name, values in REGIONS.items()}}
    (folder / "dataset.json").write_text(json.dumps({
        "channel_names": dict(enumerate(channels)), "labels": regions, "regions_class_order": [EDEMA, CORE, ENHANCING],
        "numTraining": train, "file_ending": ".nii.gz"}, indent=1) + "\n", encoding="utf-8")

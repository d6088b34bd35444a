"""Pairs of volumes with known answers, for the benchmark of registration and for tuning it on other seeds.

    a/SEED/MM       a T1-weighted brain (vm) and itself under an affine map and a smooth diffeomorphism of at most 9 mm,
                    with bias, gamma and noise, at MM millimeters
    b/SEED/MM       the same map, the moving image painted with random intensities per label (another modality)
    c/FIXED-MOVING/MM   two different brains of ecog, vm, fsaverage: labels, no known map
    d/PATIENT-ct-mr/SEED, d/PATIENT-ct-pet/SEED    sarcoma, a known rigid map (sts02 to sts04; the headers of sts01's CT
                    and MR disagree)
    e/t1-PD/SEED, e/t1-MRA/SEED, e/PD-MRA/SEED     one head in two contrasts, a known rigid map
    f/FIXED-MOVING  chest and oblique: the same voxels under a header that is turned by 20 degrees
    g/SEED          the brain under a rotation of up to 180 degrees and a shift of up to 100 mm along each axis

`case(name)` makes one. Everything follows from the seed. Maps go from fixed to moving points, RAS mm, as in
meddl.Registration. In d and e the known map stands in the moving volume's header and its voxels are untouched. Their
headers agree only roughly: SimpleITK's search for mutual information from the headers' own alignment ended 12.6 mm and
8.8 degrees away between chris' T1 and PD, and 2.5 to 9 mm away in the sarcomas. So the known map is to be recovered
beside what the same engine answers for the pair as it is (`unmoved`, `relative_to`). The simulator uses numpy and scipy
alone, none of meddl's registration.

Labels stay at 1 mm whatever the images' spacing, so that their own sampling blurs the Dice as little as may be. They
are to be compared on the fixed labels' grid.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from register_maps import SmoothMap, box_grid, grid_reach, rigid, sampled, smooth_map, transformed
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "MedDLLib"))

from meddl.core.paths import data_folder
from meddl.io import load
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

BRAINS = ("ecog", "vm", "fsaverage")
# The structures of FreeSurfer's aseg whose Dice is averaged: those that all three brains have.
STRUCTURES = (2, 3, 4, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 26, 28,
              41, 42, 43, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60)
PATIENTS = ("sts02", "sts03", "sts04")
CONTRASTS = (("t1", "PD"), ("t1", "MRA"), ("PD", "MRA"))
STARTS = 40

# The same structure on the left and on the right.
_SIDES = tuple(zip((2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 17, 18, 26, 28, 30, 31),
                   (41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60, 62, 63)))
_MARGIN_MM = 5.0  # air around a brain
_POINTS = 2000


@dataclass(frozen=True, eq=False)
class Case:
    """One pair.

    Attributes:
        name: as in the module's list.
        transform: what to look for, "rigid" or "deformable" (which includes an affine map).
        modalities: "same" or "different".
        fixed, moving: the volumes.
        truth: points (N, 3) of the fixed volume to points of the moving one, RAS mm; None where nobody knows.
        matrix: the truth as a 4x4 matrix where it is rigid.
        points: (N, 3) fixed points in the object, RAS mm, at which the error is measured.
        fixed_labels, moving_labels: volumes on grids of their own; None where there are none.
        structures: the label values whose Dice is averaged.
        fixed_mask, moving_mask: nonzero inside the object, on the volumes' grids; None where not known.
        limits: the errors in mm and degrees within which a rigid map counts as recovered, or None.
        unmoved: the moving volume before a known map went into its header, where the headers' own alignment is not
            the truth; None elsewhere.
        headers_mm: how far the headers of such a pair may be from the truth: an answer farther off is wrong. The
            angiogram's headers lay the circle of Willis into the frontal lobes, about 40 mm off, as anyone can see.
    """

    name: str
    transform: str
    modalities: str
    fixed: Volume
    moving: Volume
    points: np.ndarray
    truth: Callable[[np.ndarray], np.ndarray] | None = None
    matrix: np.ndarray | None = None
    fixed_labels: Volume | None = None
    moving_labels: Volume | None = None
    structures: tuple[int, ...] = ()
    fixed_mask: Volume | None = None
    moving_mask: Volume | None = None
    limits: tuple[float, float] | None = None
    unmoved: Volume | None = None
    headers_mm: float = 15.0

    def relative_to(self, answer: Callable[[np.ndarray], np.ndarray]) -> Case:
        """The pair whose truth is `answer`, an engine's map for the unmoved pair, followed by the known map."""
        return replace(self, truth=lambda points: transformed(answer(points), self.matrix), unmoved=None)


def _all_points(grid: Grid) -> np.ndarray:
    return grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3))


def _read(*parts: str) -> Volume:
    folder = data_folder()
    if folder is None:
        raise FileNotFoundError("no real volumes: set MEDDL_DATA to the folder that holds them")
    return load(folder.joinpath(*parts))


@lru_cache(maxsize=3)
def brain(name: str) -> tuple[Volume, Volume]:
    """`(image, labels)` of a stripped brain, float32 scaled to about 0..100 and uint16, at 1 mm along R, A, S, cropped
    to 5 mm around it."""
    image = _read("brain", f"{name}_t1_stripped.nii.gz").reorient("RAS")
    labels = _read("brain", f"{name}_aseg.nii.gz").reorient("RAS")
    data = image.scalar_data.astype(np.float32)
    data *= 100 / np.percentile(data[data > 0], 99)
    where = np.nonzero(data > 0)
    low = np.maximum([axis.min() - int(_MARGIN_MM) for axis in where], 0)
    high = np.minimum([axis.max() + 1 + int(_MARGIN_MM) for axis in where], data.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high))
    # 5 mm of air on every side, also where the file has less
    short = [(int(_MARGIN_MM) - (axis.min() - a), int(_MARGIN_MM) - (b - 1 - axis.max()))
             for axis, a, b in zip(where, low, high)]
    affine = np.array(image.affine)
    affine[:3, 3] = image.grid.points_mm(low - [before for before, _ in short])
    return (Volume.scalar(np.pad(data[box], short), affine),
            Volume.scalar(np.pad(labels.scalar_data[box], short).astype(np.uint16), affine))


def at_spacing(volume: Volume, spacing_mm: float) -> Volume:
    """An image of 1 mm voxels at a coarser spacing over the same field of view, smoothed first."""
    fine = volume.spacing_mm
    if np.allclose(fine, spacing_mm):
        return volume
    reach = grid_reach(volume.grid)
    grid = box_grid(volume.grid.center_mm - reach, volume.grid.center_mm + reach, spacing_mm)
    sigma = 0.42 * np.sqrt(np.maximum(spacing_mm**2 - fine**2, 0)) / fine
    smooth = ndimage.gaussian_filter(volume.scalar_data.astype(np.float32), sigma)
    data = sampled(smooth[None], volume.grid.indices(_all_points(grid)), order=1)
    return Volume.scalar(data.reshape(grid.shape), grid.affine)


def _moved(volumes, known, orders, grid: Grid) -> list[np.ndarray]:
    """The arrays that show `volumes` on `grid` after their points went through `known`, by splines of these orders."""
    origins = known.inverse(_all_points(grid))
    return [sampled(volume.data, volume.grid.indices(origins), order=order)[0].reshape(grid.shape)
            for volume, order in zip(volumes, orders)]


def _moved_grid(volume: Volume, known) -> Grid:
    """A grid of 1 mm along R, A, S, 5 mm larger than where the object of `volume` goes."""
    inside = np.argwhere(ndimage.binary_dilation(volume.scalar_data > 0, iterations=1))[::7]
    points = known(volume.grid.points_mm(inside))
    return box_grid(points.min(axis=0) - _MARGIN_MM, points.max(axis=0) + _MARGIN_MM, 1.0)


def spoiled(rng: np.random.Generator, image: np.ndarray, spacing_mm: float) -> np.ndarray:
    """An image of about 0..100 with another gamma, a smooth bias of about +-20 % and noise of 2 %, never negative."""
    gamma = np.exp(rng.uniform(-0.3, 0.3))
    bias = ndimage.gaussian_filter(rng.normal(size=[n // 4 + 1 for n in image.shape]), 40 / (4 * spacing_mm))
    bias = ndimage.zoom(bias, np.array(image.shape) / bias.shape, order=1, grid_mode=True, mode="nearest")
    bias = np.exp(0.2 * (bias - bias.mean()) / bias.std())
    image = 100 * np.clip(image / 100, 0, None) ** gamma * bias
    return np.abs(image + rng.normal(0, 2, image.shape)).astype(np.float32)


def painted(rng: np.random.Generator, labels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Another modality: each structure (the same on both sides) and the rest of the brain get a random mean intensity,
    10 to 100, slightly blurred as by a scanner."""
    values = rng.uniform(10, 100, 256).astype(np.float32)
    for left, right in _SIDES:
        values[right] = values[left]
    return ndimage.gaussian_filter(np.where(inside | (labels > 0), values[labels], 0), 0.5)


def warped_brain(seed: int = 0, spacing_mm: float = 2.0, other_modality: bool = False) -> Case:
    """Pairs a and b: vm and itself under a smooth map. The fixed image is the brain as it is."""
    rng = np.random.default_rng([seed, 1])
    image, labels = brain("vm")
    known = smooth_map(rng, image.grid)
    grid = _moved_grid(image, known)
    moved, moved_labels = _moved((image, labels), known, (3, 0), grid)
    moved = np.clip(moved, 0, None)
    inside = moved > 1
    if other_modality:
        moved = painted(rng, moved_labels, inside)
    moving = at_spacing(Volume.scalar(moved.astype(np.float32), grid.affine), spacing_mm)
    moving = Volume.scalar(spoiled(rng, moving.scalar_data, spacing_mm), moving.affine)
    fixed = at_spacing(image, spacing_mm)
    return Case(
        name=f"{'b' if other_modality else 'a'}/{seed}/{spacing_mm:g}", transform="deformable",
        modalities="different" if other_modality else "same", fixed=fixed, moving=moving, truth=known,
        points=_chosen_points(rng, labels.grid, labels.scalar_data > 0),
        fixed_labels=labels, moving_labels=Volume.scalar(moved_labels, grid.affine), structures=STRUCTURES,
        fixed_mask=_mask(image, fixed.grid, 1), moving_mask=_mask(Volume.scalar(inside, grid.affine), moving.grid, 0))


def two_brains(fixed: str, moving: str, spacing_mm: float = 2.0) -> Case:
    """Pairs c: the brains of two persons, or of one and an average."""
    (fixed_image, fixed_labels), (moving_image, moving_labels) = brain(fixed), brain(moving)
    coarse = at_spacing(fixed_image, spacing_mm), at_spacing(moving_image, spacing_mm)
    return Case(
        name=f"c/{fixed}-{moving}/{spacing_mm:g}", transform="deformable", modalities="same",
        fixed=coarse[0], moving=coarse[1], fixed_labels=fixed_labels, moving_labels=moving_labels,
        structures=STRUCTURES, points=_chosen_points(np.random.default_rng(0), fixed_labels.grid,
                                                     fixed_labels.scalar_data > 0),
        fixed_mask=_mask(fixed_image, coarse[0].grid, 0), moving_mask=_mask(moving_image, coarse[1].grid, 0))


def turned(name: str, fixed: Volume, moving: Volume, rng: np.random.Generator, limits: tuple[float, float],
           threshold: float, degrees: float = 15.0, shift_mm: float = 20.0) -> Case:
    """A pair that its headers align roughly, with a known rigid map put into the moving volume's header. The points are
    where the fixed volume is brighter than `threshold` and the moving one has voxels."""
    known = rigid(rng, degrees, shift_mm, moving.grid.center_mm)
    indices = moving.grid.indices(_all_points(fixed.grid)).reshape(*fixed.shape, 3)
    seen = ((indices >= 0) & (indices <= np.array(moving.shape) - 1)).all(axis=-1)
    points = _chosen_points(rng, fixed.grid, (fixed.scalar_data > threshold) & seen)
    return Case(name=name, transform="rigid", modalities="different", fixed=fixed,
                moving=Volume(moving.data, known @ moving.affine), points=points,
                truth=lambda places: transformed(places, known), matrix=known, limits=limits, unmoved=moving)


def sarcoma(patient: str = "sts02", modality: str = "mr", seed: int = 0) -> Case:
    """Pairs d: CT is fixed, MR or PET ("mr", "pet") moves."""
    rng = np.random.default_rng([seed, 2, PATIENTS.index(patient), modality == "pet"])
    limits = (2.0, 2.0) if modality == "pet" else (1.0, 1.0)
    return turned(f"d/{patient}-ct-{modality}/{seed}", _read("sarcoma", f"{patient}_ct.nii.gz"),
                  _read("sarcoma", f"{patient}_{modality}.nii.gz"), rng, limits, threshold=-200)


def one_head(fixed: str = "t1", moving: str = "PD", seed: int = 0) -> Case:
    """Pairs e: two contrasts of chris, "t1", "PD" or "MRA"."""
    rng = np.random.default_rng([seed, 3, CONTRASTS.index((fixed, moving))])
    first = _read("brain", f"chris_{fixed}.nii.gz")
    pair = turned(f"e/{fixed}-{moving}/{seed}", first, _read("brain", f"chris_{moving}.nii.gz"), rng, (1.0, 1.0),
                  threshold=0.15 * float(np.percentile(first.scalar_data, 99)))
    return replace(pair, headers_mm=50.0) if moving == "MRA" else pair


def chest(fixed: str = "chest") -> Case:
    """Pairs f: the chest CT ("chest") and the same voxels under a turned header ("oblique"), either one fixed."""
    names = ("chest_ct", "chest_ct_oblique")
    order = names if fixed == "chest" else names[::-1]
    first, second = (_read("body", f"{name}.nrrd") for name in order)
    lungs = [_read("body", f"{name}_lungs.nrrd") for name in order]
    lungs = [Volume((volume.data > 0).astype(np.uint8), volume.affine) for volume in lungs]
    known = second.affine @ np.linalg.inv(first.affine)
    points = _chosen_points(np.random.default_rng(0), first.grid, first.scalar_data > -500)
    return Case(name=f"f/{fixed}-{'oblique' if fixed == 'chest' else 'chest'}", transform="rigid", modalities="same",
                fixed=first, moving=second, points=points, truth=lambda places: transformed(places, known),
                matrix=known, fixed_labels=lungs[0], moving_labels=lungs[1], structures=(1,), limits=(1.0, 1.0))


def random_start(seed: int = 0) -> Case:
    """Pairs g: vm at 2 mm, and itself resampled, spoiled and turned and shifted by any amount."""
    rng = np.random.default_rng([seed, 4])
    image, labels = brain("vm")
    moving, moved = _spoiled_brain()
    known = rigid(rng, 180.0, 100.0, moving.grid.center_mm)
    matrix = known @ moved
    return Case(name=f"g/{seed}", transform="rigid", modalities="same", fixed=at_spacing(image, 2.0),
                moving=Volume(moving.data, known @ moving.affine), matrix=matrix,
                truth=lambda places: transformed(places, matrix), limits=(1.0, 1.0),
                points=_chosen_points(rng, labels.grid, labels.scalar_data > 0))


@lru_cache(maxsize=1)
def _spoiled_brain() -> tuple[Volume, np.ndarray]:
    """vm at 2 mm on a grid that does not fall on its own, with bias, gamma and noise, and the map that led there."""
    rng = np.random.default_rng(4)
    image, _ = brain("vm")
    matrix = rigid(rng, 20.0, 5.0, image.grid.center_mm)
    known = SmoothMap(matrix, image.grid, *np.zeros((2, 3, *image.shape), dtype=np.int8))
    grid = _moved_grid(image, known)
    data = np.clip(_moved((image,), known, (3,), grid)[0], 0, None).astype(np.float32)
    moving = at_spacing(Volume.scalar(data, grid.affine), 2.0)
    return Volume.scalar(spoiled(rng, moving.scalar_data, 2.0), moving.affine), matrix


def _chosen_points(rng: np.random.Generator, grid: Grid, inside: np.ndarray) -> np.ndarray:
    """At most 2000 random places in the voxels `inside`, (N, 3) RAS mm."""
    voxels = np.argwhere(inside)
    chosen = rng.choice(len(voxels), min(_POINTS, len(voxels)), replace=False)
    return grid.points_mm(voxels[chosen] + rng.uniform(-0.5, 0.5, (len(chosen), 3)))


def _mask(image: Volume, grid: Grid, threshold: float) -> Volume:
    """1 where the object is, its holes filled, on `grid`, uint8."""
    inside = ndimage.binary_fill_holes(image.scalar_data > threshold)
    data = sampled(inside[None].astype(np.uint8), image.grid.indices(_all_points(grid)), order=0)
    return Volume.scalar(data.reshape(grid.shape), grid.affine)


def names(kinds: str = "abcdefg", seeds=(0, 1, 2), spacings_mm=(2.0,), both_ways: bool = False) -> list[str]:
    """The names of all pairs of some kinds. a and b come at each seed and spacing, c at each spacing; d and e with the
    first seed; c and f in one direction, unless `both_ways`; g always with its own forty."""
    found = []
    for kind in kinds:
        if kind in "ab":
            found += [f"{kind}/{seed}/{spacing:g}" for spacing in spacings_mm for seed in seeds]
        elif kind == "c":
            pairs = list(zip(BRAINS, BRAINS[1:] + BRAINS[:1]))
            pairs += [pair[::-1] for pair in pairs] if both_ways else []
            found += [f"c/{a}-{b}/{spacing:g}" for spacing in spacings_mm for a, b in pairs]
        elif kind == "d":
            found += [f"d/{who}-ct-{kind_of}/{seeds[0]}" for kind_of in ("mr", "pet") for who in PATIENTS]
        elif kind == "e":
            found += [f"e/{a}-{b}/{seeds[0]}" for a, b in CONTRASTS]
        elif kind == "f":
            found += ["f/chest-oblique", "f/oblique-chest"] if both_ways else ["f/chest-oblique"]
        elif kind == "g":
            found += [f"g/{seed}" for seed in range(STARTS)]
        else:
            raise ValueError(f"kinds of pairs are a to g; got '{kind}'")
    return found


def case(name: str) -> Case:
    """The pair of that name."""
    kind, *parts = name.split("/")
    if kind in ("a", "b"):
        return warped_brain(int(parts[0]), float(parts[1]), kind == "b")
    if kind == "c":
        return two_brains(*parts[0].split("-"), float(parts[1]))
    if kind == "d":
        patient, _, modality = parts[0].split("-")
        return sarcoma(patient, modality, int(parts[1]))
    if kind == "e":
        return one_head(*parts[0].split("-"), int(parts[1]))
    if kind == "f":
        return chest(parts[0].split("-")[0])
    if kind == "g":
        return random_start(int(parts[0]))
    raise ValueError(f"no pair is named '{name}'; see the module's docstring")

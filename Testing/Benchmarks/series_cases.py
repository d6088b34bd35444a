"""Rendered series with known truth: heads as label maps that move, take up contrast, pulsate; a simulator of its own.

It shares no code with the one that the network is trained with: label maps are moved by nearest neighbor at 1 mm, each
tissue gets its intensity of that frame, and blocks of 2 x 2 x 2 mm are averaged, so that no frame is blurred by
interpolation.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

import meddl

HELD_OUT = (13, 14, 15, 16)
FRAMES = 20
_HALF = np.array([80, 96, 24])  # mm, of the block about the middle of the head
_VOXEL_MM = 2
# Intensity of tissues by label, T2*-like and T1-like; what is not named is soft tissue.
GRAY, WHITE, DEEP = (3, 42, 8, 47), (2, 41, 7, 46), (10, 49, 11, 50, 12, 51, 13, 52)
_FLUID = (4, 43, 14, 15, 24, 5, 44)
NAMES = ("air", "bone", "fat", "rest", "fluid", "gray", "white", "deep", "lesion")
_LOOKS = {
    "T2*": {"gray": 0.62, "white": 0.48, "fluid": 0.95, "deep": 0.52, "rest": 0.35, "bone": 0.08, "fat": 0.25},
    "T1": {"gray": 0.45, "white": 0.68, "fluid": 0.18, "deep": 0.55, "rest": 0.40, "bone": 0.08, "fat": 0.85}}


@dataclass(frozen=True)
class Case:
    """A series and its truth.

    Attributes:
        name: what happens in it.
        noisy, truth: (T, I, J, K) float32; of a magnitude the truth is the signal.
        sigma: of the noise.
        regions: masks (I, J, K) by name, in which mean curves are compared.
        moved: frames just after a sudden motion.
        labels: (T, I, J, K), the tissue class of each voxel, at its first millimeter.
    """

    name: str
    noisy: np.ndarray
    truth: np.ndarray
    sigma: float
    regions: dict[str, np.ndarray]
    moved: tuple[int, ...]
    labels: np.ndarray


KINDS = ("static", "bolus", "uptake", "activation", "jerks", "drift", "pulsation")


def make_case(kind: str, data: Path, head: int = HELD_OUT[0], sigma: float = 0.05, magnitude: bool = False,
              seed: int = 0) -> Case:
    """A series of one kind of `KINDS`: of a head that is still, takes up contrast, or moves."""
    rng = np.random.default_rng(seed)
    fine = _classes(data, head)
    time = np.arange(FRAMES)
    look = _LOOKS["T1" if kind in ("uptake", "pulsation") else "T2*"]
    poses, zoom = [np.zeros(6)] * FRAMES, np.zeros(FRAMES)
    changes: dict[str, np.ndarray] = {}
    lesion = _ball(fine.shape, np.array(fine.shape) * (0.62, 0.55, 0.5), 9)
    moved: tuple[int, ...] = ()
    if kind == "bolus":  # a drop of the signal, as of dynamic susceptibility contrast
        changes = {"gray": -0.45 * _gamma(time, 5, 2.5), "white": -0.22 * _gamma(time, 6, 3.0),
                   "deep": -0.35 * _gamma(time, 5.5, 2.5)}
    elif kind == "uptake":
        changes = {"lesion": 0.9 * (1 - np.exp(-np.maximum(time - 4, 0) / 5)),
                   "fat": 0.15 * (1 - np.exp(-np.maximum(time - 4, 0) / 3))}
    elif kind == "activation":
        changes = {"lesion": 0.04 * (time // 5 % 2)}
    elif kind == "jerks":
        moved = (6, 13)
        poses = [_jerk(t) for t in range(FRAMES)]
    elif kind == "drift":
        poses = [np.array([0.12, -0.08, 0.05, 0.10, 0.05, -0.08]) * t for t in range(FRAMES)]
    elif kind == "pulsation":
        zoom = 0.25 * np.sin(2 * np.pi * time / 8)
    levels = np.array([0.02, *(look[name] for name in NAMES[1:-1]), look["white"]], np.float32)
    bias = np.exp(0.2 * gaussian_filter(rng.normal(0, 1, np.array(fine.shape) // _VOXEL_MM), 14) * 60)
    truth, labels = [], []
    for t in range(FRAMES):
        with_lesion = np.where(lesion & (fine > 0), NAMES.index("lesion"), fine)
        shown = _move(with_lesion, poses[t], zoom[t])
        now = levels.copy()
        for name, curve in changes.items():
            now[NAMES.index(name)] *= 1 + curve[t]
        truth.append(_average(now[shown]) * bias)
        labels.append(shown[::_VOXEL_MM, ::_VOXEL_MM, ::_VOXEL_MM])
    clean = np.stack(truth).astype(np.float32)
    noise = rng.normal(0, sigma, (2, *clean.shape)).astype(np.float32)
    noisy = np.hypot(clean + noise[0], noise[1]) if magnitude else clean + noise[0]
    still = np.stack([np.all(np.stack(labels) == number, axis=0) for number in range(len(NAMES))])
    regions = {name: still[number] for number, name in enumerate(NAMES)
               if name in ("gray", "white", "deep", "lesion") and still[number].sum() > 30}
    return Case(kind, noisy.astype(np.float32), clean, sigma, regions, moved, np.stack(labels))


def _classes(data: Path, head: int) -> np.ndarray:
    """Tissue classes of a block about the middle of a head, 1 mm, uint8."""
    labels = meddl.load(data / "labelmaps" / "heads" / f"head_{head:02d}.nii.gz").reorient("RAS").scalar_data
    brain = np.argwhere(np.isin(labels, WHITE))
    middle = (brain.min(axis=0) + brain.max(axis=0)) // 2
    block = labels[tuple(slice(max(0, m - h), m + h) for m, h in zip(middle, _HALF, strict=True))]
    block = np.pad(block, [(0, 2 * h - n) for n, h in zip(block.shape, _HALF, strict=True)])
    classes = np.where(block > 0, NAMES.index("rest"), 0)
    for name, values in (("gray", GRAY), ("white", WHITE), ("fluid", _FLUID), ("deep", DEEP), ("bone", (515,)),
                         ("fat", (511, 516))):
        classes[np.isin(block, values)] = NAMES.index(name)
    return classes.astype(np.uint8)


def _jerk(t: int) -> np.ndarray:
    """Translation in mm and rotation in degrees of a head that moves suddenly twice."""
    pose = np.zeros(6)
    if t >= 6:
        pose += (2.5, -1.5, 1.0, 2.0, -1.5, 3.0)
    if t >= 13:
        pose += (-3.5, 2.0, -0.5, -1.0, 2.5, -4.0)
    return pose


def _move(classes: np.ndarray, pose: np.ndarray, zoom: float) -> np.ndarray:
    """Labels moved rigidly about the middle, and a ball near it that grows or shrinks by a fraction."""
    if not pose.any() and not zoom:
        return classes
    middle = (np.array(classes.shape) - 1) / 2
    if zoom:
        middle = middle[:, None, None, None]
        points = np.stack(np.meshgrid(*(np.arange(n) for n in classes.shape), indexing="ij")) - middle
        weight = np.exp(-(np.square(points).sum(axis=0) / 22**2) ** 2)
        source = np.rint(points * (1 - zoom * weight) + middle).astype(int)
        return classes[tuple(part.clip(0, n - 1) for part, n in zip(source, classes.shape, strict=True))]
    turn = Rotation.from_euler("xyz", pose[3:], degrees=True).as_matrix()
    return affine_transform(classes, turn, middle - turn @ middle - pose[:3], order=0)


def _average(fine: np.ndarray) -> np.ndarray:
    """Means of blocks of voxels."""
    i, j, k = (n // _VOXEL_MM for n in fine.shape)
    return fine.reshape(i, _VOXEL_MM, j, _VOXEL_MM, k, _VOXEL_MM).mean(axis=(1, 3, 5))


def _gamma(time: np.ndarray, start: float, peak: float) -> np.ndarray:
    """A gamma variate that is 1 at its highest, `peak` frames after its start."""
    after = np.maximum(time - start, 0) / peak
    return (after * np.exp(1 - after)) ** 2


def _ball(shape, center, radius: float) -> np.ndarray:
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum((axis - c) ** 2 for axis, c in zip(grid, center, strict=True)) < radius**2

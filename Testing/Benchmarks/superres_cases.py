"""What bench_superres.py measures on: real volumes made coarse by a simulator of its own, lesions, and a phantom.

The simulator shares nothing with the acquisition model that networks are trained with: it fits a cubic spline
(scipy.interpolate) through the truth along the axis, integrates it over each slice's profile by quadrature, and adds
Gaussian noise in floating point after sampling.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from meddl.core.paths import data_folder
from meddl.io import load
from meddl.spatial.grid import centered_grid
from meddl.spatial.volume import Volume

# file, the axis that becomes thick, and its direction in the head
TRUTHS = {"chris_t1": ("brain/chris_t1.nii.gz", 2), "ecog_t1": ("brain/ecog_t1.nii.gz", 1),
          "aorta_cta": ("body/aorta_cta.nii.gz", 2), "vm": ("brain/vm_t1_stripped.nii.gz", 0)}
FACTORS = (2.0, 3.0, 3.7, 4.0)
PROFILES = ("gaussian", "rect", "gaussian -30 %", "gaussian +30 %")  # the methods are told "gaussian" but for rect
NOISE = 0.01  # of the truth's range
LESION_MARGIN = 10  # voxels between a lesion's center and the border: what surrounds it is looked at too
_FWHM = 2 * np.sqrt(2 * np.log(2))


@dataclass(frozen=True, eq=False)
class Case:
    """A coarse volume and the truth.

    Attributes:
        name: truth, factor and profile.
        given: the coarse volume, its field of view centered on the truth's.
        truth: the same anatomy; both in one world space.
        factor: how many times the voxels are to become smaller.
        axes: along which they are.
        profile: what the methods are told.
        lesions: (N, 5): center i, j, k in voxels of the truth, radius in voxels, contrast; or None.
        plain: the truth without lesions, or None.
    """

    name: str
    given: Volume
    truth: Volume
    factor: float
    axes: tuple[int, ...]
    profile: str
    lesions: np.ndarray | None = None
    plain: np.ndarray | None = None


def through_plane(truth_name: str, factor: float, profile: str, voxels: int) -> Case:
    """A real volume with thick slices."""
    truth, axis = _truth(truth_name, voxels)
    return _case(f"{truth_name}/x{factor:g}/{profile}", truth, (axis,), factor, profile)


def isotropic(truth_name: str, voxels: int) -> Case:
    """A real volume with voxels twice as large along every axis."""
    truth, _ = _truth(truth_name, voxels)
    return _case(f"{truth_name}/isotropic x2/gaussian", truth, (0, 1, 2), 2.0, "gaussian")


def with_lesions(truth_name: str, factor: float, voxels: int) -> Case:
    """A real volume with bright and dark balls of 1 to 4 voxels across, made coarse."""
    truth, axis = _truth(truth_name, voxels)
    plain = truth.scalar_data
    random = np.random.default_rng(20)
    bright = ndimage.binary_erosion(plain > np.percentile(plain, 60), iterations=5)
    inner = tuple(slice(LESION_MARGIN, -LESION_MARGIN) for _ in range(3))
    places = np.argwhere(bright[inner]) + LESION_MARGIN
    lesions, data = [], plain.copy()
    taken = np.zeros(plain.shape, dtype=bool)
    contrast = 0.25 * _range(plain)
    for number in range(40):
        for _ in range(100):
            place = places[random.integers(len(places))]
            box = tuple(slice(max(0, p - 9), p + 10) for p in place)
            if not taken[box].any():
                break
        else:
            continue
        radius, sign = (0.5, 1.0, 1.5, 2.0)[number % 4], (1, -1)[number // 4 % 2]
        distance = np.sqrt(sum((axis_index - p) ** 2 for axis_index, p in zip(np.ogrid[tuple(
            slice(0, n) for n in plain.shape)], place, strict=True)))
        data += (sign * contrast * np.clip(radius - distance + 0.5, 0, 1)).astype(data.dtype)
        taken[box] = True
        lesions.append([*place, radius, sign * contrast])
    case = _case(f"{truth_name}/x{factor:g}/lesions", Volume.scalar(data, truth.affine), (axis,), factor, "gaussian")
    return Case(case.name, case.given, case.truth, factor, (axis,), "gaussian", np.array(lesions), plain)


def stacks(truth_name: str, factor: float, profile: str, voxels: int, degrees: float = 3.0, mm: float = 3.0
           ) -> list[Case]:
    """Three stacks of one head, thick along each axis in turn; the subject moved before the second and the third.

    Each case's truth is the head as it lay then.

    Args:
        truth_name: of TRUTHS, or "rendered N" for label map N.
        degrees, mm: of the motion, about a random axis and in a random direction.
    """
    truth = _rendered(int(truth_name.split()[1]), voxels) if truth_name.startswith("rendered") else \
        _truth(truth_name, voxels)[0]
    random = np.random.default_rng(22)
    found = []
    for axis in (2, 1, 0):
        moved = truth if axis == 2 else _moved(truth, random, degrees, mm)
        found.append(_case(f"{truth_name}/x{factor:g}/{profile}/axis {axis}", moved, (axis,), factor, profile,
                           seed=7 + axis))
    return found


def moving_stacks(truth_name: str, factor: float, voxels: int, mm: float, degrees: float) -> list[Case]:
    """Three stacks of one head, thick along each axis in turn, each slice after a rigid motion of its own.

    Args:
        mm, degrees: standard deviations of the motion of a slice, about its center.
    """
    truth = _rendered(int(truth_name.split()[1]), voxels) if truth_name.startswith("rendered") else \
        _truth(truth_name, voxels)[0]
    random = np.random.default_rng(23)
    found = []
    for axis in (2, 1, 0):
        still = _case(f"{truth_name}/x{factor:g}/moving/axis {axis}", truth, (axis,), factor, "gaussian")
        data = _moving_slices(truth, axis, still.given.shape[axis], factor, mm, degrees, random)
        data += NOISE * _range(truth.scalar_data) * random.standard_normal(data.shape)
        found.append(replace(still, given=Volume.scalar(data.astype(np.float32), still.given.affine)))
    return found


def _moving_slices(truth: Volume, axis: int, count: int, factor: float, mm: float, degrees: float,
                   random: np.random.Generator) -> np.ndarray:
    """Slices with a Gaussian profile, each of a head that has moved: cubic splines, integrated by quadrature."""
    data, spacing = truth.scalar_data.astype(np.float64), truth.spacing_mm
    spline, middle = ndimage.spline_filter(data, order=3), (np.array(data.shape) - 1) / 2
    offsets = np.linspace(-1.5 * factor, 1.5 * factor, 25)
    weights = np.exp(-0.5 * (offsets * _FWHM / factor) ** 2)
    plane = np.moveaxis(np.indices(data.shape, float), 0, -1).take(0, axis) - middle
    plane[..., axis] = 0
    slices = []
    for number in range(count):
        center = middle.copy()
        center[axis] += (number - (count - 1) / 2) * factor
        turn = Rotation.from_rotvec(np.radians(degrees) / np.sqrt(3) * random.standard_normal(3))
        shift = mm / np.sqrt(3) * random.standard_normal(3)
        total = np.zeros(plane.shape[:2])
        for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
            through = np.eye(3)[axis] * offset
            points = (turn.apply(((plane + through) * spacing).reshape(-1, 3)) + shift) / spacing + center
            total += weight * ndimage.map_coordinates(spline, points.T, order=3, prefilter=False,
                                                      mode="nearest").reshape(total.shape)
        slices.append(total)
    return np.stack(slices, axis)


def thick(volume: Volume, axis: int, factor: float, voxels: int) -> Volume:
    """The middle of a volume with thick slices along an axis."""
    return _case("", _middle(volume, voxels), (axis,), factor, "gaussian", seed=7 + axis).given


def _moved(truth: Volume, random: np.random.Generator, degrees: float, mm: float) -> Volume:
    """The head turned and shifted within its field of view, by quintic splines."""
    axis, shift = (one / np.linalg.norm(one) for one in random.standard_normal((2, 3)))
    turn = Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()
    spacing, center = truth.spacing_mm, (np.array(truth.shape) - 1) / 2
    matrix = turn * spacing / spacing[:, None]
    offset = center + mm * shift / spacing - matrix @ center
    data = ndimage.affine_transform(truth.scalar_data.astype(np.float64), matrix, offset, order=5, mode="nearest")
    return Volume.scalar(data.astype(np.float32), truth.affine)


def _rendered(number: int, voxels: int) -> Volume:
    """A head of a label map: an intensity for each tissue, texture within it, edges half a voxel wide."""
    folder = data_folder() / "labelmaps"
    labels = load(folder / "heads" / f"head_{number:02d}.nii.gz")
    with (folder / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    random = np.random.default_rng(number)
    means = random.uniform(0.25, 1.0, 1 + max(int(row["tissue_class"]) for row in rows))
    values = np.zeros(1 + int(labels.scalar_data.max()))
    for row in rows:
        if int(row["label"]) < len(values):
            values[int(row["label"])] = means[int(row["tissue_class"])] * (int(row["label"]) != 0)
    data = values[labels.scalar_data.astype(int)]
    data *= 1 + 0.1 * ndimage.gaussian_filter(random.standard_normal(data.shape), 0.8) / 0.3
    data = 1000 * ndimage.gaussian_filter(data, 0.5)
    return _middle(Volume.scalar(data.astype(np.float32), labels.affine), voxels)


def phantom(factor: float) -> Case:
    """Smooth blobs on nothing, oblique and left-handed, for the geometry test."""
    shape = (48, 52, 60)
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    data = np.zeros(shape, dtype=np.float32)
    for center in ((15.3, 16.1, 14.2), (31.7, 35.2, 17.9), (16.4, 34.6, 43.3), (32.2, 15.8, 41.1)):
        data += np.exp(-sum((g - c) ** 2 for g, c in zip(grid, center, strict=True)) / (2 * 3.5**2))
    turn = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, -1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn
    affine[:3, 3] = (12, -30, 45)
    truth = Volume.scalar(1000 * data, affine)
    return _case(f"phantom/x{factor:g}/gaussian", truth, (2,), factor, "gaussian", noise=0.0)


def coarse(data: np.ndarray, axis: int, factor: float, profile: str) -> np.ndarray:
    """Slices of `factor` voxels' distance along an axis, float64; their number is round(n / factor)."""
    count = data.shape[axis]
    new = max(1, int(np.rint(count / factor)))
    centers = (np.arange(new) - (new - 1) / 2) * factor + (count - 1) / 2
    if profile == "rect":
        offsets = (np.arange(64) + 0.5) / 64 * factor - factor / 2
        weights = np.ones(64)
    else:
        width = factor * {"gaussian": 1.0, "gaussian -30 %": 0.7, "gaussian +30 %": 1.3}[profile]
        offsets = np.linspace(-1.5 * width, 1.5 * width, 97)
        weights = np.exp(-0.5 * (offsets * _FWHM / width) ** 2)
    weights /= weights.sum()
    spline = CubicSpline(np.arange(count), np.moveaxis(data.astype(np.float64), axis, 0))
    slices = [np.tensordot(weights, spline(np.clip(center + offsets, -0.5, count - 0.5)), 1) for center in centers]
    return np.moveaxis(np.stack(slices), 0, axis)


def foreground(truth: np.ndarray, axes, factor: float) -> np.ndarray:
    """Where to look: the object, without two slices at each end of the coarse axes."""
    low, high = np.percentile(truth, (0.1, 99.9))  # the least value may be the overshoot of a spline
    mask = ndimage.binary_fill_holes(truth > low + 0.1 * (high - low))
    for axis in axes:
        end = int(np.ceil(2 * factor))
        ends = [slice(None)] * 3
        for part in (slice(0, end), slice(-end, None)):
            ends[axis] = part
            mask[tuple(ends)] = False
    return mask


def _truth(name: str, voxels: int) -> tuple[Volume, int]:
    file, axis = TRUTHS[name]
    return _middle(load(data_folder() / file), voxels), axis


def _middle(whole: Volume, voxels: int) -> Volume:
    """The middle of a volume, at most so many voxels along each axis, float32."""
    data = whole.scalar_data
    size = [min(n, voxels) for n in data.shape]
    start = [(n - m) // 2 for n, m in zip(data.shape, size, strict=True)]
    part = data[tuple(slice(s, s + m) for s, m in zip(start, size, strict=True))].astype(np.float32)
    affine = np.array(whole.affine)
    affine[:3, 3] = whole.grid.points_mm(start)
    return Volume.scalar(np.ascontiguousarray(part), affine)


def _case(name: str, truth: Volume, axes, factor: float, profile: str, noise: float = NOISE, seed: int = 7
          ) -> Case:
    data = truth.scalar_data
    spacing = truth.spacing_mm.copy()
    for axis in axes:
        data = coarse(data, axis, factor, profile)
        spacing[axis] *= factor
    random = np.random.default_rng(seed)
    data = data + noise * _range(truth.scalar_data) * random.standard_normal(data.shape)
    grid = centered_grid(truth.grid, spacing)
    assert grid.shape == data.shape
    return Case(name, Volume.scalar(data.astype(np.float32), grid.affine), truth, factor, tuple(axes),
                "rect" if profile == "rect" else "gaussian")


def _range(data: np.ndarray) -> float:
    return float(np.subtract(*np.percentile(data, (99.9, 0.1))))

"""An embedded head, so that everything can be tried without any download.

The anatomy is a population average computed from the SynthSeg label maps 01 to 12 (`make sample`), rendered
in a contrast and at a resolution of your choice. Numpy and scipy are enough for it: torch need not be installed.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import ndimage

from meddl.core.errors import InputError
from meddl.core.paths import resources_folder
from meddl.io import load
from meddl.models.store.store import ModelStore
from meddl.results import Segmentation
from meddl.spatial.grid import Grid, centered_grid
from meddl.spatial.volume import Volume
from meddl.synthesis.contrasts import CONTRASTS, tissue_means
from meddl.synthesis.label_table import LabelTable

LABELS_FILE = "head_labels.nii.gz"
TABLE_FILE = "labels.csv"
_TEXTURE, _NOISE, _BIAS = 0.125, 0.012, 0.12
_RANGE = 1000.0
_ROTATION_DEGREES, _SCALE, _SHEAR = 8.0, (0.92, 1.08), 0.02  # of a head of its own shape, at most
_BEND_MM, _BEND_SPACING_MM, _BEND_STEPS = 3.5, 24.0, 5


def head(contrast: str = "T1", spacing_mm: float | tuple[float, float, float] = 1.5,
         seed: int = 0) -> tuple[Volume, Segmentation]:
    """A head and the truth about it.

    Args:
        contrast: T1, T2, FLAIR, PD or CT (in Hounsfield-like units).
        spacing_mm: voxel size along R, A, S; along an axis of thick slices the image is averaged over the slice.
        seed: 0 is the average head; any other number is a head of its own shape, the same each time.

    Returns:
        `(image, truth)`: a volume of int16 and a segmentation with the label values of the model `brain`, on one grid.

    Raises:
        InputError: unknown contrast, or a voxel size that is not between 0.5 and 20 mm.
    """
    image, labels = _render(contrast, spacing_mm, seed)
    segments = ModelStore().card("brain").segments
    return image, Segmentation(labels, image.affine, segments, None, {"contrast": contrast, "seed": seed})


def head_image(contrast: str = "T1", spacing_mm: float | tuple[float, float, float] = 1.5, seed: int = 0) -> Volume:
    """The image of `head` alone: the same arguments and errors."""
    return _render(contrast, spacing_mm, seed)[0]


def head_labels() -> tuple[np.ndarray, Grid]:
    """Labels of the average head with the values of the model `brain`, (I, J, K) uint8, and their grid."""
    rows, grid, table = _atlas()
    return table.targets.astype(np.uint8)[rows], grid


def _render(contrast: str, spacing_mm, seed: int) -> tuple[Volume, np.ndarray]:
    """The image, and the label values of the model `brain` (I, J, K) uint8 on its grid."""
    if contrast not in CONTRASTS:
        raise InputError(f"A sample's contrast is one of {', '.join(CONTRASTS)}; got '{contrast}'.")
    given = np.atleast_1d(np.asarray(spacing_mm, dtype=np.float64))
    if given.shape not in ((1,), (3,)) or not ((given >= 0.5) & (given <= 20)).all():
        raise InputError(f"A sample's voxel size is one number or three, each 0.5 to 20 mm; got {given.tolist()}.")
    sizes = np.broadcast_to(given, (3,))
    rows, grid, table = _atlas()
    rng = np.random.default_rng(seed)
    if seed:
        rows = _deform_anatomy(rows, float(grid.spacing_mm[0]), rng)
    target = centered_grid(grid, sizes)
    image = _object(rows, tissue_means(table)[CONTRASTS.index(contrast)][table.tissues], contrast != "CT", rng)
    for axis in range(3):
        profile = _slices(rows.shape[axis], float(grid.spacing_mm[axis]), target.shape[axis], float(sizes[axis]))
        image = np.moveaxis(np.tensordot(profile, image, (1, axis)), 0, axis)
    image = (image + _normal(image.shape, rng) * _NOISE).clip(0) * _RANGE
    if contrast == "CT":
        image = _hounsfield(image)
    nearest = np.ix_(*(_nearest(*sizes_of_axis) for sizes_of_axis in zip(
        rows.shape, grid.spacing_mm, target.shape, sizes, strict=True)))
    volume = Volume.scalar(np.rint(image).astype(np.int16), target.affine)
    return volume, table.targets.astype(np.uint8)[rows[nearest]]


@lru_cache(maxsize=1)
def _atlas() -> tuple[np.ndarray, Grid, LabelTable]:
    """Rows of the table (I, J, K) uint8, their grid, and the table."""
    folder = resources_folder() / "Samples"
    table = LabelTable.read(folder / TABLE_FILE)
    labels = load(folder / LABELS_FILE).reorient("RAS")
    row_of = np.zeros(int(table.labels.max()) + 1, dtype=np.uint8)
    row_of[table.labels] = np.arange(len(table.labels))
    return np.ascontiguousarray(row_of[labels.scalar_data]), labels.grid, table


def _object(rows: np.ndarray, means: np.ndarray, biased: bool, rng: np.random.Generator) -> np.ndarray:
    """What the scanner would see with endless resolution: tissues with their texture, under a bias field, float32."""
    texture = ndimage.uniform_filter(_normal(rows.shape, rng), 3, mode="constant") * _TEXTURE
    image = means[rows] + texture * (rows > 0)
    bias = _enlarge(_normal((3, 3, 3), rng) * (_BIAS * biased), rows.shape)
    return image * np.exp(bias)


def _deform_anatomy(rows: np.ndarray, spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
    """The anatomy seen through a random smooth map."""
    center = (np.array(rows.shape).reshape(3, 1, 1, 1) - 1) / 2
    places = np.indices(rows.shape, dtype=np.float32) - center.astype(np.float32)
    bend = np.stack([_enlarge(part, rows.shape) for part in _random_deformation(rows.shape, spacing_mm, rng)])
    places = np.tensordot(_random_affine(rng), places + bend, 1)
    places += center
    return ndimage.map_coordinates(rows, places, order=0)


def _random_affine(rng: np.random.Generator) -> np.ndarray:
    """Rotation, shear and scaling, (3, 3)."""
    matrix = np.eye(3, dtype=np.float32)
    for axis, angle in enumerate(np.radians(rng.uniform(-_ROTATION_DEGREES, _ROTATION_DEGREES, 3))):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3, dtype=np.float32)
        turn[[a, b, a, b], [a, b, b, a]] = math.cos(angle), math.cos(angle), -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    shear = np.eye(3, dtype=np.float32) + rng.uniform(-_SHEAR, _SHEAR, (3, 3)).astype(np.float32)
    return matrix @ shear @ np.diag(rng.uniform(*_SCALE, 3).astype(np.float32))


def _random_deformation(shape: tuple[int, ...], spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth invertible displacement in voxels, (3, i, j, k) on a grid four times coarser than `shape`.

    A stationary velocity field on coarse control points, integrated by scaling and squaring
    (Arsigny et al. 2006, doi:10.1007/11866565_113).
    """
    control = [max(4, round(n * spacing_mm / _BEND_SPACING_MM)) for n in shape]
    coarse = tuple(max(8, n // 4) for n in shape)
    velocity = _normal((3, *control), rng) * rng.uniform(0, _BEND_MM / spacing_mm)
    field = np.stack([_enlarge(part, coarse) for part in velocity]) / 2**_BEND_STEPS
    here = np.indices(coarse, dtype=np.float32)
    to_coarse = ((np.array(coarse) - 1) / (np.array(shape) - 1)).astype(np.float32).reshape(3, 1, 1, 1)
    for _ in range(_BEND_STEPS):
        places = here + field * to_coarse
        field = field + np.stack([ndimage.map_coordinates(part, places, order=1, mode="nearest") for part in field])
    return field


def _enlarge(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation between values whose first and last lie on the first and last voxels of `shape`."""
    for axis, size in enumerate(shape):
        values = np.moveaxis(np.tensordot(_slices(values.shape[axis], 1.0, size, (values.shape[axis] - 1) / (size - 1)),
                                          values, (1, axis)), 0, axis)
    return values


def _slices(source: int, source_mm: float, target: int, target_mm: float) -> np.ndarray:
    """(target, source) weights of a Gaussian slice profile as wide as a slice; linear where slices are thinner."""
    fine = _centers(source, source_mm)
    distance = _centers(target, target_mm).clip(fine[0], fine[-1])[:, None] - fine
    if target_mm <= source_mm:
        weights = (1 - np.abs(distance) / source_mm).clip(0)
    else:
        weights = np.exp(-0.5 * (distance / (math.sqrt(target_mm**2 - (0.7 * source_mm) ** 2) / 2.355)) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _nearest(source: int, source_mm: float, target: int, target_mm: float) -> np.ndarray:
    """Which voxel of the source lies nearest to each of the target along an axis, (target,)."""
    return np.rint(_centers(target, target_mm) / source_mm + (source - 1) / 2).clip(0, source - 1).astype(int)


def _centers(count: int, spacing_mm: float) -> np.ndarray:
    """Where voxels lie along an axis, in mm from its middle."""
    return (np.arange(count) - (count - 1) / 2) * spacing_mm


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _hounsfield(image: np.ndarray) -> np.ndarray:
    """A brain window's gray values (0 to 1000) as Hounsfield units: air, soft tissue, bone."""
    soft = (image - 300) / 8  # fluid near 0, white matter near 18, gray near 25
    bone = soft + (image - 700).clip(0) * 3
    air = (150 - image).clip(0) / 150
    return np.where(image < 80, -1000, bone - 300 * air)

"""Overlap and surface distances of a label map and a reference, by structure.

Counts come from one pass over the voxels for all structures together. Surface distances (`meddl.measures.surfaces`)
are measured in the box around each structure.

Conventions for empty structures. Missing in both: every ratio whose denominator is zero is nan, distances are nan.
Missing in one: Dice and IoU are 0, distances are nan (there is no distance to nothing), so count structures with
`dice == 0` before averaging distances. Average with `numpy.nanmean`.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.measures.surfaces import NO_SURFACE, SurfaceDistances, check_spacing, surface_distances
from meddl.spatial.label_maps import check_labels, label_boxes, present_values

_SLAB_VOXELS = 1 << 22
_SURFACE_THREADS = 2
_RATIOS = ("dice", "iou", "f1", "sensitivity", "specificity", "precision", "accuracy")


@dataclass(frozen=True, eq=False)
class Confusion:
    """Voxel counts of each structure, arrays of shape (L,), and the ratios made of them.

    Attributes:
        values: the label values.
        true_positive, false_positive, false_negative, true_negative: counts, int64.
        matrix: (L + 1, L + 1) int64, the confusion matrix: voxels by true structure (rows) and predicted structure
            (columns); the first of each is all that is none of the structures.
    """

    values: np.ndarray
    true_positive: np.ndarray
    false_positive: np.ndarray
    false_negative: np.ndarray
    true_negative: np.ndarray
    matrix: np.ndarray

    @property
    def dice(self) -> np.ndarray:
        """2 TP / (2 TP + FP + FN): overlap (Dice, Ecology 1945, doi:10.2307/1932409)."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and sensitivity: for one structure the same number as Dice."""
        return self.dice

    @property
    def iou(self) -> np.ndarray:
        """TP / (TP + FP + FN): intersection over union (Jaccard)."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def sensitivity(self) -> np.ndarray:
        """TP / (TP + FN): the fraction of the true structure that was found (recall)."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> np.ndarray:
        """TN / (TN + FP): the fraction of all other voxels of the region that was left out."""
        return _ratio(self.true_negative, self.true_negative + self.false_positive)

    @property
    def precision(self) -> np.ndarray:
        """TP / (TP + FP): the fraction of what was found that is true."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def accuracy(self) -> np.ndarray:
        """(TP + TN) / all voxels of the region."""
        return _ratio(self.true_positive + self.true_negative,
                      self.true_positive + self.true_negative + self.false_positive + self.false_negative)


@dataclass(frozen=True)
class StructureMetrics:
    """Agreement of one structure with the truth; distances in mm, volumes in ml, nan where not defined."""

    dice: float
    iou: float
    f1: float
    sensitivity: float
    specificity: float
    precision: float
    accuracy: float
    hausdorff_mm: float
    hd95_mm: float
    mean_surface_distance_mm: float
    surface_dice: float
    volume_ml: float
    true_volume_ml: float

    @property
    def volume_difference_ml(self) -> float:
        """Volume minus true volume."""
        return self.volume_ml - self.true_volume_ml

    def as_dict(self) -> dict[str, float | None]:
        """The numbers by name, None for nan, as JSON wants it."""
        return {name: None if np.isnan(number) else float(number) for name, number in asdict(self).items()}


@dataclass(frozen=True)
class OverlapOptions:
    """What `compare` measures beside the counts.

    Attributes:
        surfaces: whether to measure surface distances, which take longest; else they are nan.
        tolerance_mm: of the surface Dice.
        voxel_volume_ml: of one voxel, for sheared grids; None: the product of the spacing.
    """

    surfaces: bool = True
    tolerance_mm: float = 1.0
    voxel_volume_ml: float | None = None


def confusion(prediction: np.ndarray, truth: np.ndarray, values: Sequence[int] | None = None,
              region: np.ndarray | None = None) -> Confusion:
    """Count agreement and disagreement of two label maps in one pass.

    Args:
        prediction: (I, J, K) whole numbers from 0 to 65535.
        truth: the same.
        values: the structures; default all values above 0 that occur in either.
        region: (I, J, K) bool, where true negatives are counted: it rules accuracy and specificity. Voxels of a
            structure outside of it count all the same. Default the whole grid.

    Raises:
        InputError: different shapes, no label maps, or a value named twice.
    """
    prediction, truth = check_pair(prediction, truth)
    if region is not None and np.shape(region) != prediction.shape:
        raise InputError(f"The region lies on the label maps' grid; the shapes are {np.shape(region)} and "
                         f"{prediction.shape}.")
    structures = _structures(prediction, truth, values)
    classes = len(structures) + 1
    table = np.zeros(65536, dtype=np.int32)
    table[structures] = np.arange(1, classes)
    counts = np.zeros(classes * classes, dtype=np.int64)
    outside = 0
    slab = max(1, _SLAB_VOXELS // max(1, prediction[0].size))
    for start in range(0, len(prediction), slab):
        codes = table[truth[start:start + slab]] * np.int32(classes) + table[prediction[start:start + slab]]
        counts += np.bincount(codes.ravel(order="K"), minlength=classes * classes)
        if region is not None:
            outside += int(np.count_nonzero((codes == 0) & ~np.asarray(region[start:start + slab], dtype=bool)))
    counts[0] -= outside
    matrix = counts.reshape(classes, classes)  # truth, prediction
    hits = np.diag(matrix)[1:]
    found, real = matrix.sum(axis=0)[1:], matrix.sum(axis=1)[1:]
    return Confusion(structures, hits, found - hits, real - hits, matrix.sum() - found - real + hits, matrix)


def dice(prediction: np.ndarray, truth: np.ndarray, values: Sequence[int] | None = None) -> np.ndarray:
    """Dice of each structure, shape (L,), in the order of `values`; arguments as in `confusion`."""
    return confusion(prediction, truth, values).dice


def compare(prediction: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float],
            values: Sequence[int] | None = None, options: OverlapOptions | None = None, *,
            counts: Confusion | None = None, on_progress: ProgressCallback | None = None
            ) -> dict[int, StructureMetrics]:
    """All metrics of all structures.

    Args:
        prediction: (I, J, K) whole numbers from 0 to 65535.
        truth: the same.
        spacing_mm: voxel size along i, j, k.
        values: the structures; default all values above 0 that occur in either.
        counts: of `confusion`, where they are known.

    Returns:
        `{label value: StructureMetrics}`, in the order of `values`.

    Raises:
        InputError: different shapes, no label maps, an impossible spacing or structure.
        Cancelled: from `on_progress`.
    """
    options = options or OverlapOptions()
    prediction, truth = check_pair(prediction, truth)
    spacing = check_spacing(spacing_mm)
    counts = confusion(prediction, truth, values) if counts is None else counts
    voxel_ml = float(np.prod(spacing)) / 1000.0 if options.voxel_volume_ml is None else options.voxel_volume_ml
    found, real = (label_boxes(labels, counts.values) if options.surfaces else {} for labels in (prediction, truth))

    def measure(value: int) -> SurfaceDistances:
        first, second = found.get(value), real.get(value)
        if first is None or second is None:
            return NO_SURFACE
        box = _union(first, second)
        return surface_distances(prediction[box] == value, truth[box] == value, spacing, options.tolerance_mm)

    results = {}
    pool = ThreadPoolExecutor(_SURFACE_THREADS)
    try:
        structures = [int(value) for value in counts.values]
        for n, (value, distances) in enumerate(zip(structures, pool.map(measure, structures), strict=True)):
            report(on_progress, n / len(structures), f"Comparing structure {value}")
            results[value] = StructureMetrics(
                **{name: float(getattr(counts, name)[n]) for name in _RATIOS}, **asdict(distances),
                volume_ml=float(counts.true_positive[n] + counts.false_positive[n]) * voxel_ml,
                true_volume_ml=float(counts.true_positive[n] + counts.false_negative[n]) * voxel_ml)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    report(on_progress, 1.0, "Compared")
    return results


def check_pair(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two label maps of one shape: see `meddl.spatial.label_maps.check_labels`.

    Raises:
        InputError: no label maps, or of different shapes.
    """
    prediction, truth = check_labels(prediction, "prediction"), check_labels(truth, "true label map")
    if prediction.shape != truth.shape:
        raise InputError(f"Prediction and truth lie on the same grid; their shapes are {prediction.shape} and "
                         f"{truth.shape}. Resample one to the other's grid.")
    return prediction, truth


def _structures(prediction: np.ndarray, truth: np.ndarray, values: Sequence[int] | None) -> np.ndarray:
    if values is None:
        return np.union1d(present_values(prediction), present_values(truth)).astype(np.intp)
    wanted = np.asarray(list(values))
    if wanted.size == 0:
        return wanted.astype(np.intp)
    if wanted.dtype.kind not in "ui" or wanted.min() < 1 or wanted.max() > 65535:
        raise InputError(f"Label values are whole numbers from 1 to 65535; got {wanted.tolist()}.")
    if len(np.unique(wanted)) != len(wanted):
        raise InputError(f"Each structure is named once; got {wanted.tolist()}.")
    return wanted.astype(np.intp)


def _union(first: tuple[slice, ...], second: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole != 0)

"""Reasons to doubt that a volume suits a model, before anything runs: from its header and a sample of its voxels.

Only clear mismatches are told: what cannot be seen in intensities and sizes is left to the run.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from meddl.models.catalog.catalog import VolumeMetadata, field_of_view_reason, modality_reason, region_reason

_SAMPLES = 60_000
_FEWEST_SLICES = 8
_LABELS_AT_MOST = 256   # distinct values of a label map
_FLAT_FRACTION = 0.7       # of neighboring voxels that are equal: images have noise, label maps have none
_LUNG_HU = (-950, -500)
_TISSUE_HU = -300
LUNG_FRACTION = 0.08      # of the body; air cells and sinuses of a head stay below
_LOWEST_OF_CT = -3100   # lower than any padding value in use (-3024)
_AIR_IS_BELOW_HU = -200
_INVALID_FRACTION = 0.001


@dataclass(frozen=True)
class VolumeLook:
    """What a sample of a volume's voxels shows.

    Attributes:
        minimum, maximum: of the finite values; nan where there are none.
        invalid_fraction: of the voxels, 0 to 1, that are NaN or infinite.
        labels: number of distinct values where it looks like a label map, else 0.
        lung_fraction: of the voxels inside the body, 0 to 1, that have the density of lung; 0 where it is no CT.
    """

    minimum: float
    maximum: float
    invalid_fraction: float = 0.0
    labels: int = 0
    lung_fraction: float = 0.0


def look_at(array: np.ndarray, modality: str | None = None) -> VolumeLook:
    """Look at about 60,000 voxels of a volume.

    Args:
        array: three axes in any order; the last one should be the fastest in memory.
        modality: "CT" where that is known.
    """
    coarse = _every(array, _SAMPLES)
    finite = np.isfinite(coarse)
    values = coarse[finite]
    if not values.size:
        return VolumeLook(np.nan, np.nan, 1.0)
    return VolumeLook(float(values.min()), float(values.max()), 1 - values.size / coarse.size,
                      _count_labels(array, values), _lung_fraction(coarse) if modality == "CT" else 0.0)


def reasons_to_doubt(look: VolumeLook, metadata: VolumeMetadata, model: Any = None) -> tuple[str, ...]:
    """What speaks against a volume, in sentences; empty where nothing does.

    Args:
        look: of its voxels.
        metadata: of its header.
        model: a catalog entry, or anything with its fields, that is to run on it; None: no model is asked for.
    """
    if look.invalid_fraction == 1:
        return ("None of its values is a finite number.",)
    if look.minimum == look.maximum:
        return (f"All its voxels have the same value, {look.minimum:g}.",)
    reasons = []
    if look.labels:
        numbers = "1 whole number" if look.labels == 1 else f"{look.labels} whole numbers"
        reasons.append(f"It looks like a segmentation: {numbers} in flat regions. Choose the image that was segmented.")
    if look.invalid_fraction > _INVALID_FRACTION:
        reasons.append(f"{100 * look.invalid_fraction:.1f} % of its values are not finite numbers.")
    if min(metadata.shape) < _FEWEST_SLICES:
        count = min(metadata.shape)
        reasons.append(f"It has only {count} {'slice' if count == 1 else 'slices'} along one axis.")
    if look.minimum < _LOWEST_OF_CT:
        reasons.append(f"Its values, from {look.minimum:g} to {look.maximum:g}, fit neither CT nor MR magnitude.")
    elif model is not None and not look.labels:
        reasons += _about_model(look, metadata, model)
    return tuple(reasons)


def _about_model(look: VolumeLook, metadata: VolumeMetadata, model: Any) -> list[str]:
    reasons = [reason for reason in (modality_reason(model, metadata), field_of_view_reason(model, metadata)) if reason]
    if model.region == "head" and look.lung_fraction > LUNG_FRACTION:
        reasons.append(f"It looks like a CT of the chest: {100 * look.lung_fraction:.0f} % of the body has the density "
                       "of lung. The model knows heads only.")
    elif reason := region_reason(model, metadata):
        reasons.append(reason)
    if set(model.modality) == {"CT"} and metadata.modality in (None, "CT") and look.minimum > _AIR_IS_BELOW_HU:
        reasons.append(f"It is made for CT in Hounsfield units, where air is -1000; these values begin at "
                       f"{look.minimum:g}.")
    return reasons


def _every(array: np.ndarray, count: int) -> np.ndarray:
    """About so many voxels, spread evenly over all three axes."""
    step = max(1, round((array.size / count) ** (1 / 3)))
    return array[tuple(slice(None, None, min(step, max(1, size // 16))) for size in array.shape)]


def _count_labels(array: np.ndarray, values: np.ndarray) -> int:
    """How many labels there seem to be; 0 for an image."""
    if values.min() < 0 or not np.array_equal(values, np.rint(values)):
        return 0
    distinct, counts = np.unique(values, return_counts=True)
    if not 2 < len(distinct) <= _LABELS_AT_MOST:
        return len(distinct) - 1 if len(distinct) == 2 else 0
    step = max(1, round((array.size / _SAMPLES) ** 0.5))  # whole lines, so that neighbors can be compared
    rows = array[::min(step, array.shape[0]), ::min(step, array.shape[1]), :]
    inside = rows[..., 1:] != distinct[counts.argmax()]
    flat = (rows[..., 1:] == rows[..., :-1])[inside]
    return int(np.count_nonzero(distinct)) if flat.size and flat.mean() > _FLAT_FRACTION else 0


def _lung_fraction(hounsfield: np.ndarray) -> float:
    """Fraction of the body that has the density of lung and tissue on both sides along two axes or more."""
    tissue = hounsfield > _TISSUE_HU
    sides = np.zeros(tissue.shape, np.uint8)
    for axis in range(tissue.ndim):
        before = np.logical_or.accumulate(tissue, axis=axis)
        behind = np.flip(np.logical_or.accumulate(np.flip(tissue, axis), axis=axis), axis)
        sides += before & behind
    enclosed = (sides >= 2) & ~tissue
    lung = enclosed & (hounsfield > _LUNG_HU[0]) & (hounsfield < _LUNG_HU[1])
    body = np.count_nonzero(tissue) + np.count_nonzero(enclosed)
    return float(np.count_nonzero(lung) / body) if body else 0.0

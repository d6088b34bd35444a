"""What is known of a volume from its own voxels: what the catalog asks, the modality, and values that mean nothing."""

from typing import NamedTuple

import numpy as np

from meddl.models.catalog.catalog import VolumeMetadata
from meddl.spatial.grid import three
from meddl.spatial.volume import Volume

_SAMPLED = 64  # voxels along each axis that a histogram is taken from

# Hounsfield units: air, what lies between air and tissue, soft tissue with fat, and all of a body but gas.
_AIR, _BETWEEN, _SOFT, _BODY = (-1100.0, -900.0), (-850.0, -300.0), (-150.0, 150.0), -300.0
_LEAST_AIR = 0.005       # of all voxels
_LEAST_SOFT = 0.45       # of the body
_PEAK_HU = 80.0          # soft tissue is a narrow peak:
_LEAST_PEAK = 0.27       # so much of the body lies within so many units,
_PEAK_CENTER = (-130.0, 90.0)  # of fat, water, brain, muscle or organs
_BONE, _LEAST_BONE = (200.0, np.inf), 0.01  # of the body
_MOST_BETWEEN = 1.2      # voxels for each of the body: lungs; MR that starts at -1000 has its tissue there

_LEAST_PADDING = 0.002   # of all voxels
_LEAST_GAP = 0.05        # between padding and the image, of the image's range,
_LEAST_BACKGROUND = 0.2  # where so much of the image is a background of its own;
_SURE_GAP = 3.0          # or so far from the image that no background lies there
_BACKGROUND = 0.1        # the lowest part of the image's range
_MOST_PADDINGS = 3


class Padding(NamedTuple):
    """Values up to `highest` fill voxels that were not imaged; `background` is the image's own lowest level."""

    highest: float
    background: float


def metadata_of_volume(volume: Volume, modality: str | None = None) -> VolumeMetadata:
    """Voxel size, voxels, channels; the modality where it is given or the numbers show it.

    Args:
        volume: (C, I, J, K).
        modality: "CT", "MR" or what DICOM says; None: not known.
    """
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    return VolumeMetadata(three(float(s) for s in spacing), volume.shape,
                       modality or modality_of(volume.data[0]), volume.channels)


def modality_of(values: np.ndarray) -> str | None:
    """"CT" where the histogram has the shape of Hounsfield units; None: it does not say.

    There is air, soft tissue as a narrow peak about zero with little between the two, and bone. The lowest value says
    nothing: padding may lie far below air, and MR may be stored with any offset.

    Args:
        values: (I, J, K).
    """
    found = _sample(values)
    padding = _padding(found)
    if padding is not None:
        found = found[found > padding.highest]
    body = np.sort(found[found > _BODY])
    if not body.size or _fraction(found, _AIR) < _LEAST_AIR or _fraction(found, _BETWEEN) * found.size > (
            _MOST_BETWEEN * body.size):
        return None
    if _fraction(body, _SOFT) < _LEAST_SOFT or _fraction(body, _BONE) < _LEAST_BONE:
        return None
    width = np.searchsorted(body, body + _PEAK_HU) - np.arange(body.size)
    peak = int(width.argmax())
    center = body[peak] + _PEAK_HU / 2
    is_tissue = width[peak] >= _LEAST_PEAK * body.size and _PEAK_CENTER[0] <= center <= _PEAK_CENTER[1]
    return "CT" if is_tissue else None


def padding_of(values: np.ndarray) -> Padding | None:
    """The values with which what was not imaged is filled, such as -1024, -2000 or -32768; None where there are none.

    A value counts where many voxels have exactly it and none is lower, where it lies apart from all others, and where
    the image above it has a background of its own or lies very far above. The answer does not depend on the unit.

    Args:
        values: (I, J, K).
    """
    return _padding(_sample(values))


def _padding(found: np.ndarray) -> Padding | None:
    result = None
    for _ in range(_MOST_PADDINGS):
        if found.size < 2:
            break
        lowest = found.min()
        rest = found[found > lowest]
        if found.size - rest.size < _LEAST_PADDING * found.size or rest.size < 2:
            break
        low, high = np.percentile(rest, (0.1, 99.5))
        extent = max(high - low, np.finfo(np.float32).tiny)
        gap = (rest.min() - lowest) / extent
        background = np.mean(rest < low + _BACKGROUND * extent)
        if gap < _LEAST_GAP or (background < _LEAST_BACKGROUND and gap < _SURE_GAP):
            break
        result = Padding(float(lowest), float(low))
        found = rest
    return result


def _fraction(values: np.ndarray, bounds: tuple[float, float]) -> float:
    return float(np.mean((values >= bounds[0]) & (values <= bounds[1])))


def _sample(values: np.ndarray) -> np.ndarray:
    """Finite values of an even subsample, float64."""
    found = values[tuple(slice(None, None, max(1, n // _SAMPLED)) for n in values.shape)]
    found = found.astype(np.float64).ravel()
    return found[np.isfinite(found)]

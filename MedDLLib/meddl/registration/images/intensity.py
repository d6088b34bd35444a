"""Intensity normalization and foreground segmentation (Otsu) of a volume of any modality."""

import numpy as np

from meddl.core.errors import InputError
from meddl.spatial.normalize import check_magnitude, otsu_threshold
from meddl.spatial.volume import Volume

_MIN_VOXELS = 8   # along two axes
_MIN_SLICES = 2   # along the third


def finite_scalar(volume: Volume, name: str) -> tuple[np.ndarray, float, int]:
    """The only channel (I, J, K), the value that stands for background, and the number of voxels not finite.

    Raises:
        InputError: several channels, too few voxels, one value only, or no finite value; in the message the
            volume is called `name`.
    """
    if volume.channels != 1:
        raise InputError(f"The {name} volume has {volume.channels} channels; registration compares one. "
                         "Choose one of them.")
    check_magnitude(volume.data, f"The {name} volume")
    data = volume.data[0]
    sizes = sorted(data.shape)
    if sizes[0] < _MIN_SLICES or sizes[1] < _MIN_VOXELS:
        raise InputError(
            f"The {name} volume has {' x '.join(map(str, data.shape))} voxels; registration needs at least "
            f"{_MIN_VOXELS} along two axes and {_MIN_SLICES} along the third.")
    low, high = data.min(), data.max()
    missing = 0
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = data[np.isfinite(data)]
        missing = data.size - finite.size
        if finite.size == 0:
            raise InputError(f"The {name} volume holds no finite value: every voxel is NaN or infinite.")
        low, high = finite.min(), finite.max()
    if low == high:
        raise InputError(f"The {name} volume is constant (every voxel is {float(low):g}); "
                         "there is nothing in it to align.")
    return data, float(low), missing


def foreground_mask(values: np.ndarray) -> np.ndarray:
    """Which voxels are the object: brighter than Otsu's threshold; all of them where that is hardly any."""
    mask = values > otsu_threshold(values)
    return mask if mask.mean() > 0.005 else np.ones_like(mask)


def normalize(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Values mapped to 0..1 without changing their order, float32.

    Half of the result is linear between the extremes (0.1st percentile of all, 99.9th of the object), half is
    the rank among the object's voxels. So soft tissue keeps its contrast beside bone or air, and a few hot
    voxels do not use up the range. Mutual information does not depend on such a map but for its bins.
    """
    low = float(np.percentile(values, 0.1))
    inside = values[mask]
    high = float(np.percentile(inside, 99.9))
    if not low < high:
        low, high = float(values.min()), float(values.max())
    linear = np.clip((values - low) / (high - low), 0, 1)
    quantiles = np.percentile(inside, np.linspace(0, 100, 129))
    knots, first = np.unique(quantiles, return_index=True)
    if len(knots) < 2:
        return linear.astype(np.float32)
    rank = np.interp(values, knots, first / 128)
    return (0.5 * linear + 0.5 * rank).astype(np.float32)

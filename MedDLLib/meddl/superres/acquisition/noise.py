"""Blind estimation of the noise level of a volume."""

import numpy as np

from meddl.spatial.normalize import isodata_threshold

_SAMPLES = 1 << 21
_RAYLEIGH = 0.655  # standard deviation of a magnitude image's background, over that of its noise: sqrt(2 - pi / 2)
_MAD = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


def noise_sigma(data: np.ndarray, thick_axis: int) -> float:
    """Standard deviation of the noise, in the data's intensities; 0 where none is seen.

    The second differences along both in-plane axes leave noise and little else (J. Immerkaer, "Fast noise variance
    estimation", CVIU 64(2), 1996, doi:10.1006/cviu.1996.0060); their median absolute deviation ignores edges. It is
    taken of the foreground and of the background (corrected for magnitudes where nothing is negative); the smaller
    one counts, as texture can only add.

    Args:
        data: (I, J, K), real.
    """
    slices = _middle_slices(np.moveaxis(data, thick_axis, 0))
    high = slices
    norm = 1.0
    for axis in (1, 2):
        if high.shape[axis] >= 3:
            high = np.diff(high, 2, axis=axis)
            norm *= np.sqrt(6.0)
    if norm == 1.0:
        return 0.0
    high = np.abs(high) / norm
    middle = slices[(slice(None), *(slice((n - m) // 2, (n - m) // 2 + m)
                                    for n, m in zip(slices.shape[1:], high.shape[1:], strict=True)))]
    inside = middle > isodata_threshold(slices)
    found = []
    for part, correction in ((high[inside], 1.0), (high[~inside], _RAYLEIGH if slices.min() >= 0 else 1.0)):
        if part.size >= 64 and (sigma := float(np.median(part)) * _MAD / correction) > 0:
            found.append(sigma)
    return min(found, default=0.0)


def _middle_slices(data: np.ndarray) -> np.ndarray:
    """Slices, evenly from the middle four fifths, with at most `_SAMPLES` voxels, floating point."""
    count = len(data)
    wanted = int(np.clip(_SAMPLES // max(1, data[0].size), 1, count))
    margin = count // 10
    chosen = np.unique(np.linspace(margin, count - 1 - margin, wanted).round().astype(int))
    return np.stack([data[n] for n in chosen]).astype(np.float32 if data.dtype.itemsize <= 4 else np.float64)

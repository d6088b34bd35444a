"""The noise of a difference image, estimated from the image itself."""

from dataclasses import dataclass

import numpy as np

_WINDOW_VOXELS = 3         # in which the roughness is measured
_BINS = (0.0, 25.0, 50.0, 70.0, 80.0, 90.0, 95.0, 98.0, 99.5, 100.0)  # of the roughness, percentiles
_QUANTILES = ((50.0, 0.6745), (80.0, 1.2816))  # of absolute differences, and what they are of a Gaussian
_LEAST_FRACTION = 1e-3     # of the range of intensities: noise is not taken for less
_LEAST_VOXELS = 50


@dataclass(frozen=True)
class Noise:
    """The standard deviation of a difference where nothing has changed, which grows with the roughness of the images:
    edges and texture that registration, interpolation and motion have left in the difference.

    Attributes:
        roughness: (N,) ascending, intensities.
        sds: (N,) the standard deviation there, ascending; linear between, and in proportion beyond the last.
    """

    roughness: np.ndarray
    sds: np.ndarray

    def at(self, roughness: np.ndarray) -> np.ndarray:
        """Standard deviation at voxels of this roughness, of the same shape."""
        last = self.roughness[-1]
        return np.interp(roughness, self.roughness, self.sds) * np.maximum(roughness / last if last > 0 else 1, 1)


def shared_roughness(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The standard deviation in a window around each voxel of two images (I, J, K), the lower of the two, float32: what
    is an edge at one date alone is a change."""
    return np.minimum(_local_sd(first), _local_sd(second))


def _local_sd(image: np.ndarray) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    centered = image - np.float32(image.mean())
    mean = uniform_filter(centered, _WINDOW_VOXELS, mode="nearest")
    return np.sqrt(np.maximum(uniform_filter(centered * centered, _WINDOW_VOXELS, mode="nearest") - mean * mean, 0))


def estimate_noise(difference: np.ndarray, roughness: np.ndarray, intensity_range: float) -> Noise:
    """The noise of a difference.

    In each of several bins of the roughness the standard deviation is that of the Gaussian with the same median of
    absolute differences (F. R. Hampel, Journal of the American Statistical Association 69, 1974,
    doi:10.1080/01621459.1974.10482962), or with the same 80th percentile where that is more: a change in a tenth of the
    voxels raises it by at most a quarter.

    Args:
        difference, roughness: (N,) of the body.
        intensity_range: of the volume, a thousandth of which is the least noise.
    """
    steps = np.percentile(roughness, _BINS)
    levels, sds = [], []
    for low, high in zip(steps[:-1], steps[1:], strict=True):
        bin_ = (roughness >= low) & (roughness <= high)
        if np.count_nonzero(bin_) >= _LEAST_VOXELS:
            absolute = np.abs(difference[bin_])
            levels.append(float(np.median(roughness[bin_])))
            sds.append(max(float(np.percentile(absolute, percent)) / unit for percent, unit in _QUANTILES))
    least = max(_LEAST_FRACTION * intensity_range, float(np.finfo(np.float32).tiny))
    return Noise(np.array(levels), np.maximum.accumulate(np.maximum(sds, least)))

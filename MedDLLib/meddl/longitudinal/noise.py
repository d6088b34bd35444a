"""The noise of a difference image, estimated from the image itself."""

from dataclasses import dataclass

import numpy as np

_TO_SD = 1.4826            # of a Gaussian, for each unit of its median absolute deviation
_SMOOTHING_VOXELS = 1.0    # of the gradient
_FLAT_PERCENT = 50.0       # of the voxels, those with the least gradient: the noise
_EDGE_PERCENTS = (80.0, 90.0, 95.0, 98.0, 100.0)  # of the gradient: bins in which edges are looked at
_LEAST_FRACTION = 1e-3     # of the range of intensities: noise is not taken for less
_LEAST_VOXELS = 50


@dataclass(frozen=True)
class Noise:
    """The standard deviation of a difference where nothing has changed: sqrt(sd ** 2 + (shift_mm * gradient) ** 2).

    Attributes:
        sd: in intensities, away from edges.
        shift_mm: how far edges seem to lie apart: what is left of the registration, the interpolation and motion.
    """

    sd: float
    shift_mm: float

    def at(self, gradient: np.ndarray) -> np.ndarray:
        """Standard deviation at voxels with this gradient (intensities a mm), of the same shape."""
        return np.sqrt(self.sd ** 2 + (self.shift_mm * gradient) ** 2)


def gradient_magnitude(image: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Gradient of an image (I, J, K), smoothed by one voxel, intensities a mm, float32."""
    from scipy.ndimage import gaussian_filter1d

    total = np.zeros(image.shape, np.float32)
    for axis, spacing in enumerate(spacing_mm):
        part = image
        for other in range(3):
            order = 1 if other == axis else 0
            part = gaussian_filter1d(part, _SMOOTHING_VOXELS, other, order, output=np.float32, mode="nearest")
        total += (part / np.float32(spacing)) ** 2
    return np.sqrt(total)


def estimate_noise(difference: np.ndarray, gradient: np.ndarray, intensity_range: float) -> Noise:
    """The noise of a difference.

    Its standard deviation is 1.4826 times the median absolute difference (F. R. Hampel, Journal of the American
    Statistical Association 69, 1974, doi:10.1080/01621459.1974.10482962) of the half of the voxels with the least
    gradient; the shift of edges that explains what is more is the largest over bins of the strongest gradients. Change
    in less than half of the voxels of a bin moves neither far.

    Args:
        difference, gradient: (N,) of the body.
        intensity_range: of the volume, a thousandth of which is the least noise.
    """
    least = max(_LEAST_FRACTION * intensity_range, float(np.finfo(np.float32).tiny))
    flat = gradient <= np.percentile(gradient, _FLAT_PERCENT)
    sd = max(_TO_SD * float(np.median(np.abs(difference[flat]))), least)
    steps = np.percentile(gradient, _EDGE_PERCENTS)
    shift = 0.0
    for low, high in zip(steps[:-1], steps[1:], strict=True):
        bin_ = (gradient > low) & (gradient <= high)
        if np.count_nonzero(bin_) >= _LEAST_VOXELS:
            here = _TO_SD * float(np.median(np.abs(difference[bin_])))
            shift = max(shift, np.sqrt(max(here ** 2 - sd ** 2, 0.0)) / float(np.median(gradient[bin_])))
    return Noise(sd, shift)

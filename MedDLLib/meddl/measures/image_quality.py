"""Image quality against a reference: PSNR, SSIM and NRMSE of whole volumes or inside a mask.

The range of values, on which PSNR and SSIM depend, is from percentile 0.1 to 99.9 of the truth (inside the mask).
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report

_RANGE = (0.1, 99.9)
_SIGMA = 1.5  # of SSIM's window, in voxels
_K1, _K2 = 0.01, 0.03


@dataclass(frozen=True)
class ImageQuality:
    """Agreement with the truth.

    Attributes:
        psnr_db: 20 log10(range / root mean square error); infinite where the images are equal.
        ssim: mean structural similarity in 3D (Z. Wang et al., IEEE Transactions on Image Processing 13(4), 2004,
            doi:10.1109/TIP.2003.819861), Gaussian window of 1.5 voxels.
        nrmse: root mean square error over the root mean square of the truth about its mean.
    """

    psnr_db: float
    ssim: float
    nrmse: float

    def as_dict(self) -> dict[str, float | None]:
        """The numbers by name, None where not finite, as JSON wants it."""
        return {name: float(value) if np.isfinite(value) else None for name, value in asdict(self).items()}


def image_quality(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None,
                  on_progress: ProgressCallback | None = None) -> ImageQuality:
    """The agreement of two images.

    Args:
        image, truth: (I, J, K) real numbers on one grid.
        mask: (I, J, K) bool, where to look; everywhere if None.

    Raises:
        InputError: different shapes, an empty mask, or a truth without any range.
    """
    image, truth, mask = check_images(image, truth, mask)
    inside = truth[mask]
    low, high = value_range(inside)
    if not high > low:
        raise InputError("The truth is constant; an error has no scale there.")
    squared = float(((image[mask] - inside) ** 2).mean())
    with np.errstate(divide="ignore"):
        psnr = 10 * np.log10((high - low) ** 2 / np.float64(squared))
    return ImageQuality(float(psnr), float(ssim_map(image, truth, high - low, on_progress)[mask].mean()),
                        float(np.sqrt(squared) / inside.std()))


def check_images(image: np.ndarray, truth: np.ndarray, mask: np.ndarray | None
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two images (I, J, K) as float64 and the mask in which they are compared: everywhere if None.

    Raises:
        InputError: different shapes, or an empty mask.
    """
    image, truth = (np.asarray(one, dtype=np.float64) for one in (image, truth))
    mask = np.ones(truth.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    if not image.shape == truth.shape == mask.shape:
        raise InputError(f"Image, truth and mask lie on one grid; their shapes are {image.shape}, {truth.shape} and "
                         f"{mask.shape}.")
    if not mask.any():
        raise InputError("The mask in which images are compared is empty.")
    return image, truth, mask


def value_range(truth: np.ndarray) -> tuple[float, float]:
    """The range of values on which PSNR and SSIM depend: percentiles 0.1 and 99.9 of the truth."""
    low, high = np.percentile(truth, _RANGE)
    return float(low), float(high)


def ssim_map(image: np.ndarray, truth: np.ndarray, data_range: float,
             on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Structural similarity at each voxel of (I, J, K), population variances under a Gaussian window."""
    done = 0

    def mean(values: np.ndarray) -> np.ndarray:
        nonlocal done
        for axis in range(3):
            report(on_progress, done / 15, "Comparing with the reference")
            values = gaussian_filter1d(values, _SIGMA, axis, truncate=3.5, mode="reflect")
            done += 1
        return values

    a, b = mean(image), mean(truth)
    variances = mean(image * image) - a * a, mean(truth * truth) - b * b
    together = mean(image * truth) - a * b
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    return (2 * a * b + c1) * (2 * together + c2) / ((a * a + b * b + c1) * (variances[0] + variances[1] + c2))

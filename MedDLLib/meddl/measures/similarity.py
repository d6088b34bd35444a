"""Similarity of two images: absolute and squared error, normalized mutual information, local cross-correlation."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from meddl.core.errors import InputError
from meddl.measures.image_quality import check_images

_BINS = 64
_WINDOW = 9


@dataclass(frozen=True)
class Similarity:
    """How alike two images are.

    Attributes:
        mae: mean absolute error, in units of the images.
        rmse: root mean square error, in units of the images.
        nmi: normalized mutual information (H(A) + H(B)) / H(A, B), 1 to 2, from 64 x 64 bins over each image's range
            (C. Studholme et al., Pattern Recognition 32(1), 1999, doi:10.1016/S0031-3203(98)00091-0); nan where both
            are constant.
        lncc: mean of the squared local normalized cross-correlation in windows of 9 voxels, 0 to 1; nan where no
            window has any contrast in both.
    """

    mae: float
    rmse: float
    nmi: float
    lncc: float


def similarity(image: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None) -> Similarity:
    """The similarity of two images.

    Args:
        image, reference: (I, J, K) real numbers on one grid.
        mask: (I, J, K) bool, where to look; everywhere if None.

    Raises:
        InputError: different shapes, an empty mask, or values that are not finite.
    """
    image, reference, mask = check_images(image, reference, mask)
    inside, truth = image[mask], reference[mask]
    if not (np.isfinite(inside).all() and np.isfinite(truth).all()):
        raise InputError("The images hold values that are not finite where they are compared.")
    error = inside - truth
    local = _lncc_map(image, reference)[mask]
    defined = local[np.isfinite(local)]
    return Similarity(float(np.abs(error).mean()), float(np.sqrt((error ** 2).mean())),
                      normalized_mutual_information(inside, truth),
                      float(defined.mean()) if len(defined) else float("nan"))


def normalized_mutual_information(first: np.ndarray, second: np.ndarray, bins: int = _BINS) -> float:
    """(H(A) + H(B)) / H(A, B) of paired values; nan where both are constant."""
    joint, _, _ = np.histogram2d(first.ravel(), second.ravel(), bins=bins)
    joint /= joint.sum()

    def entropy(probabilities: np.ndarray) -> float:
        probabilities = probabilities[probabilities > 0]
        return float(-(probabilities * np.log(probabilities)).sum())

    whole = entropy(joint)
    return (entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1))) / whole if whole > 0 else float("nan")


def _lncc_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared correlation of two (I, J, K) images in the window around each voxel; nan where one is constant there."""
    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, _WINDOW, mode="nearest")

    first, second = first - first.mean(), second - second.mean()
    a, b = mean(first), mean(second)
    variances = mean(first * first) - a * a, mean(second * second) - b * b
    together = mean(first * second) - a * b
    floor = [1e-9 * max(float(one.max()), np.finfo(float).tiny) for one in variances]
    defined = (variances[0] > floor[0]) & (variances[1] > floor[1])
    return np.divide(together ** 2, variances[0] * variances[1], out=np.full(first.shape, np.nan), where=defined)

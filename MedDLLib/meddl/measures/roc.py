"""The receiver operating characteristic (ROC) of scores: sensitivity by false positive rate, and the area under it.

MONAI's `compute_roc_auc` gives the same area, but takes a step of Python for each voxel; here one sort does it.
"""

from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError

_CURVE_POINTS = 1000


@dataclass(frozen=True, eq=False)
class Roc:
    """A ROC curve (T. Fawcett, Pattern Recognition Letters 27(8), 2006, doi:10.1016/j.patrec.2005.10.010).

    Attributes:
        false_positive_rate, sensitivity: (N,) from 0 to 1, thinned out to about 1000 points.
        thresholds: (N,) descending: scores of at least this are taken for positive; the first is infinite.
        auc: area under the whole curve: the probability that a positive has a higher score than a negative, ties half.
    """

    false_positive_rate: np.ndarray
    sensitivity: np.ndarray
    thresholds: np.ndarray
    auc: float


def roc_curve(scores: np.ndarray, truth: np.ndarray) -> Roc:
    """The ROC curve of scores.

    Args:
        scores: real numbers of any shape, such as probabilities.
        truth: bool, of the same shape.

    Raises:
        InputError: different shapes, scores that are not finite, or a truth that is all true or all false: there is no
            curve then.
    """
    scores, truth = np.asarray(scores).ravel(), np.asarray(truth, dtype=bool).ravel()
    if scores.shape != truth.shape:
        raise InputError(f"There is one score for each voxel; got {len(scores)} and {len(truth)}.")
    if not np.isfinite(scores).all():
        raise InputError("The scores hold values that are not finite.")
    positives, negatives = np.sort(scores[truth]), np.sort(scores[~truth])
    if not len(positives) or not len(negatives):
        raise InputError("A ROC curve needs voxels inside and outside of the structure; "
                         f"there are {len(positives)} inside and {len(negatives)} outside.")
    thresholds = np.unique(np.concatenate((_distinct(positives), _distinct(negatives))))[::-1]
    hits = len(positives) - np.searchsorted(positives, thresholds, "left")
    alarms = len(negatives) - np.searchsorted(negatives, thresholds, "left")
    sensitivity = np.concatenate(([0.0], hits / len(positives)))
    rate = np.concatenate(([0.0], alarms / len(negatives)))
    area = float((np.diff(rate) * (sensitivity[1:] + sensitivity[:-1])).sum() / 2)
    # Evenly along the curve, not along the thresholds: most of these may lie in one corner.
    along = np.concatenate(([0.0], np.cumsum(np.diff(rate) + np.diff(sensitivity))))
    kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], _CURVE_POINTS)))
    return Roc(rate[kept], sensitivity[kept], np.concatenate(([np.inf], thresholds))[kept], area)


def _distinct(ordered: np.ndarray) -> np.ndarray:
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]

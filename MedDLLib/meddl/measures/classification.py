"""Figures of a classifier: confusion matrix, accuracy, sensitivity, specificity, F1 and AUC, with 95 % intervals.

Rates have Wilson's interval (E. B. Wilson, Journal of the American Statistical Association 22, 1927,
doi:10.1080/01621459.1927.10502953), F1 and AUC that of a bootstrap over patients (B. Efron & R. J. Tibshirani, "An
introduction to the bootstrap", 1993, doi:10.1007/978-1-4899-4541-9).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from meddl.core.errors import InputError
from meddl.measures.roc import roc_curve

_Z = 1.959964       # of the normal distribution, two-sided 95 %
_RESAMPLES = 1000
ALL = "all classes"
RATES = ("sensitivity", "specificity", "F1", "AUC")


@dataclass(frozen=True)
class Figure:
    """One figure of one class, or of all.

    Attributes:
        subject: the class, or ALL.
        name: "accuracy", "sensitivity", "specificity", "F1" or "AUC"; each class against all others.
        value: from 0 to 1.
        interval: (lowest, highest) of 95 %; None where the cases are too few for one.
    """

    subject: str
    name: str
    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class ClassificationFigures:
    """How a classifier does on labeled cases.

    Attributes:
        classes: their names.
        confusion: (true class, class found) int64 numbers of cases.
        figures: accuracy first, then those of each class.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    figures: tuple[Figure, ...]

    def value(self, name: str, subject: str = ALL) -> float:
        """One of the figures; NaN where the cases do not give it."""
        return next((one.value for one in self.figures if (one.name, one.subject) == (name, subject)), math.nan)


def classification_figures(classes: Sequence[str], probabilities: np.ndarray, truth: np.ndarray,
                           patients: Sequence[str]) -> ClassificationFigures:
    """The figures of probabilities that a classifier gives.

    A figure that the cases do not define (no case of a class, or none of any other) is left out.

    Args:
        classes: names, in the order of the columns.
        probabilities: (N, classes); the largest names the class.
        truth: (N,) number of the class.
        patients: (N,) of each case; resampled as wholes.

    Raises:
        InputError: no case, different lengths, or probabilities that are not finite.
    """
    probabilities, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    if not len(truth) or probabilities.shape != (len(truth), len(classes)) or len(patients) != len(truth):
        raise InputError(f"A row of {len(classes)} probabilities, a class and a patient were expected of each case; "
                         f"got {probabilities.shape}, {len(truth)} and {len(patients)}.")
    if not np.isfinite(probabilities).all():
        raise InputError("The probabilities hold values that are not finite.")
    found = probabilities.argmax(axis=1)
    confusion = np.zeros((len(classes),) * 2, dtype=np.int64)
    np.add.at(confusion, (truth, found), 1)
    resamples = _resamples(patients)
    figures = [_rate(ALL, "accuracy", int((found == truth).sum()), len(truth))]
    for number, name in enumerate(classes):
        is_true, is_found, scores = truth == number, found == number, probabilities[:, number]
        if is_true.any():
            figures.append(_rate(name, "sensitivity", int((is_true & is_found).sum()), int(is_true.sum())))
        if not is_true.all():
            figures.append(_rate(name, "specificity", int((~is_true & ~is_found).sum()), int((~is_true).sum())))
        if is_true.any():
            figures.append(_bootstrap(name, "F1", _f1, (is_true, is_found), resamples))
        if is_true.any() and not is_true.all():
            figures.append(_bootstrap(name, "AUC", lambda true, score: roc_curve(score, true).auc, (is_true, scores),
                                      resamples))
    return ClassificationFigures(tuple(classes), confusion, tuple(figures))


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate of `hits` among `count` independent cases, `count` at least 1."""
    rate, wide = hits / count, _Z**2 / count
    center = (rate + wide / 2) / (1 + wide)
    half = _Z / (1 + wide) * math.sqrt(rate * (1 - rate) / count + wide / (4 * count))
    return max(0.0, center - half), min(1.0, center + half)


def _rate(subject: str, name: str, hits: int, count: int) -> Figure:
    return Figure(subject, name, hits / count, wilson_interval(hits, count))


def _f1(is_true: np.ndarray, is_found: np.ndarray) -> float:
    both = is_true.sum() + is_found.sum()
    return float(2 * (is_true & is_found).sum() / both) if both else math.nan


def _resamples(patients: Sequence[str]) -> list[np.ndarray]:
    """Indices of the cases of patients that are drawn with replacement, as often as there are patients."""
    names = np.asarray(patients)
    groups = [np.flatnonzero(names == one) for one in dict.fromkeys(patients)]
    rng = np.random.default_rng(0)
    if len(groups) < 2:
        return []
    return [np.concatenate([groups[n] for n in rng.integers(len(groups), size=len(groups))])
            for _ in range(_RESAMPLES)]


def _bootstrap(subject: str, name: str, measure: Callable[[np.ndarray, np.ndarray], float],
               columns: tuple[np.ndarray, np.ndarray], resamples: list[np.ndarray]) -> Figure:
    """A figure with the 2.5th and the 97.5th percentile of resamples that have cases of the class and others."""
    first, second = columns
    values = [measure(first[rows], second[rows]) for rows in resamples if first[rows].any() and not first[rows].all()]
    value = float(measure(first, second))
    if len(values) <= _RESAMPLES / 2:
        return Figure(subject, name, value)
    low, high = np.percentile(values, (2.5, 97.5)).tolist()
    return Figure(subject, name, value, (low, high))

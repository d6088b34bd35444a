"""Figures of a classifier: by hand, against published intervals, and by patient."""

import math

import numpy as np
import pytest

from meddl.core.errors import InputError
from meddl.measures.classification import ALL, classification_figures, wilson_interval

CLASSES = ("a", "b", "c")


def one_hot(found) -> np.ndarray:
    return np.eye(3)[found] * 0.8 + 0.1


@pytest.mark.parametrize(("hits", "count", "interval"), [  # R. G. Newcombe, Statistics in Medicine 17, 1998, method 3
    (81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))])
def test_wilsons_interval_is_the_published_one(hits, count, interval):
    assert wilson_interval(hits, count) == pytest.approx(interval, abs=1e-4)


def test_every_figure_by_hand():
    truth, found = [0, 0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 1, 1, 2, 0, 2]
    figures = classification_figures(CLASSES, one_hot(found), np.array(truth), [str(n) for n in range(8)])
    assert figures.confusion.tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 2]]
    assert figures.value("accuracy") == 6 / 8
    assert figures.value("sensitivity", "a") == 2 / 3 and figures.value("specificity", "a") == 4 / 5
    assert figures.value("F1", "b") == pytest.approx(2 * 2 / (2 + 3))
    assert figures.value("AUC", "b") == pytest.approx((5 + 0.5) / 6)  # one of six others has the same score
    assert all(one.interval[0] <= one.value <= one.interval[1] for one in figures.figures)
    assert next(one.interval for one in figures.figures if one.subject == ALL) == wilson_interval(6, 8)


def test_the_area_is_monais():
    monai = pytest.importorskip("monai.metrics")
    import torch

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 60)
    probabilities = rng.dirichlet(np.ones(3), 60) + 0.4 * np.eye(3)[truth]
    figures = classification_figures(CLASSES, probabilities, truth, [str(n) for n in range(60)])
    for number, name in enumerate(CLASSES):
        scores, is_true = torch.from_numpy(probabilities[:, number]), torch.from_numpy(truth == number).int()
        area = monai.compute_roc_auc(scores, is_true)
        assert figures.value("AUC", name) == pytest.approx(float(area))


def test_many_cases_of_few_patients_have_wide_intervals():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], 50)
    of_patient = np.repeat(rng.integers(0, 2, 10), 10)  # a patient is right or wrong as a whole
    found = np.where(of_patient, truth, 1 - truth)
    widths = []
    for patients in ([str(n) for n in range(100)], [str(n // 10) for n in range(100)]):
        figures = classification_figures(("a", "b"), np.eye(2)[found], truth, patients)
        low, high = next(one.interval for one in figures.figures if (one.name, one.subject) == ("F1", "a"))
        widths.append(high - low)
    assert widths[1] > 1.8 * widths[0]


def test_what_the_cases_do_not_define_is_left_out():
    figures = classification_figures(CLASSES, one_hot([0, 0, 1]), np.array([0, 0, 0]), ["1", "2", "3"])
    assert {one.name for one in figures.figures if one.subject == "a"} == {"sensitivity", "F1"}
    assert math.isnan(figures.value("AUC", "a")) and figures.value("specificity", "b") == 2 / 3
    lone = classification_figures(CLASSES, one_hot([0, 1]), np.array([0, 1]), ["same", "same"])
    assert next(one.interval for one in lone.figures if one.name == "AUC") is None


@pytest.mark.parametrize(("probabilities", "truth"), [
    (np.zeros((0, 3)), []), (np.ones((2, 3)), [0]), (np.ones((1, 2)), [0]), (np.full((1, 3), np.nan), [0])])
def test_what_does_not_fit_is_refused(probabilities, truth):
    with pytest.raises(InputError):
        classification_figures(CLASSES, probabilities, np.array(truth), ["one"] * len(truth))

"""ROC curve and area: MONAI, scikit-learn and the Mann-Whitney statistic as witnesses, ties, edge cases."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_roc_auc
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from meddl.core.errors import InputError
from meddl.measures.roc import roc_curve


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("seed", range(34))
def test_the_area_is_that_of_monai_scikit_learn_and_the_mann_whitney_statistic(seed, digits):
    random = np.random.default_rng(seed)
    truth = random.random(300) < 0.3
    scores = np.round(random.normal(size=300) + truth * random.random(), digits)  # few digits: many ties
    found = roc_curve(scores, truth)
    pairs = truth.sum() * (~truth).sum()
    assert found.auc == pytest.approx(mannwhitneyu(scores[truth], scores[~truth]).statistic / pairs, abs=1e-12)
    assert found.auc == pytest.approx(compute_roc_auc(torch.from_numpy(scores), torch.from_numpy(truth).double()),
                                      abs=1e-6)
    assert found.auc == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


def test_the_curve_holds_what_its_thresholds_say():
    random = np.random.default_rng(1)
    truth = random.random((20, 20, 20)) < 0.2
    scores = random.random(truth.shape) + 0.5 * truth
    found = roc_curve(scores, truth)
    assert (found.false_positive_rate[0], found.sensitivity[0], found.thresholds[0]) == (0, 0, np.inf)
    assert (found.false_positive_rate[-1], found.sensitivity[-1]) == (1, 1)
    assert len(found.thresholds) <= 1001
    for threshold, rate, hits in list(zip(found.thresholds, found.false_positive_rate, found.sensitivity,
                                          strict=True))[1::97]:
        assert hits == pytest.approx((scores >= threshold)[truth].mean())
        assert rate == pytest.approx((scores >= threshold)[~truth].mean())
    thinned = np.trapezoid(found.sensitivity, found.false_positive_rate)
    assert thinned == pytest.approx(found.auc, abs=1e-3)


def test_scores_that_tell_all_nothing_and_the_opposite():
    truth = np.array([True, True, False, False])
    assert roc_curve(np.array([3, 2, 1, 0]), truth).auc == 1
    assert roc_curve(np.zeros(4), truth).auc == 0.5
    assert roc_curve(np.array([0, 1, 2, 3]), truth).auc == 0


@pytest.mark.parametrize("scores, truth, words", [
    (np.zeros(4), np.zeros(4, bool), "0 inside"), (np.zeros(4), np.ones(4, bool), "0 outside"),
    (np.zeros(3), np.ones(4, bool), "one score"), (np.array([np.nan, 1.0]), np.array([True, False]), "finite")])
def test_what_has_no_curve_is_refused(scores, truth, words):
    with pytest.raises(InputError, match=words):
        roc_curve(scores, truth)

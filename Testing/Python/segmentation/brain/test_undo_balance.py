"""The network's scores under the sizes that classes have."""

import pytest
import torch

from meddl.segmentation.brain import inference
from meddl.segmentation.brain.inference import BALANCE, undo_balance

SIZES = torch.tensor([40.0**3 - 7**3 - 4**3, 7.0**3, 4.0**3])


def posteriors():
    """Labels of a phantom, its log-posterior under the sizes of classes, and the one of a balanced training."""
    labels = torch.zeros((40, 40, 40), dtype=torch.long)
    labels[5:12, 5:12, 5:12], labels[18:22, 18:22, 18:22] = 1, 2
    means = torch.tensor([0.0, 2.0, 1.0])
    image = means[labels] + 0.5 * torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    likelihood = -(image - means[:, None, None, None]) ** 2 / 0.5
    prior = (SIZES / SIZES.sum()).log()[:, None, None, None]
    return labels, (likelihood + prior).log_softmax(dim=0), (likelihood + (1 - BALANCE) * prior).log_softmax(dim=0)


def found(scores):
    return torch.bincount(scores.argmax(dim=0).flatten(), minlength=len(scores)).float()


def test_a_small_structure_gets_its_own_size_back():
    _, _, balanced = posteriors()
    assert found(balanced)[1] > 1.5 * SIZES[1]
    assert found(undo_balance(balanced))[1] == pytest.approx(float(SIZES[1]), rel=0.1)


def test_the_posterior_comes_nearer_to_the_true_one():
    _, true, balanced = posteriors()

    def distance(scores):
        return float((true.exp() * (true - scores)).sum())

    assert distance(undo_balance(balanced)) < 0.3 * distance(balanced)


def test_scores_stay_log_probabilities_and_a_class_that_is_nowhere_stays_finite():
    scores = torch.full((3, 4, 4, 4), -60.0)
    scores[0] = 0.0
    undone = undo_balance(scores.log_softmax(dim=0))
    assert undone.isfinite().all() and (undone.argmax(dim=0) == 0).all()
    torch.testing.assert_close(undone.exp().sum(dim=0), torch.ones((4, 4, 4)))


def test_without_balance_nothing_changes(monkeypatch):
    _, true, _ = posteriors()
    monkeypatch.setattr(inference, "BALANCE", 0.0)
    torch.testing.assert_close(undo_balance(true), true)

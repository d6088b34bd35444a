"""Confidence of the brain model: the probability of the chosen label, and temperature scaling of it."""

import numpy as np
import pytest
import torch

from meddl.segmentation.brain.calibration import label_probability, scale_probability


def test_the_probability_of_a_label_is_that_of_the_softmax():
    scores = torch.randn(5, 4, 6, 3, generator=torch.Generator().manual_seed(0)) * 3
    before, labels = scores.clone(), scores.argmax(dim=0)
    found = label_probability(scores, labels)
    torch.testing.assert_close(found, scores.softmax(dim=0).max(dim=0).values)
    assert torch.equal(scores, before)


def test_scaling_divides_the_log_odds_and_can_be_taken_back():
    given = np.array([[0.02, 0.5, 0.7], [0.9, 0.99, 0.999]], dtype=np.float32)
    found = scale_probability(given, 2.5)
    odds = np.log(given.astype(float) / (1 - given.astype(float)))
    np.testing.assert_allclose(np.log(found / (1 - found)), odds / 2.5, rtol=1e-6)
    np.testing.assert_allclose(scale_probability(found, 1 / 2.5), given, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_what_is_certain_stays_a_probability(temperature):
    found = scale_probability(np.array([0.0, 1.0]), temperature)
    assert np.isfinite(found).all() and 0 < found[0] < 0.5 < found[1] < 1

"""The squared difference of features: its value, and the slope that automatic differentiation gives."""

import numpy as np
import pytest
import torch

from meddl.registration.deformable.metrics import feature_difference
from meddl.registration.deformable.metrics.feature_difference import FeatureDifference
from meddl.registration.images.warped_image import WarpedImage, slope_of, with_neighbors
from meddl.spatial.grid import Grid

SHAPE = (9, 7, 6)


@pytest.fixture
def pair():
    rng = torch.Generator().manual_seed(0)
    fixed, moving = torch.rand(2, 4, *SHAPE, generator=rng, dtype=torch.float64)
    return fixed, moving, torch.rand(SHAPE, generator=rng, dtype=torch.float64)


def plain(fixed, moved, weight):
    return -(weight * ((moved - fixed) ** 2).sum(dim=0)).sum() / weight.sum()


def test_value_and_slope_are_those_of_automatic_differentiation(pair):
    fixed, moving, weight = pair
    moving.requires_grad_()
    expected = plain(fixed, moving, weight)
    gradient, = torch.autograd.grad(expected, moving)
    moving, sound = moving.detach(), with_neighbors(weight)
    value, slope = FeatureDifference(fixed, weight)(WarpedImage(moving, Grid(SHAPE, np.eye(4)), np.eye(4)))
    assert float(value) == pytest.approx(expected.item())
    torch.testing.assert_close(slope, sum(slope_of(g * sound, m) for g, m in zip(gradient, moving)))


def test_slabs_change_nothing(pair, monkeypatch):
    fixed, moving, weight = pair
    whole = FeatureDifference(fixed, weight)(WarpedImage(moving, Grid(SHAPE, np.eye(4)), np.eye(4)))
    monkeypatch.setattr(feature_difference, "SLAB_VOXELS", 4 * 7 * 6 * 2)
    parts = FeatureDifference(fixed, weight)(WarpedImage(moving, Grid(SHAPE, np.eye(4)), np.eye(4)))
    for one, other in zip(parts, whole):
        torch.testing.assert_close(one, other)


def test_the_same_features_leave_nothing_to_climb(pair):
    fixed, _, _ = pair
    value, slope = FeatureDifference(fixed)(WarpedImage(fixed, Grid(SHAPE, np.eye(4)), np.eye(4)))
    assert float(value) == pytest.approx(0, abs=1e-12)
    assert float(slope.abs().max()) < 1e-12

"""The loss: MONAI's value, autograd's gradient."""

import pytest
import torch
from monai.losses import DiceLoss

from meddl.training import losses
from meddl.training.losses import dice_cross_entropy, sum_of_dice_cross_entropies


def example(seed=0, ignore=False):
    rng = torch.Generator().manual_seed(seed)
    scores = torch.randn((2, 5, 6, 4, 3), generator=rng, requires_grad=True)
    target = torch.randint(-1 if ignore else 0, 5, (2, 6, 4, 3), generator=rng)
    return scores, target


def composed(scores, target, balance, smooth=1.0):
    """The same loss in torch's own operations."""
    seen = (target >= 0).float()
    one_hot = torch.nn.functional.one_hot(target.clamp_min(0), scores.shape[1]).permute(0, 4, 1, 2, 3) * seen[:, None]
    probability = scores.softmax(dim=1) * seen[:, None]
    axes = (0, 2, 3, 4)
    dice = (2 * (probability * one_hot).sum(axes) + smooth) / (probability.sum(axes) + one_hot.sum(axes) + smooth)
    present = one_hot.sum(axes) > 0
    return 1 - dice[present].mean() + cross_entropy(scores, target, balance)


def cross_entropy(scores, target, balance):
    """Torch's, a class weighted by its size to the power of -`balance`."""
    size = torch.bincount(target[target >= 0], minlength=scores.shape[1]).float()
    return torch.nn.functional.cross_entropy(scores, target, weight=size.clamp_min(1)**-balance, ignore_index=-1)


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_it_is_monais_dice_plus_torchs_weighted_cross_entropy(balance):
    scores, target = example()
    dice = DiceLoss(softmax=True, to_onehot_y=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)(scores, target[:, None])
    expected = dice + cross_entropy(scores, target, balance)
    torch.testing.assert_close(dice_cross_entropy(scores, target, balance=balance), expected)


def test_by_default_it_is_monais_dice_plus_torchs_cross_entropy():
    scores, target = example()
    dice = DiceLoss(softmax=True, to_onehot_y=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)(scores, target[:, None])
    torch.testing.assert_close(dice_cross_entropy(scores, target),
                               dice + torch.nn.functional.cross_entropy(scores, target))


@pytest.mark.parametrize("balance", [0.0, 0.5])
@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("block", [7, 1 << 13])
def test_value_and_gradient_are_those_of_autograd(balance, ignore, block, monkeypatch):
    monkeypatch.setattr(losses, "_BLOCK", block)
    scores, target = example(3, ignore)
    target[target == 2] = 1  # a class that is not there
    loss = dice_cross_entropy(scores, target, balance=balance)
    (gradient,) = torch.autograd.grad(loss * 1.7, scores)
    expected = composed(scores, target, balance)
    (expected_gradient,) = torch.autograd.grad(expected * 1.7, scores)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-7, rtol=1e-4)


def test_voxels_outside_the_field_of_view_get_no_gradient():
    scores, target = example(1, ignore=True)
    dice_cross_entropy(scores, target).backward()
    assert not scores.grad.permute(0, 2, 3, 4, 1)[target < 0].any()
    assert scores.grad.permute(0, 2, 3, 4, 1)[target >= 0].any()


def test_a_perfect_answer_costs_next_to_nothing():
    _, target = example()
    scores = torch.nn.functional.one_hot(target, 5).permute(0, 4, 1, 2, 3) * 40.0
    assert dice_cross_entropy(scores, target) < 1e-3


def test_groups_of_channels_are_scored_apart_and_added_up():
    scores, target = example(5, ignore=True)
    other = torch.where(target < 3, target.clamp_max(1), -1)
    target = target.clamp_max(2)
    loss = sum_of_dice_cross_entropies(scores, [(3, 1.0, target), (2, 0.5, other)], balance=0.5)
    expected = composed(scores[:, :3], target, 0.5) + 0.5 * composed(scores[:, 3:], other, 0.5)
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(value, scores)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-4)

"""Losses of segmentation, without one-hot copies."""

import torch


class _DiceCrossEntropy(torch.autograd.Function):
    """Soft Dice plus cross-entropy with the gradient written out: four passes over the scores."""

    @staticmethod
    def forward(ctx, scores, target, smooth):
        probabilities = scores.float().softmax(dim=1)
        seen = target >= 0
        index = target.clamp_min(0)[:, None]
        at_target = probabilities.gather(1, index)
        classes = scores.shape[1]
        count = seen.sum().clamp_min(1)
        cross_entropy = -(at_target.clamp_min(1e-7).log()[:, 0] * seen).sum() / count
        zero = torch.zeros(classes, device=scores.device)
        overlap = zero.scatter_add(0, index[:, 0], at_target[:, 0] * seen)
        size = zero.scatter_add(0, index[:, 0], seen.float())
        predicted = seen.float() @ probabilities
        numerator, denominator = 2 * overlap + smooth, predicted + size + smooth
        present = (size > 0).float()
        share = present / present.sum().clamp_min(1)
        ctx.save_for_backward(probabilities, index, seen, numerator, denominator, share, count)
        return 1 - (share * numerator / denominator).sum() + cross_entropy

    @staticmethod
    def backward(ctx, grad_output):
        probabilities, index, seen, numerator, denominator, share, count = ctx.saved_tensors
        at_target = probabilities.gather(1, index)[:, 0]
        rising = share * numerator / denominator**2
        falling = (-2 * share / denominator)[index[:, 0]]
        inner = probabilities @ rising + at_target * falling
        weight = seen * grad_output
        gradient = probabilities * ((rising - inner[:, None] + 1 / count) * weight[:, None])
        gradient.scatter_add_(1, index, ((at_target * falling - 1 / count) * weight)[:, None])
        return gradient, None, None


def dice_cross_entropy(scores: torch.Tensor, target: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """One minus the mean soft Dice of the classes that are there, plus the mean cross-entropy.

    Args:
        scores: (B, C, I, J, K), cheapest in channels-last memory.
        target: (B, I, J, K) integer classes; voxels with -1 do not count.

    Dice is taken over the whole batch (Milletari et al. 2016, doi:10.1109/3DV.2016.79).
    """
    flat = scores.permute(0, 2, 3, 4, 1).reshape(-1, scores.shape[1])
    return _DiceCrossEntropy.apply(flat, target.reshape(-1), smooth)

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
        zero = torch.zeros(classes, device=scores.device)
        overlap = zero.scatter_add(0, index[:, 0], at_target[:, 0] * seen)
        size = zero.scatter_add(0, index[:, 0], seen.float())
        weight = size.clamp_min(1).rsqrt() / size.sqrt().sum().clamp_min(1)  # a class counts as the root of its size
        cross_entropy = -(at_target.clamp_min(1e-7).log()[:, 0] * seen * weight[index[:, 0]]).sum()
        predicted = seen.float() @ probabilities
        numerator, denominator = 2 * overlap + smooth, predicted + size + smooth
        present = (size > 0).float()
        share = present / present.sum().clamp_min(1)
        ctx.save_for_backward(probabilities, index, seen, numerator, denominator, share, weight)
        return 1 - (share * numerator / denominator).sum() + cross_entropy

    @staticmethod
    def backward(ctx, grad_output):
        probabilities, index, seen, numerator, denominator, share, weight = ctx.saved_tensors
        at_target = probabilities.gather(1, index)[:, 0]
        rising = share * numerator / denominator**2
        falling = (-2 * share / denominator)[index[:, 0]]
        inner = probabilities @ rising + at_target * falling
        weight, scale = weight[index[:, 0]], seen * grad_output
        gradient = probabilities * ((rising - inner[:, None] + weight[:, None]) * scale[:, None])
        gradient.scatter_add_(1, index, ((at_target * falling - weight) * scale)[:, None])
        return gradient, None, None


def dice_cross_entropy(scores: torch.Tensor, target: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """One minus the mean soft Dice of the classes that are there, plus a balanced cross-entropy.

    Args:
        scores: (B, C, I, J, K), cheapest in channels-last memory.
        target: (B, I, J, K) integer classes; voxels with -1 do not count.

    Dice is taken over the whole batch (Milletari et al. 2016, doi:10.1109/3DV.2016.79). In the cross-entropy a
    class counts as much as the square root of its number of voxels: between plain, where the background is all,
    and inverse frequency, where noise in the smallest structure is.
    """
    flat = scores.permute(0, 2, 3, 4, 1).reshape(-1, scores.shape[1])
    return _DiceCrossEntropy.apply(flat, target.reshape(-1), smooth)

"""Losses of segmentation, without one-hot copies."""

import math
from collections.abc import Iterator

import torch

from meddl.core.errors import DivergenceError
from meddl.training.processes import sum_over_processes

_BLOCK = 1 << 13  # voxels treated at once on a CPU, which fit into its cache


class _DiceCrossEntropy(torch.autograd.Function):
    """Soft Dice plus cross-entropy of groups of channels, with the gradient written out."""

    @staticmethod
    def forward(ctx, scores, smooth, balance, factors, *targets):
        probabilities = torch.empty(scores.shape[::-1], device=scores.device)  # by class: long rows
        loss, kept, first = 0.0, [], 0
        for (classes, factor), target in zip(factors, targets, strict=True):
            channels, first = slice(first, first + classes), first + classes
            seen, index = (target >= 0).float(), target.clamp_min(0)
            overlap, predicted, size = torch.zeros((3, classes), device=scores.device)
            size.scatter_add_(0, index, seen)
            sum_over_processes(size)
            weight = size.clamp_min(1) ** -balance / (size ** (1 - balance)).sum().clamp_min(1)
            cross_entropy = torch.zeros((), device=scores.device)
            for part in _blocks(scores):
                found = torch.softmax(scores[part, channels].t().contiguous().float(), dim=0)
                probabilities[channels, part] = found
                at_target = found.gather(0, index[None, part])[0]
                overlap.scatter_add_(0, index[part], at_target * seen[part])
                predicted += found @ seen[part]
                cross_entropy -= (at_target.clamp_min(1e-7).log() * weight[index[part]] * seen[part]).sum()
            sum_over_processes(overlap, predicted, cross_entropy)
            numerator, denominator = 2 * overlap + smooth, predicted + size + smooth
            present = (size > 0).float()
            fraction = present / present.sum().clamp_min(1)
            loss = loss + factor * (1 - (fraction * numerator / denominator).sum() + cross_entropy)
            kept += [seen, index, fraction * numerator / denominator**2, -2 * fraction / denominator, weight]
        ctx.factors = factors
        ctx.save_for_backward(probabilities, *kept)
        return loss

    @staticmethod
    def backward(ctx, grad_output):
        probabilities, *kept = ctx.saved_tensors
        gradient = torch.empty(probabilities.shape[::-1], device=probabilities.device)
        first = 0
        for number, (classes, factor) in enumerate(ctx.factors):
            channels, first = slice(first, first + classes), first + classes
            seen, index, rising, falling, weight = kept[5 * number:5 * number + 5]
            for part in _blocks(gradient):
                found, target = probabilities[channels, part], index[None, part]
                at_target = found.gather(0, target)[0]
                scale, weights, slope = seen[part] * (grad_output * factor), weight[target[0]], falling[target[0]]
                level = (weights - rising @ found - at_target * slope) * scale
                block = torch.addcmul(level, scale, rising[:, None]).mul_(found)
                block.scatter_add_(0, target, ((at_target * slope - weights) * scale)[None])
                gradient[part, channels] = block.t()
        return gradient, None, None, None, *[None] * len(ctx.factors)


def _blocks(rows: torch.Tensor) -> Iterator[slice]:
    step = _BLOCK if rows.device.type == "cpu" else max(1, len(rows))
    return (slice(begin, begin + step) for begin in range(0, len(rows), step))


def check_finite(loss: float, step: int) -> None:
    """Refuse a loss from which nothing more can be learned.

    Raises:
        DivergenceError: it is infinite or not a number.
    """
    if not math.isfinite(loss):
        raise DivergenceError(f"The training diverged: up to step {step} its loss is {loss}. The checkpoint before it "
                              "is kept. Take a lower learning rate, or set the environment variable "
                              "MEDDL_PRECISION=float32, and start again in another folder.")


def dice_cross_entropy(scores: torch.Tensor, target: torch.Tensor, smooth: float = 1.0,
                       balance: float = 0.0) -> torch.Tensor:
    """One minus the mean soft Dice of the classes that are there, plus cross-entropy.

    Args:
        scores: (B, C, I, J, K), cheapest in channels-last memory.
        target: (B, I, J, K) integer classes; voxels with -1 do not count.
        balance: a class counts in the cross-entropy by its number of voxels to the power of 1 - `balance`: 0, every
            voxel alike; 0.5, between that, where the background is nearly all, and 1, inverse frequency, where noise in
            the smallest structure is. Above 0 it is learned faster and comes out too large.

    Dice is taken over the whole batch, of all processes together (Milletari et al. 2016, doi:10.1109/3DV.2016.79).
    """
    return sum_of_dice_cross_entropies(scores, [(scores.shape[1], 1.0, target)], smooth, balance)


def sum_of_dice_cross_entropies(scores: torch.Tensor, parts: list[tuple[int, float, torch.Tensor]],
                                smooth: float = 1.0, balance: float = 0.0) -> torch.Tensor:
    """The sum of `dice_cross_entropy` over groups of channels that lie one after another.

    Args:
        scores: (B, C, I, J, K), or those of some voxels, (N, C).
        parts: of each group the number of channels, together C, the factor in the sum, and the target.
    """
    flat = scores if scores.ndim == 2 else scores.permute(0, 2, 3, 4, 1).reshape(-1, scores.shape[1])
    return _DiceCrossEntropy.apply(flat, smooth, balance, [part[:2] for part in parts],
                                   *(target.reshape(-1) for _, _, target in parts))

"""Instance and group normalization of an image whose channels lie side by side in memory.

The numbers of an image, of which every C-th is of one channel, are taken as rows of a few thousand: mean and variance
are found for each place in a row, by float32 sums as short as there are rows, and joined to those of channels in
float64 (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
Statistician 37, 1983, doi:10.1080/00031305.1983.10483115). Long rows are also what a processor reads fastest.

Y. Wu, K. He, "Group Normalization", ECCV 2018, doi:10.1007/978-3-030-01261-8_1; D. Ulyanov et al., "Instance
Normalization: The Missing Ingredient for Fast Stylization", 2016, doi:10.48550/arXiv.1607.08022.
"""

import torch
import torch.nn.functional as F

_ROW = 1 << 12  # numbers side by side
_BLOCK = 1 << 16  # numbers treated at once, which fit into a processor's cache
_NO_ACTIVATION = 1.0


def channels_last_norm(image: torch.Tensor, groups: int, weight: torch.Tensor | None, bias: torch.Tensor | None,
                       eps: float, in_place: bool = False, slope: float = _NO_ACTIVATION) -> torch.Tensor:
    """Each group of channels of each image with mean 0 and variance 1, times weight plus bias.

    Args:
        image: (B, C, I, J, K) float32, contiguous as channels-last.
        groups: of channels; C for instance normalization.
        weight, bias: (C,), or None.
        in_place: write the answer over the image.
        slope: what answers below zero are then multiplied by, as a leaky rectifier does; 0: a plain one.

    Returns:
        The same shape and memory layout.
    """
    result = image if in_place else torch.empty_like(image)
    channels = image.shape[1]
    for source, target in zip(image, result, strict=True):
        numbers, out = (x.permute(1, 2, 3, 0).reshape(-1) for x in (source, target))
        scale, shift = _scale_and_shift(numbers, groups, channels, weight, bias, eps)
        width = channels * _repeats(numbers, channels)
        whole = len(numbers) - len(numbers) % width
        for begin, end, row in ((0, whole, width), (whole, len(numbers), channels)):
            lines = [x[begin:end].reshape(-1, row).split(max(1, _BLOCK // row)) for x in (numbers, out)]
            factors = [factor.repeat(row // channels) for factor in (scale, shift)]
            for block, into in zip(*lines, strict=True):
                torch.addcmul(factors[1], block, factors[0], out=into)
                if slope != _NO_ACTIVATION:
                    F.leaky_relu_(into, slope)
    return result


def _repeats(numbers: torch.Tensor, channels: int) -> int:
    """How many voxels lie in a row."""
    return max(1, min(_ROW, len(numbers)) // channels)


def _scale_and_shift(numbers: torch.Tensor, groups: int, channels: int, weight, bias,
                     eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(C,) float32 each: the answer is `numbers * scale + shift`."""
    mean, variance = _moments(numbers, channels)
    mean = mean.reshape(groups, -1)
    middle = mean.mean(dim=1, keepdim=True)
    spread = (variance.reshape(groups, -1) + (mean - middle).square()).mean(dim=1, keepdim=True)
    scale = (1 / (spread + eps).sqrt()).expand_as(mean).reshape(-1)
    scale = scale if weight is None else scale * weight
    shift = -middle.expand_as(mean).reshape(-1) * scale
    shift = shift if bias is None else shift + bias
    return scale.float(), shift.float()


def _moments(numbers: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel, (C,) float64."""
    width = channels * _repeats(numbers, channels)
    whole = len(numbers) - len(numbers) % width
    rows = numbers[:whole].as_strided((1, width, whole // width, 1), (whole, 1, width, width))
    mean, variance = (part.double().reshape(-1, channels)
                      for part in torch.batch_norm_update_stats(rows, None, None, 0.0))
    rest = numbers[whole:].reshape(-1, channels).double()
    count, more = whole // channels, len(rest)
    total = (count * mean.mean(dim=0) + rest.sum(dim=0)) / (count + more)
    squares = count * (variance + (mean - total).square()).mean(dim=0) + (rest - total).square().sum(dim=0)
    return total, squares / (count + more)

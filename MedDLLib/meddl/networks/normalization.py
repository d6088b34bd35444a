"""Instance and group normalization of an image whose channels lie side by side in memory.

The numbers of an image, of which every C-th is of one channel, are taken as rows of a few thousand: mean and variance
are found for each place in a row, by float32 sums as short as there are rows, and joined to those of channels in
float64 (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
Statistician 37, 1983, doi:10.1080/00031305.1983.10483115). Long rows are also what a processor reads fastest. A small
image is turned to have channels one after another instead, as torch normalizes best, and back.

Y. Wu, K. He, "Group Normalization", ECCV 2018, doi:10.1007/978-3-030-01261-8_1; D. Ulyanov et al., "Instance
Normalization: The Missing Ingredient for Fast Stylization", 2016, doi:10.48550/arXiv.1607.08022.
"""

import torch
import torch.nn.functional as F

_ROW = 1 << 11  # numbers side by side
_BLOCK = 1 << 17  # numbers treated at once, which fit into a processor's cache
_SMALL = 1 << 16  # numbers of an image up to which it is turned
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
    if image[0].numel() <= _SMALL:
        found = F.group_norm(image.contiguous(), groups, weight, bias, eps)
        return result.copy_(found if slope == _NO_ACTIVATION else F.leaky_relu_(found, slope))
    channels = image.shape[1]
    sources, targets = ([part.permute(1, 2, 3, 0).reshape(-1) for part in x] for x in (image, result))
    factors = _scale_and_shift(sources, groups, channels, weight, bias, eps)
    for source, target, scale, shift in zip(sources, targets, *factors, strict=True):
        width, whole = _rows(source, channels)
        for begin, end, row in ((0, whole, width), (whole, len(source), channels)):
            lines = [x[begin:end].reshape(-1, row).split(max(1, _BLOCK // row)) for x in (source, target)]
            long_scale, long_shift = (factor.repeat(row // channels) for factor in (scale, shift))
            for block, into in zip(*lines, strict=True):
                torch.addcmul(long_shift, block, long_scale, out=into)
                if slope != _NO_ACTIVATION:
                    F.leaky_relu_(into, slope)
    return result


def _rows(numbers: torch.Tensor, channels: int) -> tuple[int, int]:
    """How many numbers lie in a row, and how many in all whole rows."""
    width = channels * max(1, min(_ROW, len(numbers)) // channels)
    return width, len(numbers) - len(numbers) % width


def _scale_and_shift(images: list[torch.Tensor], groups: int, channels: int, weight, bias,
                     eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C) float32 each: the answers are `image * scale + shift`."""
    mean, variance = _moments(images, channels)
    shape = (len(images), groups, -1)
    mean, variance = mean.reshape(shape), variance.reshape(shape)
    middle = mean.mean(dim=2, keepdim=True)
    if groups < channels:
        variance = (variance + (mean - middle).square()).mean(dim=2, keepdim=True)
    scale = (variance + eps).rsqrt().expand_as(mean).reshape(-1, channels)
    scale = scale if weight is None else scale * weight
    shift = -middle.expand_as(mean).reshape(-1, channels) * scale
    shift = shift if bias is None else shift + bias
    return scale.float(), shift.float()


def _moments(images: list[torch.Tensor], channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel, (B, C) float64."""
    width, whole = _rows(images[0], channels)
    lines = [numbers[:whole].as_strided((1, width, whole // width, 1), (whole, 1, width, width)) for numbers in images]
    found = [torch.stack(torch.batch_norm_update_stats(rows, None, None, 0.0)) for rows in lines]
    means, variances = torch.stack(found, dim=1).double().reshape(2, len(images), -1, channels)
    mean = means.mean(dim=1)
    variance = (variances + (means - mean[:, None]).square()).mean(dim=1)
    if whole == len(images[0]):
        return mean, variance
    rest = torch.stack([numbers[whole:].reshape(-1, channels) for numbers in images]).double()
    count, more = whole // channels, rest.shape[1]
    total = (count * mean + rest.sum(dim=1)) / (count + more)
    squares = count * (variance + (mean - total).square()) + (rest - total[:, None]).square().sum(dim=1)
    return total, squares / (count + more)

"""Instance and group normalization of an image whose channels lie side by side in memory.

The numbers of an image, of which every C-th is of one channel, are taken as rows of a few thousand: mean and variance
are found for each place in a row, by float32 sums as short as there are rows, and joined to those of channels in
float64 (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
Statistician 37, 1983, doi:10.1080/00031305.1983.10483115). Long rows are also what a processor reads fastest. A small
image is turned to have channels one after another instead, as torch normalizes best, and back.

Y. Wu, K. He, "Group Normalization", ECCV 2018, doi:10.1007/978-3-030-01261-8_1; D. Ulyanov et al., "Instance
Normalization: The Missing Ingredient for Fast Stylization", 2016, doi:10.48550/arXiv.1607.08022.
"""

import numpy as np
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
    weight, bias = (None if part is None else part.detach().numpy() for part in (weight, bias))
    for source, target in zip(image, result, strict=True):
        numbers, answers = (part.permute(1, 2, 3, 0).reshape(-1) for part in (source, target))
        width = channels * max(1, _ROW // channels)
        whole = len(numbers) - len(numbers) % width
        mean, variance = _moments(numbers, whole, width, channels)
        scale, shift = _scale_and_shift(mean, variance, groups, weight, bias, eps)
        for begin, end, row in ((0, whole, width), (whole, len(numbers), channels)):
            if begin < end:
                factors = [torch.from_numpy(np.tile(factor, row // channels)) for factor in (scale, shift)]
                _answer(numbers[begin:end].view(-1, row), answers[begin:end].view(-1, row), *factors, slope)
    return result


def _answer(rows: torch.Tensor, answers: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, slope: float) -> None:
    """Write `rows * scale + shift`, activated, block by block."""
    at_once = max(1, _BLOCK // rows.shape[1])
    for block, into in zip(rows.split(at_once), answers.split(at_once), strict=True):
        torch.addcmul(shift, block, scale, out=into)
        if slope != _NO_ACTIVATION:
            F.leaky_relu_(into, slope)


def _scale_and_shift(mean: np.ndarray, variance: np.ndarray, groups: int, weight: np.ndarray | None,
                     bias: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """(C,) float32 each, from mean and variance of each channel: the answer is `numbers * scale + shift`."""
    channels = len(mean)
    if groups < channels:
        mean, variance = mean.reshape(groups, -1), variance.reshape(groups, -1)
        middle = mean.mean(axis=1, keepdims=True)
        variance = (variance + (mean - middle)**2).mean(axis=1, keepdims=True)
        mean, variance = (np.broadcast_to(part, (groups, channels // groups)).reshape(-1)
                          for part in (middle, variance))
    scale = 1 / np.sqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return scale.astype(np.float32), shift.astype(np.float32)


def _moments(numbers: torch.Tensor, whole: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel, (C,) float64; `whole` numbers lie in rows of `width`."""
    rows = numbers.as_strided((1, width, whole // width, 1), (whole, 1, width, width), numbers.storage_offset())
    means, variances = (part.numpy().astype(np.float64).reshape(-1, channels)
                        for part in torch.batch_norm_update_stats(rows, None, None, 0.0))
    mean = means.mean(axis=0)
    variance = (variances + (means - mean)**2).mean(axis=0)
    if whole == len(numbers):
        return mean, variance
    rest = numbers[whole:].view(-1, channels).numpy().astype(np.float64)
    count, more = whole // channels, len(rest)
    total = (count * mean + rest.sum(axis=0)) / (count + more)
    squares = count * (variance + (mean - total)**2) + ((rest - total)**2).sum(axis=0)
    return total, squares / (count + more)

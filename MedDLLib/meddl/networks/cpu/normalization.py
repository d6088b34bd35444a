"""Instance and group normalization of an image whose channels lie side by side in memory.

The numbers of an image, of which every C-th is of one channel, are taken as rows of a few thousand: mean and variance
are found for each place in a row, by float32 sums as short as there are rows, and joined to those of channels in
float64 (T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
Statistician 37, 1983, doi:10.1080/00031305.1983.10483115). Long rows are also what a processor reads fastest. A small
image is turned to have channels one after another instead, as torch normalizes best, and back.

Y. Wu, K. He, "Group Normalization", ECCV 2018, doi:10.1007/978-3-030-01261-8_1; D. Ulyanov et al., "Instance
Normalization: The Missing Ingredient for Fast Stylization", 2016, doi:10.48550/arXiv.1607.08022.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from meddl.networks.cpu import buffer_pool

_ROW = 1 << 11  # numbers side by side
_BLOCK = 1 << 17  # numbers treated at once, which fit into a processor's cache
_SMALL = 1 << 16  # numbers of an image up to which it is turned
_NO_ACTIVATION = 1.0


@dataclass(frozen=True)
class Scaling:
    """What each channel of an image is multiplied by, and what is then added, and a leaky rectifier after that.

    Attributes:
        scale, shift: (C,) float32.
        slope: of the rectifier below zero; 1: none, 0: a plain one.
    """

    scale: np.ndarray
    shift: np.ndarray
    slope: float = _NO_ACTIVATION

    def write(self, numbers: torch.Tensor, into: torch.Tensor) -> None:
        """Scale numbers (N,), of which every C-th is of one channel, into others, which may be the same."""
        channels = len(self.scale)
        width = channels * max(1, _ROW // channels)
        whole = len(numbers) - len(numbers) % width
        for begin, end, row in ((0, whole, width), (whole, len(numbers), channels)):
            if begin < end:
                factors = [torch.from_numpy(np.tile(part, row // channels)) for part in (self.scale, self.shift)]
                self._write_rows(numbers[begin:end].view(-1, row), into[begin:end].view(-1, row), *factors)

    def _write_rows(self, rows: torch.Tensor, into: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> None:
        at_once = max(1, _BLOCK // rows.shape[1])
        for block, place in zip(rows.split(at_once), into.split(at_once), strict=True):
            torch.addcmul(shift, block, scale, out=place)
            if self.slope != _NO_ACTIVATION:
                F.leaky_relu_(place, self.slope)


def channels_last_norm(image: torch.Tensor, groups: int, weight: torch.Tensor | None, bias: torch.Tensor | None,
                       eps: float, in_place: bool = False, slope: float = _NO_ACTIVATION) -> torch.Tensor:
    """Each group of channels of each image with mean 0 and variance 1, times weight plus bias.

    Args:
        image: (B, C, I, J, K) float32, contiguous as channels-last.
        groups: of channels; C for instance normalization.
        weight, bias: (C,), or None.
        in_place: write the output over the image.
        slope: what outputs below zero are then multiplied by, as a leaky rectifier does; 0: a plain one.

    Returns:
        The same shape and memory layout.
    """
    result = image if in_place else buffer_pool.empty(tuple(image.shape))
    if is_small(image):
        found = F.group_norm(image.contiguous(), groups, weight, bias, eps)
        return result.copy_(found if slope == _NO_ACTIVATION else F.leaky_relu_(found, slope))
    for source, target, scaling in zip(image, result, scalings(image, groups, weight, bias, eps, slope), strict=True):
        scaling.write(*(part.permute(1, 2, 3, 0).reshape(-1) for part in (source, target)))
    return result


def is_small(image: torch.Tensor) -> bool:
    """Whether torch normalizes an image of this size as fast when it is turned."""
    return image[0].numel() <= _SMALL


def scalings(image: torch.Tensor, groups: int, weight: torch.Tensor | None, bias: torch.Tensor | None, eps: float,
             slope: float = _NO_ACTIVATION) -> list[Scaling]:
    """For each image, what `channels_last_norm` does to it; the arguments are the same."""
    channels = image.shape[1]
    weight, bias = (None if part is None else part.detach().numpy() for part in (weight, bias))
    found = []
    for source in image:
        numbers = source.permute(1, 2, 3, 0).reshape(-1)
        width = channels * max(1, _ROW // channels)
        mean, variance = _moments(numbers, len(numbers) - len(numbers) % width, width, channels)
        found.append(Scaling(*_scale_and_shift(mean, variance, groups, weight, bias, eps), slope))
    return found


def _scale_and_shift(mean: np.ndarray, variance: np.ndarray, groups: int, weight: np.ndarray | None,
                     bias: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """(C,) float32 each, from mean and variance of each channel: the output is `numbers * scale + shift`."""
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

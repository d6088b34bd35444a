"""Instance and group normalization of an image whose channels lie side by side in memory.

The image is taken as rows, one a voxel, in blocks that fit into a processor's cache: once for the sums, once for the
answer. Sums are taken about a value near the mean and added up in float64, so that nothing is lost where the mean is
large against the standard deviation.

Y. Wu, K. He, "Group Normalization", ECCV 2018, doi:10.1007/978-3-030-01261-8_1; D. Ulyanov et al., "Instance
Normalization: The Missing Ingredient for Fast Stylization", 2016, doi:10.48550/arXiv.1607.08022.
"""

import torch

_BLOCK = 1 << 17  # numbers


def channels_last_norm(image: torch.Tensor, groups: int, weight: torch.Tensor | None, bias: torch.Tensor | None,
                       eps: float, in_place: bool = False) -> torch.Tensor:
    """Each group of channels of each image with mean 0 and variance 1, times weight plus bias.

    Args:
        image: (B, C, I, J, K) float32, contiguous as channels-last.
        groups: of channels; C for instance normalization.
        weight, bias: (C,), or None.
        in_place: write the answer over the image.

    Returns:
        The same shape and memory layout.
    """
    result = image if in_place else torch.empty_like(image)
    for source, target in zip(image, result, strict=True):
        channels = source.shape[0]
        rows, out = (x.permute(1, 2, 3, 0).reshape(-1, channels) for x in (source, target))
        scale, shift = _scale_and_shift(rows, groups, weight, bias, eps)
        for block, into in zip(*(x.split(_rows(channels)) for x in (rows, out)), strict=True):
            torch.addcmul(shift, block, scale, out=into)
    return result


def _rows(channels: int) -> int:
    return max(1, _BLOCK // channels)


def _scale_and_shift(rows: torch.Tensor, groups: int, weight, bias, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(C,) float32 each: the answer is `rows * scale + shift`."""
    count, channels = rows.shape
    blocks = rows.split(_rows(channels))
    near = blocks[0].mean(dim=0)
    difference = torch.empty_like(blocks[0])
    sums, squares = [], []
    for block in blocks:
        part = torch.sub(block, near, out=difference[:len(block)])
        sums.append(part.sum(dim=0))
        squares.append(part.mul_(part).sum(dim=0))
    offset = torch.stack(sums).double().sum(dim=0) / count
    variance = torch.stack(squares).double().sum(dim=0) / count - offset.square()
    mean = (near + offset).reshape(groups, -1)
    middle = mean.mean(dim=1, keepdim=True)
    spread = (variance.reshape(groups, -1) + (mean - middle).square()).mean(dim=1, keepdim=True).clamp_min(0)
    scale = (1 / (spread + eps).sqrt()).expand_as(mean).reshape(-1)
    scale = scale if weight is None else scale * weight
    shift = -middle.expand_as(mean).reshape(-1) * scale
    shift = shift if bias is None else shift + bias
    return scale.float(), shift.float()

"""Fields on few control points, enlarged to images, and sums over boxes: matrix products along each axis."""

from functools import lru_cache

import torch


@lru_cache(maxsize=256)
def _linear(few: int, many: int, device: torch.device) -> torch.Tensor:
    """(many, few) weights of linear interpolation; the first and the last points coincide."""
    places = torch.linspace(0, few - 1, many, dtype=torch.float64)[:, None]
    weights = (1 - (places - torch.arange(few, dtype=torch.float64)).abs()).clamp_min(0)
    return weights.float().to(device)


@lru_cache(maxsize=64)
def _band(size: int, reach: int, device: torch.device) -> torch.Tensor:
    """(size, size) ones for voxels at most `reach` apart."""
    index = torch.arange(size)
    return ((index[:, None] - index).abs() <= reach).float().to(device)


def along_axes(field: torch.Tensor, matrices) -> torch.Tensor:
    """A field (..., i, j, k) with a matrix (I, i), (J, j), (K, k) applied to each of its last three axes."""
    first, second, third = matrices
    lead, (i, j, k) = field.shape[:-3], field.shape[-3:]
    found = torch.matmul(first, field.reshape(-1, i, j * k)).reshape(-1, j, k)
    found = torch.matmul(torch.matmul(second, found).reshape(-1, k), third.T)
    return found.reshape(*lead, len(first), len(second), len(third))


def enlarge(field: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """A field (..., i, j, k) on `shape` by linear interpolation, the outermost points where they are."""
    return along_axes(field, [_linear(few, many, field.device) for few, many in zip(field.shape[-3:], shape,
                                                                                    strict=True)])


def box_sums(image: torch.Tensor, reach: int) -> torch.Tensor:
    """Sum over a cube of `reach` voxels to each side of each voxel of an image (..., I, J, K); zero beyond it."""
    return along_axes(image, [_band(size, reach, image.device) for size in image.shape[-3:]])

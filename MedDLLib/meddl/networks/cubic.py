"""Cubic spline interpolation inside networks: the floor to which they add detail."""

from functools import lru_cache

import numpy as np
import torch

from meddl.spatial.bspline import apply_along, cubic_weights


def resized_count(count: int, factor: float) -> int:
    """Voxels over the field of view of `count` voxels once they are smaller by `factor`: round(n d / d')."""
    return max(1, round(count * factor))


def cubic_along(x: torch.Tensor, axis: int, factor: float, size: int | None = None) -> torch.Tensor:
    """Cubic spline interpolation of one axis at `size` positions about the same center, 1 / `factor` voxels apart.

    Args:
        size: by default as many as cover the same field of view.
    """
    count = x.shape[axis]
    return apply_along(_matrix(count, size or resized_count(count, factor), factor, x.dtype, x.device), x, axis)


def cubic_twice(x: torch.Tensor) -> torch.Tensor:
    """(B, C, I, J, K) to (B, C, 2I, 2J, 2K), by cubic splines."""
    for axis in (2, 3, 4):
        x = cubic_along(x, axis, 2.0)
    return x


@lru_cache(maxsize=512)  # on the device too: a program would wait for each copy to a GPU
def _matrix(count: int, size: int, factor: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    weights = cubic_weights(count, (np.arange(size) - (size - 1) / 2) / factor + (count - 1) / 2)
    with torch.inference_mode(False):  # for training too
        return torch.tensor(weights, dtype=dtype).to(device)  # made on the CPU: MPS has no float64

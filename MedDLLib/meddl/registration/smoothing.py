"""Smoothing along the three axes of a grid, each by a matrix product.

A separable filter over n samples is an (n, n) matrix. As dense products these matrices run near the peak of
a CPU or GPU whatever the width of the filter, and the handling of the edges is part of the matrix.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import ive


def gaussian_matrix(count: int, sigma: float) -> np.ndarray:
    """Matrix (count, count) that smooths samples by a Gaussian; `sigma` in samples, 0 for none.

    The discrete Gaussian, whose variance is sigma squared at any sigma (T. Lindeberg, "Scale-space for
    discrete signals", IEEE Transactions on Pattern Analysis and Machine Intelligence 12(3), 1990,
    doi:10.1109/34.49051). Edges: the samples are mirrored about the ends of the field of view (d c b a | a b
    c d), so that rows and columns sum to 1: constants stay, and nothing is lost over the edge.
    """
    if sigma <= 0 or count == 1:
        return np.eye(count)
    reach = int(np.ceil(5 * sigma)) + 1
    kernel = ive(np.arange(reach + 1), sigma ** 2)
    kernel /= kernel[0] + 2 * kernel[1:].sum()
    matrix = np.zeros((count, count))
    rows = np.arange(count)
    for offset in range(-reach, reach + 1):
        mirrored = (rows + offset) % (2 * count)
        columns = np.where(mirrored < count, mirrored, 2 * count - 1 - mirrored)
        np.add.at(matrix, (rows, columns), kernel[abs(offset)])
    return matrix


def box_matrix(count: int, radius: int) -> np.ndarray:
    """Matrix (count, count) of sums over 2 radius + 1 samples, fewer at the ends: outside the grid is nothing."""
    places = np.arange(count)
    return (np.abs(places[:, None] - places[None]) <= radius).astype(np.float64)


class AxisFilter:
    """One matrix an axis, applied in place to any number of channels on one grid.

    Args:
        matrices: three square arrays, for i, j and k.
        like: a tensor whose device and floating type the filter works in.
        scratch: tensors (I, J, K) to work in, such as another filter's; made if not given.
        pause: called before each channel; may raise Cancelled.
    """

    def __init__(self, matrices: Sequence[np.ndarray], like: torch.Tensor,
                 scratch: tuple[torch.Tensor, torch.Tensor] | None = None, pause: Callable[[], None] = lambda: None):
        self.pause = pause
        self.shape = tuple(len(matrix) for matrix in matrices)
        self.matrices = [None if np.array_equal(matrix, np.eye(len(matrix)))
                         else torch.from_numpy(matrix).to(device=like.device, dtype=like.dtype) for matrix in matrices]
        self.scratch = scratch or (like.new_empty(self.shape), like.new_empty(self.shape))

    def __call__(self, field: torch.Tensor) -> torch.Tensor:
        """`field` (..., I, J, K), contiguous, filtered in place and returned."""
        for channel in field.view(-1, *self.shape):
            self.pause()
            self._filter(channel)
        return field

    def _filter(self, channel: torch.Tensor) -> None:
        source, (first, second) = channel, self.scratch
        depth, height, width = self.shape
        along_i, along_j, along_k = self.matrices
        if along_k is not None:
            torch.mm(source.view(-1, width), along_k.T, out=first.view(-1, width))
            source, first, second = first, second, first
        if along_j is not None:
            torch.bmm(along_j.expand(depth, height, height), source, out=first)
            source, first = first, second
        if along_i is not None:
            if source is channel:
                source = first.copy_(channel)
            torch.mm(along_i, source.view(depth, -1), out=channel.view(depth, -1))
        elif source is not channel:
            channel.copy_(source)


def gaussian_filter(shape: tuple[int, int, int], spacing_mm: Sequence[float], sigma_mm: float | Sequence[float],
                    like: torch.Tensor, scratch: tuple[torch.Tensor, torch.Tensor] | None = None,
                    pause: Callable[[], None] = lambda: None) -> AxisFilter:
    """Gaussian smoothing by `sigma_mm` (one, or one an axis) on a grid with voxels of `spacing_mm` along i, j, k.

    The same width in millimeters along every axis: fewer voxels where they are thick. See `gaussian_matrix`.
    """
    sigmas = np.broadcast_to(np.asarray(sigma_mm, dtype=np.float64), (3,)) / np.asarray(spacing_mm)
    return AxisFilter([gaussian_matrix(count, sigma) for count, sigma in zip(shape, sigmas, strict=True)],
                      like, scratch, pause)


def smooth(field: torch.Tensor, spacing_mm: Sequence[float], sigma_mm: float | Sequence[float]) -> torch.Tensor:
    """A smoothed copy of `field` (..., I, J, K), such as a displacement (3, I, J, K)."""
    return gaussian_filter(field.shape[-3:], spacing_mm, sigma_mm, field)(field.clone().contiguous())

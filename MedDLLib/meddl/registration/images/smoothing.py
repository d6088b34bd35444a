"""Smoothing along the three axes of a grid, each by matrix products.

A separable filter over n samples is an (n, n) matrix, whose nonzero elements lie near the diagonal. As dense products
of some rows with the columns that they need they run near the peak of a CPU or GPU, and the handling of the edges is
part of the matrix.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import ive

_PART_VOXELS = 1 << 20      # filtered at once: the parts stay in a CPU's cache
_GPU_PART_VOXELS = 1 << 21
_ROWS = 32                  # of a matrix in one product: fewer would multiply less, each more slowly


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
    coordinates = np.arange(count)
    return (np.abs(coordinates[:, None] - coordinates[None]) <= radius).astype(np.float64)


class _Band:
    """A matrix (n, n) with nonzero elements near its diagonal: blocks of rows, each with the columns that it needs."""

    def __init__(self, matrix: np.ndarray, like: torch.Tensor):
        rows = _ROWS if like.device.type == "cpu" else len(matrix)
        self.blocks = []
        for first in range(0, len(matrix), rows):
            block = matrix[first:first + rows]
            needed = np.flatnonzero(block.any(axis=0))
            columns = slice(int(needed[0]), int(needed[-1]) + 1)
            self.blocks.append((slice(first, first + len(block)), columns,
                                torch.from_numpy(block[:, columns]).to(like).contiguous()))

    def along_last(self, source: torch.Tensor, out: torch.Tensor) -> None:
        """The product along the second axis of (M, n)."""
        for rows, columns, block in self.blocks:
            torch.mm(source[:, columns], block.T, out=out[:, rows])

    def along_middle(self, source: torch.Tensor, out: torch.Tensor, scratch: torch.Tensor) -> None:
        """The product along the second axis of (M, n, K), by way of `scratch`.

        Only into contiguous memory all M products are one call of MKL. Otherwise torch makes M calls, each of
        which waits for all threads: a hundred times as slow where other programs keep the cores busy.
        """
        for rows, columns, block in self.blocks:
            part = out[:, rows]
            found = scratch[:part.numel()].view(part.shape)
            torch.bmm(block.expand(len(source), *block.shape), source[:, columns], out=found)
            part.copy_(found)

    def along_first(self, source: torch.Tensor, out: torch.Tensor) -> None:
        """The product along the first axis of (n, K)."""
        for rows, columns, block in self.blocks:
            torch.mm(block, source[columns], out=out[rows])


class AxisFilter:
    """One matrix an axis, applied in place to any number of channels on one grid, part by part.

    Args:
        matrices: three square arrays, for i, j and k; best with nonzero elements near the diagonal alone.
        like: a tensor whose device and floating type the filter works in.
        pause: called before each channel; may raise Cancelled.
    """

    def __init__(self, matrices: Sequence[np.ndarray], like: torch.Tensor, pause: Callable[[], None] = lambda: None):
        self.pause = pause
        self.shape = depth, height, width = tuple(len(matrix) for matrix in matrices)
        self.bands = [None if np.array_equal(matrix, np.eye(len(matrix))) else _Band(matrix, like)
                      for matrix in matrices]
        most = _PART_VOXELS if like.device.type == "cpu" else _GPU_PART_VOXELS
        self.rows = min(depth, max(1, most // (height * width)))
        self.columns = min(height * width, max(1, most // depth))
        self.scratch = like.new_empty(max(self.rows * height * width, self.columns * depth))
        self.spare = torch.empty_like(self.scratch)

    def __call__(self, field: torch.Tensor) -> torch.Tensor:
        """`field` (..., I, J, K), contiguous, filtered in place and returned."""
        for channel in field.view(-1, *self.shape):
            self.pause()
            self._filter(channel)
        return field

    def _filter(self, channel: torch.Tensor) -> None:
        depth, _, width = self.shape
        along_i, along_j, along_k = self.bands
        for part in channel.split(self.rows) if along_j is not None or along_k is not None else ():
            between = self.scratch[:part.numel()].view(part.shape)
            if along_k is None:
                between.copy_(part)
            else:
                along_k.along_last(part.view(-1, width), between.view(-1, width))
            if along_j is None:
                part.copy_(between)
            else:
                along_j.along_middle(between, part, self.spare)
        if along_i is None:
            return
        for part in channel.view(depth, -1).split(self.columns, dim=1):
            found = self.scratch[:part.numel()].view(part.shape)
            along_i.along_first(part, found)
            part.copy_(found)


def gaussian_filter(shape: Sequence[int], spacing_mm: Sequence[float] | np.ndarray,
                    sigma_mm: float | Sequence[float] | np.ndarray, like: torch.Tensor,
                    pause: Callable[[], None] = lambda: None) -> AxisFilter:
    """Gaussian smoothing by `sigma_mm` (one, or one an axis) on a grid with voxels of `spacing_mm` along i, j, k.

    The same width in millimeters along every axis: fewer voxels where they are thick. See `gaussian_matrix`.
    """
    sigmas = np.broadcast_to(np.asarray(sigma_mm, dtype=np.float64), (3,)) / np.asarray(spacing_mm)
    return AxisFilter([gaussian_matrix(count, sigma) for count, sigma in zip(shape, sigmas, strict=True)], like, pause)


def smooth(field: torch.Tensor, spacing_mm: Sequence[float] | np.ndarray,
           sigma_mm: float | Sequence[float] | np.ndarray) -> torch.Tensor:
    """A smoothed copy of `field` (..., I, J, K), such as a displacement (3, I, J, K)."""
    return gaussian_filter(field.shape[-3:], spacing_mm, sigma_mm, field)(field.clone().contiguous())


def local_variance(image: torch.Tensor, spacing_mm: Sequence[float] | np.ndarray, sigma_mm: float,
                   pause: Callable[[], None] = lambda: None) -> torch.Tensor:
    """(I, J, K): the variance of `image` (I, J, K) in a Gaussian window around each voxel."""
    window = gaussian_filter(image.shape, spacing_mm, sigma_mm, image, pause)
    mean = window(image.clone())
    return window(image.square()).addcmul_(mean, mean, value=-1).clamp_(min=0)

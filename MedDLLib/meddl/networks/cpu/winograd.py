"""3D convolutions in half the multiplications.

Along the first axis, four neighboring outputs of a kernel of three need six products instead of twelve: S. Winograd,
"Arithmetic Complexity of Computations", SIAM 1980, doi:10.1137/1.9781611970364; for networks A. Lavin, S. Gray, "Fast
Algorithms for Convolutional Neural Networks", CVPR 2016, doi:10.1109/CVPR.2016.435, F(4, 3). Six slices of the image
become six sums of them, each is convolved by oneDNN with a kernel of its own within the slice, and four slices of the
output are sums of these. Only one axis is treated so: over two or three, sums would cost what products save.

The sums are values of polynomials at some points. Those chosen round less than the usual 0, 1, -1, 2 and -2 (B.
Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", ACM
Transactions on Mathematical Software 46, 2020, doi:10.1145/3412380): no more than a direct convolution in float32.
"""

from typing import NamedTuple

import numpy as np
import torch

from meddl.networks.cpu import buffer_pool
from meddl.networks.cpu.normalization import Scaling

_TILE, _KERNEL = 4, 3
_PRODUCTS = _TILE + _KERNEL - 1
_CHANNELS = 16  # with fewer, sums cost more than products save
_PRODUCTS_WORTH_IT = 1 << 30  # of a direct convolution; with fewer, the calls cost more
_NUMBERS_AT_ONCE = 1 << 21  # of the six sums; they stay near the processor

_POINTS = (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)  # and infinity


class Geometry(NamedTuple):
    """Padding, stride and dilation of a convolution, each along I, J and K."""

    padding: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]


def _values(degree: int) -> np.ndarray:
    """The values of 1, x, x**2, ... below this degree at the points, a row each."""
    return np.vstack((np.vander(_POINTS, degree, increasing=True), np.eye(degree)[-1]))


def _factors(matrix: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))


_OF_IMAGE = _factors(np.linalg.inv(_values(_PRODUCTS)).T)
_OF_KERNEL = _factors(_values(_KERNEL))
_OF_OUTPUT = _factors(_values(_TILE).T)
_OF_BIAS = np.linalg.pinv(_values(_TILE).T).sum(axis=1)  # added to the products, 1 is added to each output


def saves(image: torch.Tensor, weight: torch.Tensor, geometry: Geometry, groups: int) -> bool:
    """Whether a convolution can be computed so, and is large enough to gain by it."""
    slices, (padding, stride, dilation) = image.shape[2], geometry
    return (groups == 1 and weight.shape[2] == _KERNEL and padding[0] == 1 and stride[0] == dilation[0] == 1
            and min(weight.shape[:2]) >= _CHANNELS
            and image[0, 0].numel() * weight.numel() >= _PRODUCTS_WORTH_IT
            and _tiles(slices) * _PRODUCTS < 0.75 * slices * _KERNEL)


def convolve(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, *,
             before: list[Scaling] | None = None, into: torch.Tensor | None = None, slope: float = 1.0) -> torch.Tensor:
    """The convolution of images, for which `saves` holds.

    Args:
        image: (B, C, I, J, K) float32, contiguous as channels-last.
        weight: (O, C, 3, kJ, kK).
        bias: (O,) or None.
        geometry: 1 each along I.
        before: for each image, what its channels go through first; it is done slice by slice, never to all of it.
        into: an image (B, O, I, J', K'), contiguous as channels-last, to which the output is added.
        slope: what outputs below zero are then multiplied by, as a leaky rectifier does; 0: a plain one.

    Returns:
        (B, O, I, J', K') float32, channels-last; `into` where it is given.
    """
    kernels = torch.mm(_OF_KERNEL, weight.movedim(2, 0).reshape(_KERNEL, -1)).view(
        _PRODUCTS, *weight.shape[:2], *weight.shape[3:])
    within = [(kernel.contiguous(memory_format=torch.channels_last), None if bias is None else bias * float(factor))
              for kernel, factor in zip(kernels, _OF_BIAS, strict=True)]
    padding, stride, dilation = (along[1:] for along in geometry)
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, s, d, k in zip(
        image.shape[3:], padding, stride, dilation, weight.shape[3:], strict=True)]
    output = buffer_pool.empty((image.shape[0], weight.shape[0], image.shape[2], *size)) if into is None else into
    for n in range(len(image)):
        _convolve_one(image[n].permute(1, 2, 3, 0), output[n].permute(1, 2, 3, 0), within,
                      (padding, stride, dilation), before[n] if before else None, into is not None, slope)
    return output


def _convolve_one(image: torch.Tensor, output: torch.Tensor, within: list[tuple], geometry: tuple,
                  before: Scaling | None, adds: bool, slope: float) -> None:
    """Write, or add, the output (I, J', K', O) of an image (I, J, K, C); `within`: kernel and bias for each sum."""
    rows, output_rows = image.flatten(1), output.flatten(1)
    slices = _Slices(rows) if before is None else _ScaledSlices(rows, before)
    tiles = _tiles(len(rows))
    at_once = max(1, min(tiles, _NUMBERS_AT_ONCE // (_PRODUCTS * max(rows.shape[1], output_rows.shape[1]))))
    sums = rows.new_empty(_PRODUCTS, at_once, rows.shape[1])
    products = rows.new_empty(_PRODUCTS, at_once, output_rows.shape[1])
    for first in range(0, tiles, at_once):
        count = min(at_once, tiles - first)
        for n in range(count):
            torch.mm(*slices.around((first + n) * _TILE - 1), out=sums[:, n])
        products[:, :count].zero_()
        for n, (kernel, bias) in enumerate(within):
            parts, found = (part[n, :count].view(count, *like.shape[1:]).permute(0, 3, 1, 2)
                            for part, like in ((sums, image), (products, output)))
            torch.ops.mkldnn._convolution_pointwise_.binary(
                found, parts, kernel, bias, *geometry, 1, "add", 1.0, None, [], None)
        for n in range(count):
            begin = (first + n) * _TILE
            into = output_rows[begin:begin + _TILE]
            factors = _OF_OUTPUT[:len(into)]
            if adds:
                torch.addmm(into, factors, products[:, n], out=into)
            else:
                torch.mm(factors, products[:, n], out=into)
            if slope != 1.0:
                torch.nn.functional.leaky_relu_(into, slope)


class _Slices:
    """Six neighboring slices of an image (I, N), zeros outside, with the factors that make the six sums of them."""

    def __init__(self, rows: torch.Tensor):
        self.rows = rows

    def around(self, start: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Factors and slices from `start` on, which may be -1."""
        begin, end = max(start, 0), min(start + _PRODUCTS, len(self.rows))
        return _OF_IMAGE[:, begin - start:end - start], self.rows[begin:end]


class _ScaledSlices:
    """The same of a scaled image: each slice is scaled once, into a ring of six. To be asked for in ascending order."""

    def __init__(self, rows: torch.Tensor, scaling: Scaling):
        self.rows, self.scaling, self.next = rows, scaling, 0
        self.ring = rows.new_zeros(_PRODUCTS, rows.shape[1])

    def around(self, start: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Factors and slices from `start` on, which may be -1."""
        for n in range(self.next, start + _PRODUCTS):
            place = self.ring[n % _PRODUCTS]
            if n < len(self.rows):
                self.scaling.write(self.rows[n], place)
            else:
                place.zero_()
        self.next = start + _PRODUCTS
        return _OF_IMAGE[:, [(n - start) % _PRODUCTS for n in range(_PRODUCTS)]], self.ring


def _tiles(slices: int) -> int:
    return -(-slices // _TILE)

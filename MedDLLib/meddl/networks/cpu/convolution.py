"""A 3D convolution in float32 on a CPU, by whichever way is fastest for its size; the output is the same by each.

All images are contiguous as channels-last. oneDNN's own operations are used as torch's compiler uses them; where a
version of torch lacks one, or it does not do what it should, another way is taken.
"""

from functools import lru_cache

import torch
from torch import nn

from meddl.networks.cpu import buffer_pool, winograd
from meddl.networks.cpu.normalization import Scaling
from meddl.networks.cpu.winograd import Geometry

_LAYOUT = torch.channels_last_3d
_NO_ACTIVATION = 1.0
_LARGE = 1 << 23  # numbers
_ENLARGED_AT_ONCE = 1 << 20  # numbers, which stay near the processor


def convolve(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, geometry: Geometry, groups: int, *,
             into: torch.Tensor | None = None, slope: float = _NO_ACTIVATION) -> torch.Tensor:
    """The convolution, by oneDNN at every size.

    Args:
        image: (B, C, I, J, K) float32.
        weight: (O, C / groups, kI, kJ, kK).
        bias: (O,) or None.
        groups: of channels that know nothing of one another.
        into: an image of the output's shape, to which the output is added.
        slope: what outputs below zero are then multiplied by, as a leaky rectifier does; 0: a plain one.

    Returns:
        (B, O, I', J', K') float32; `into` where it is given.
    """
    image = image.contiguous(memory_format=_LAYOUT)
    if _is_pointwise(weight, geometry, groups):
        return _rectify(_voxel_by_voxel(image, weight, bias, into), slope)
    if winograd.saves(image, weight, geometry, groups) and adds_in_place():
        return winograd.convolve(image, weight, bias, geometry, into=into, slope=slope)
    if into is None and groups == 1 and adds_in_place() and _wants_place(image, weight):
        into = buffer_pool.empty(_output_shape(image, weight, *geometry)).zero_()
    if into is not None:
        if groups == 1 and adds_in_place():
            return _rectify(_add(into, image, weight, bias, *geometry), slope)
        return _rectify(into.add_(torch.ops.aten.mkldnn_convolution(image, weight, bias, *geometry, groups)), slope)
    if slope == _NO_ACTIVATION or not _activates():
        return _rectify(torch.ops.aten.mkldnn_convolution(image, weight, bias, *geometry, groups), slope)
    return torch.ops.mkldnn._convolution_pointwise(image, weight, bias, *geometry, groups, "leaky_relu", [slope], "")


def convolve_scaled(image: torch.Tensor, before: list[Scaling], weight: torch.Tensor, bias: torch.Tensor | None,
                    geometry: Geometry, *, into: torch.Tensor | None = None,
                    slope: float = _NO_ACTIVATION) -> torch.Tensor | None:
    """The convolution of scaled images that are never there as a whole; None where there is no such way."""
    if not (winograd.saves(image, weight, geometry, 1) and adds_in_place()):
        return None
    return winograd.convolve(image, weight, bias, geometry, before=before, into=into, slope=slope)


def enlarge(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """The transposed convolution whose stride is its kernel, so that every voxel of the output has one product.

    Args:
        image: (B, C, I, J, K) float32.
        weight: (C, O, kI, kJ, kK).
        bias: (O,) or None.

    Returns:
        (B, O, kI * I, kJ * J, kK * K) float32.
    """
    image = image.contiguous(memory_format=_LAYOUT)
    (batch, channels, slices, *size), (_, outputs, *kernel) = image.shape, weight.shape
    output = buffer_pool.empty((batch, outputs, *(k * n for k, n in zip(kernel, (slices, *size), strict=True))))
    factors = weight.permute(0, 2, 3, 4, 1).reshape(channels, -1)
    added = None if bias is None else bias.repeat(factors.shape[1] // outputs)
    at_once = max(1, _ENLARGED_AT_ONCE // (size[0] * size[1] * factors.shape[1]))
    for n in range(batch):
        voxels = image[n].permute(1, 2, 3, 0).reshape(slices, -1, channels)
        places = output[n].permute(1, 2, 3, 0).view(slices, kernel[0], size[0], kernel[1], size[1], kernel[2], outputs)
        for begin in range(0, slices, at_once):
            part = voxels[begin:begin + at_once].flatten(0, 1)
            found = part @ factors if added is None else torch.addmm(added, part, factors)
            places[begin:begin + at_once].copy_(found.view(-1, *size, *kernel, outputs).permute(0, 3, 1, 4, 2, 5, 6))
    return output


def has_onednn() -> bool:
    """Whether this torch convolves by oneDNN."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.aten, "mkldnn_convolution")


def _is_pointwise(weight: torch.Tensor, geometry: Geometry, groups: int) -> bool:
    return (groups == 1 and weight[0, 0].numel() == 1 and all(n == 0 for n in geometry.padding)
            and all(n == 1 for n in geometry.stride))


def _wants_place(image: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether a place for the output is better given than taken by oneDNN: which is not channels-last for one channel,
    and comes fresh from the system for a large image."""
    return image.shape[1] == 1 or image.shape[0] * weight.shape[0] * image[0, 0].numel() >= _LARGE


def _output_shape(image: torch.Tensor, weight: torch.Tensor, padding, stride, dilation) -> tuple[int, ...]:
    size = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, s, d, k in zip(
        image.shape[2:], padding, stride, dilation, weight.shape[2:], strict=True))
    return (image.shape[0], weight.shape[0], *size)


def _voxel_by_voxel(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
                    into: torch.Tensor | None) -> torch.Tensor:
    """A convolution of one voxel: a product of matrices."""
    voxels, factors = image.permute(0, 2, 3, 4, 1).reshape(-1, image.shape[1]), weight.flatten(1).T
    output = buffer_pool.empty((image.shape[0], weight.shape[0], *image.shape[2:])) if into is None else into
    output_rows = output.permute(0, 2, 3, 4, 1).reshape(-1, weight.shape[0])
    if into is not None:
        torch.addmm(output_rows, voxels, factors, out=output_rows)
        return output if bias is None else output.add_(bias[:, None, None, None])
    if bias is None:
        torch.mm(voxels, factors, out=output_rows)
    else:
        torch.addmm(bias, voxels, factors, out=output_rows)
    return output


def _rectify(x: torch.Tensor, slope: float) -> torch.Tensor:
    return x if slope == _NO_ACTIVATION else nn.functional.leaky_relu_(x, slope)


def _add(result: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, padding, stride,
         dilation) -> torch.Tensor:
    """`result` plus a convolution, written over `result`."""
    return torch.ops.mkldnn._convolution_pointwise_.binary(
        result, x, weight, bias, padding, stride, dilation, 1, "add", 1.0, None, [], None)


@lru_cache(maxsize=1)
def adds_in_place() -> bool:
    """Whether this torch has the operation of `_add`, and it does what it should."""
    x, weight = torch.rand(1, 16, 4, 4, 4), torch.rand(16, 16, 1, 1, 1)
    try:
        with torch.no_grad():
            start = torch.ones(1, 16, 4, 4, 4).contiguous(memory_format=_LAYOUT)
            found = _add(start, *(part.contiguous(memory_format=_LAYOUT) for part in (x, weight)), None, [0] * 3,
                         [1] * 3, [1] * 3)
    except (AttributeError, TypeError, RuntimeError):
        return False
    return torch.allclose(found, 1 + nn.functional.conv3d(x, weight), rtol=1e-4)


@lru_cache(maxsize=1)
def _activates() -> bool:
    """As `adds_in_place`, for a convolution with a leaky rectifier after it."""
    x, weight = torch.randn(1, 16, 4, 4, 4), torch.randn(16, 16, 1, 1, 1).contiguous(memory_format=_LAYOUT)
    try:
        with torch.no_grad():
            found = torch.ops.mkldnn._convolution_pointwise(
                x.contiguous(memory_format=_LAYOUT), weight, None, [0] * 3, [1] * 3, [1] * 3, 1, "leaky_relu", [0.25],
                "")
    except (AttributeError, TypeError, RuntimeError):
        return False
    expected = nn.functional.leaky_relu(nn.functional.conv3d(x, weight), 0.25)
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-4)

"""Convolutions, normalizations and poolings that a CPU runs faster than torch's choice.

In float32, torch takes a slow general loop for 3D convolutions of one small image, and for kernels of one voxel on one
thread, where oneDNN would be several times faster; its normalizations either copy an image that is channels-last or
sum it in one long, inexact chain. The modules here give the same answer and keep the memory channels-last. On other
devices, in other types than float32 and where torch lacks oneDNN they compute as torch's do.

A layer with a `slope` multiplies what is below zero by it, as a leaky rectifier after it would; 0: a plain one.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn

from meddl.networks.normalization import channels_last_norm

_LAYOUT = torch.channels_last_3d
_NO_ACTIVATION = 1.0


class FastConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` by oneDNN at every size."""

    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self._by_onednn(x):
            return _activated(super().forward(x), self.slope)
        return self._convolved(x, self.weight, self.bias, self.slope)

    def of_pair(self, first: Callable[[], torch.Tensor], seconds: list[torch.Tensor]) -> torch.Tensor:
        """The answer for the channels of two images one after another, which are never in memory both.

        Args:
            first: gives the first image; called when the second is no longer needed.
            seconds: the last of them is the second image; it is used up.
        """
        if not (self._by_onednn(seconds[-1]) and self.groups == 1 and _adds_in_place()):
            return self(torch.cat((first(), seconds.pop()), dim=1))
        channels = self.in_channels - seconds[-1].shape[1]
        weights = [part.contiguous(memory_format=_LAYOUT)
                   for part in (self.weight[:, :channels], self.weight[:, channels:])]
        result = self._convolved(seconds.pop(), weights[1], self.bias, _NO_ACTIVATION)
        _add_convolution(result, first(), weights[0], self.padding, self.stride, self.dilation)
        return _activated(result, self.slope)

    def _convolved(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None,
                   slope: float) -> torch.Tensor:
        x, places = x.contiguous(memory_format=_LAYOUT), (self.padding, self.stride, self.dilation, self.groups)
        if slope == _NO_ACTIVATION or not _activates():
            return _activated(torch.ops.aten.mkldnn_convolution(x, weight, bias, *places), slope)
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *places, "leaky_relu", [slope], "")

    def _by_onednn(self, x: torch.Tensor) -> bool:
        return (_plain_cpu(x) and self.weight.dtype == torch.float32 and self.padding_mode == "zeros"
                and not isinstance(self.padding, str) and x.ndim == 5 and _has_onednn())


class FastInstanceNorm3d(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` that leaves its input's memory channels-last.

    Attributes:
        in_place: write the answer over the input; set on a layer whose input nothing else reads.
    """

    in_place = False
    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activated(x, self.slope)

    def activated(self, x: torch.Tensor, slope: float) -> torch.Tensor:
        """The answer with a rectifier of this slope after it."""
        if self.track_running_stats or not _runs_by_rows(x):
            return _activated(super().forward(x), slope)
        return channels_last_norm(x, x.shape[1], self.weight, self.bias, self.eps, self.in_place, slope)


class FastGroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm`, as exact for channels-last memory as for any other.

    Attributes:
        in_place: as of `FastInstanceNorm3d`.
    """

    in_place = False
    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activated(x, self.slope)

    def activated(self, x: torch.Tensor, slope: float) -> torch.Tensor:
        """The answer with a rectifier of this slope after it."""
        if not _runs_by_rows(x):
            return _activated(super().forward(x), slope)
        return channels_last_norm(x, self.num_groups, self.weight, self.bias, self.eps, self.in_place, slope)


class FastConvTranspose3d(nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` by oneDNN at every size."""

    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor, output_size=None) -> torch.Tensor:
        if not (_plain_cpu(x) and self.weight.dtype == torch.float32 and x.ndim == 5 and output_size is None
                and self.groups == 1 and _transposes()):
            return _activated(super().forward(x, output_size), self.slope)
        return _activated(_transposed_convolution(x, self.weight, self.bias, self.padding, self.output_padding,
                                                  self.stride, self.dilation), self.slope)


class FastAvgPool3d(nn.AvgPool3d):
    """`torch.nn.AvgPool3d` that leaves its input's memory channels-last, where its windows do not overlap."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = ((n,) * 3 if isinstance(n, int) else tuple(n) for n in (self.kernel_size, self.stride))
        plain = kernel == stride and self.padding in (0, (0, 0, 0)) and not (self.ceil_mode or self.divisor_override)
        if not plain or not _runs_by_rows(x) or any(n < k for n, k in zip(x.shape[2:], kernel, strict=True)):
            return super().forward(x)
        size = [n // k for n, k in zip(x.shape[2:], kernel, strict=True)]
        places = [tuple(slice(start, start + n * k, k) for start, n, k in zip(starts, size, kernel, strict=True))
                  for starts in itertools.product(*map(range, kernel))]
        total = x[(..., *places[0])].clone(memory_format=_LAYOUT)
        for place in places[1:]:
            total += x[(..., *place)]
        return total.div_(len(places))


FASTER = {nn.Conv3d: FastConv3d, nn.InstanceNorm3d: FastInstanceNorm3d, nn.GroupNorm: FastGroupNorm,
          nn.ConvTranspose3d: FastConvTranspose3d, nn.AvgPool3d: FastAvgPool3d}


def _activated(x: torch.Tensor, slope: float) -> torch.Tensor:
    return x if slope == _NO_ACTIVATION else nn.functional.leaky_relu_(x, slope)


def _plain_cpu(x: torch.Tensor) -> bool:
    return (x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
            and not x.requires_grad)


def _runs_by_rows(x: torch.Tensor) -> bool:
    return (_plain_cpu(x) and x.ndim == 5 and x.shape[1] > 1
            and x.is_contiguous(memory_format=_LAYOUT))


def _add_convolution(result: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, padding, stride,
                     dilation) -> torch.Tensor:
    """`result` plus a convolution, written over `result`."""
    return torch.ops.mkldnn._convolution_pointwise_.binary(
        result, x.contiguous(memory_format=_LAYOUT), weight, None, padding, stride, dilation, 1, "add", 1.0, None, [],
        None)


@lru_cache(maxsize=1)
def _adds_in_place() -> bool:
    """Whether this torch has that operation, which its own compiler uses, and it does what it should."""
    x, weight = torch.rand(1, 16, 4, 4, 4), torch.rand(16, 16, 1, 1, 1)
    try:
        with torch.no_grad():
            start = torch.ones(1, 16, 4, 4, 4).contiguous(memory_format=_LAYOUT)
            found = _add_convolution(start, x, weight.contiguous(memory_format=_LAYOUT), [0] * 3, [1] * 3, [1] * 3)
    except (AttributeError, TypeError, RuntimeError):
        return False
    return torch.allclose(found, 1 + nn.functional.conv3d(x, weight), rtol=1e-4)


@lru_cache(maxsize=1)
def _activates() -> bool:
    """As `_adds_in_place`, for a convolution with a leaky rectifier after it."""
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


def _transposed_convolution(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, padding, output_padding,
                            stride, dilation) -> torch.Tensor:
    return torch.ops.mkldnn._convolution_transpose_pointwise(
        x.contiguous(memory_format=_LAYOUT), weight, bias, padding, output_padding, stride, dilation, 1, "none", [], "")


@lru_cache(maxsize=1)
def _transposes() -> bool:
    """As `_adds_in_place`, for that operation."""
    x, weight = torch.rand(1, 16, 4, 4, 4), torch.rand(16, 16, 3, 3, 3)
    try:
        with torch.no_grad():
            found = _transposed_convolution(x, weight.contiguous(memory_format=_LAYOUT), None, [1] * 3, [1] * 3,
                                            [2] * 3, [1] * 3)
    except (AttributeError, TypeError, RuntimeError):
        return False
    return torch.allclose(found, nn.functional.conv_transpose3d(x, weight, None, 2, 1, 1), rtol=1e-4)


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.aten, "mkldnn_convolution")

"""Convolutions, normalizations and poolings that a CPU runs faster than torch's choice.

In float32, torch takes a slow general loop for 3D convolutions of one small image, and for kernels of one voxel on one
thread, where oneDNN would be several times faster; its normalizations either copy an image that is channels-last or
sum it in one long, inexact chain. The modules here give the same output and keep the memory channels-last. On other
devices, in other types than float32 and where torch lacks oneDNN they compute as torch's do.

A layer with a `slope` multiplies what is below zero by it, as a leaky rectifier after it would; 0: a plain one.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn

from meddl.networks.cpu import buffer_pool
from meddl.networks.cpu.convolution import convolve, convolve_scaled, enlarge, has_onednn
from meddl.networks.cpu.normalization import Scaling, channels_last_norm, is_small, scalings
from meddl.networks.cpu.winograd import Geometry

_LAYOUT = torch.channels_last_3d
_NO_ACTIVATION = 1.0
_SLICES_AT_ONCE = 16


class FastConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` by oneDNN at every size."""

    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self._by_onednn(x):
            return _rectify(super().forward(x), self.slope)
        return convolve(x, self.weight, self.bias, self._geometry, self.groups, slope=self.slope)

    def add_to(self, result: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`result` plus the output, activated; written over `result` where its memory is channels-last."""
        if not (self._by_onednn(x) and _runs_by_rows(result)):
            return _rectify(result.add_(super().forward(x)), self.slope)
        return convolve(x, self.weight, self.bias, self._geometry, self.groups, into=result, slope=self.slope)

    def of_normalized(self, norm: nn.Module, x: torch.Tensor, slope: float,
                      added_to: torch.Tensor | None = None) -> torch.Tensor:
        """The output for an image that is first normalized and rectified, which never is in memory as a whole.

        Args:
            norm: the normalization, one of this file's.
            x: the image.
            slope: of the rectifier after the normalization; 1: none.
            added_to: as of the method `add_to`.
        """
        if self._by_onednn(x) and self.groups == 1 and (added_to is None or _runs_by_rows(added_to)):
            found = norm.scalings(x, slope)
            if found is not None:
                output = convolve_scaled(x, found, self.weight, self.bias, self._geometry, into=added_to,
                                         slope=self.slope)
                if output is not None:
                    return output
        x = norm.rectify(x, slope)
        return self(x) if added_to is None else self.add_to(added_to, x)

    def of_pair(self, first: Callable[[], torch.Tensor], seconds: list[torch.Tensor]) -> torch.Tensor:
        """The output for the channels of two images one after another, which are never in memory both.

        Args:
            first: gives the first image; called when the second is no longer needed.
            seconds: the last of them is the second image; it is used up.
        """
        if not self.takes_pairs(seconds[-1]):
            return self(torch.cat((first(), seconds.pop()), dim=1))
        channels = self.in_channels - seconds[-1].shape[1]
        weights = [part.contiguous(memory_format=_LAYOUT)
                   for part in (self.weight[:, :channels], self.weight[:, channels:])]
        result = convolve(seconds.pop(), weights[1], self.bias, self._geometry, 1)
        return convolve(first(), weights[0], None, self._geometry, 1, into=result, slope=self.slope)

    def takes_pairs(self, x: torch.Tensor) -> bool:
        """Whether a pair with an image such as this one need not be joined."""
        return self._by_onednn(x) and self.groups == 1

    @property
    def _geometry(self) -> Geometry:
        return Geometry(self.padding, self.stride, self.dilation)

    def _by_onednn(self, x: torch.Tensor) -> bool:
        return (_plain_cpu(x) and self.weight.dtype == torch.float32 and self.padding_mode == "zeros"
                and not isinstance(self.padding, str) and x.ndim == 5 and has_onednn())


class FastInstanceNorm3d(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` that leaves its input's memory channels-last.

    Attributes:
        in_place: write the output over the input; set on a layer whose input nothing else reads.
    """

    in_place = False
    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rectify(x, self.slope)

    def rectify(self, x: torch.Tensor, slope: float) -> torch.Tensor:
        """The output with a rectifier of this slope after it."""
        if self.track_running_stats or not _runs_by_rows(x):
            return _rectify(super().forward(x), slope)
        return channels_last_norm(x, x.shape[1], self.weight, self.bias, self.eps, self.in_place, slope)

    def scalings(self, x: torch.Tensor, slope: float) -> list[Scaling] | None:
        """What is done to the channels of each image; None where another way is faster."""
        if self.track_running_stats or not _runs_by_rows(x) or is_small(x):
            return None
        return scalings(x, x.shape[1], self.weight, self.bias, self.eps, slope)


class FastGroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm`, as exact for channels-last memory as for any other.

    Attributes:
        in_place: as of `FastInstanceNorm3d`.
    """

    in_place = False
    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rectify(x, self.slope)

    def rectify(self, x: torch.Tensor, slope: float) -> torch.Tensor:
        """The output with a rectifier of this slope after it."""
        if not _runs_by_rows(x):
            return _rectify(super().forward(x), slope)
        return channels_last_norm(x, self.num_groups, self.weight, self.bias, self.eps, self.in_place, slope)

    def scalings(self, x: torch.Tensor, slope: float) -> list[Scaling] | None:
        """What is done to the channels of each image; None where another way is faster."""
        if not _runs_by_rows(x) or is_small(x):
            return None
        return scalings(x, self.num_groups, self.weight, self.bias, self.eps, slope)


class FastConvTranspose3d(nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` by a product of matrices where its stride is its kernel, else by oneDNN."""

    slope = _NO_ACTIVATION

    def forward(self, x: torch.Tensor, output_size=None) -> torch.Tensor:
        if not (_plain_cpu(x) and self.weight.dtype == torch.float32 and x.ndim == 5 and output_size is None
                and self.groups == 1 and _transposes()):
            return _rectify(super().forward(x, output_size), self.slope)
        if self._is_plain:
            return _rectify(enlarge(x, self.weight, self.bias), self.slope)
        return _rectify(_transposed_convolution(x, self.weight, self.bias, self.padding, self.output_padding,
                                                  self.stride, self.dilation), self.slope)

    @property
    def _is_plain(self) -> bool:
        return (self.kernel_size == self.stride and not any(self.padding) and not any(self.output_padding)
                and all(n == 1 for n in self.dilation))


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


class FastUpsample(nn.Upsample):
    """`torch.nn.Upsample`, linear, into memory that is kept."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factors = self._factors(x)
        if factors is None:
            return super().forward(x)
        size = [int(n * factor) for n, factor in zip(x.shape[2:], factors, strict=True)]
        result = buffer_pool.empty((*x.shape[:2], *size))
        return torch.ops.aten.upsample_trilinear3d.out(x, size, bool(self.align_corners), *factors, out=result)

    def add_to(self, result: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """`result` plus the output, written over `result`; the output is never in memory as a whole."""
        factors = self._factors(x)
        if factors is None or self.align_corners or not factors[0].is_integer():
            return result.add_(self(x))
        factor, slices = int(factors[0]), x.shape[2]
        for begin in range(0, slices, _SLICES_AT_ONCE):
            end = min(begin + _SLICES_AT_ONCE, slices)
            first, last = max(begin - 1, 0), min(end + 1, slices)  # what lies beside has its share
            part = self(x[:, :, first:last])[:, :, (begin - first) * factor:(end - first) * factor]
            result[:, :, begin * factor:end * factor].add_(part)
        return result

    def _factors(self, x: torch.Tensor) -> tuple[float, ...] | None:
        if self.mode != "trilinear" or self.scale_factor is None or self.recompute_scale_factor or not _plain_cpu(x):
            return None
        factors = self.scale_factor if isinstance(self.scale_factor, tuple) else (self.scale_factor,) * 3
        return tuple(map(float, factors))


FASTER = {nn.Conv3d: FastConv3d, nn.InstanceNorm3d: FastInstanceNorm3d, nn.GroupNorm: FastGroupNorm,
          nn.ConvTranspose3d: FastConvTranspose3d, nn.AvgPool3d: FastAvgPool3d, nn.Upsample: FastUpsample}


def _rectify(x: torch.Tensor, slope: float) -> torch.Tensor:
    return x if slope == _NO_ACTIVATION else nn.functional.leaky_relu_(x, slope)


def _plain_cpu(x: torch.Tensor) -> bool:
    return (x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
            and not x.requires_grad)


def _runs_by_rows(x: torch.Tensor) -> bool:
    return (_plain_cpu(x) and x.ndim == 5 and x.shape[1] > 1
            and x.is_contiguous(memory_format=_LAYOUT))


def _transposed_convolution(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, padding, output_padding,
                            stride, dilation) -> torch.Tensor:
    return torch.ops.mkldnn._convolution_transpose_pointwise(
        x.contiguous(memory_format=_LAYOUT), weight, bias, padding, output_padding, stride, dilation, 1, "none", [], "")


@lru_cache(maxsize=1)
def _transposes() -> bool:
    """Whether this torch has that operation, which its own compiler uses, and it does what it should."""
    x, weight = torch.rand(1, 16, 4, 4, 4), torch.rand(16, 16, 3, 3, 3)
    try:
        with torch.no_grad():
            found = _transposed_convolution(x, weight.contiguous(memory_format=_LAYOUT), None, [1] * 3, [1] * 3,
                                            [2] * 3, [1] * 3)
    except (AttributeError, TypeError, RuntimeError):
        return False
    return torch.allclose(found, nn.functional.conv_transpose3d(x, weight, None, 2, 1, 1), rtol=1e-4)

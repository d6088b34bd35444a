"""Networks made ready for inference, with convolutions and normalizations that a CPU runs faster than torch's choice.

In float32, torch takes a slow general loop for 3D convolutions of one small image, and for kernels of one voxel on one
thread, where oneDNN would be several times faster; its normalizations either copy an image that is channels-last or
sum it in one long, inexact chain. The modules here give the same answer and keep the memory channels-last.
"""

import itertools
from functools import lru_cache

import torch
from torch import nn

from meddl.networks.normalization import channels_last_norm

_LAYOUT = torch.channels_last_3d


def ready_for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """The network itself, on the device, in evaluation mode, channels-last, without gradients, its layers exchanged.

    Only layers of exactly torch's own kinds are exchanged; parameters stay where they are. On other devices, in other
    types than float32 and where torch lacks oneDNN the layers compute as torch's do.
    """
    volumes = any(parameter.ndim == 5 for parameter in network.parameters())
    layout = _LAYOUT if volumes else torch.channels_last
    network = network.to(device, memory_format=layout).eval().requires_grad_(False)
    for layer in network.modules():
        layer.__class__ = _FASTER.get(type(layer), type(layer))  # the same parameters, another forward
    return network


class FastConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` by oneDNN at every size."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not self._by_onednn(x):
            return super()._conv_forward(x, weight, bias)
        return torch.ops.aten.mkldnn_convolution(
            x.contiguous(memory_format=_LAYOUT), weight, bias, self.padding, self.stride, self.dilation, self.groups)

    def of_pair(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The answer for the channels of two images one after another, which are not copied into one."""
        if not (self._by_onednn(first) and self._by_onednn(second) and self.groups == 1 and _adds_in_place()):
            return self(torch.cat((first, second), dim=1))
        channels = first.shape[1]
        weights = [part.contiguous(memory_format=_LAYOUT)
                   for part in (self.weight[:, :channels], self.weight[:, channels:])]
        return _add_convolution(self._conv_forward(first, weights[0], self.bias), second, weights[1], self.padding,
                                self.stride, self.dilation)

    def _by_onednn(self, x: torch.Tensor) -> bool:
        return (_plain_cpu(x) and self.weight.dtype == torch.float32 and self.padding_mode == "zeros"
                and not isinstance(self.padding, str) and x.ndim == 5 and _has_onednn())


class FastInstanceNorm3d(nn.InstanceNorm3d):
    """`torch.nn.InstanceNorm3d` that leaves its input's memory channels-last.

    Attributes:
        in_place: write the answer over the input; set on a layer whose input nothing else reads.
    """

    in_place = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.track_running_stats or not _runs_by_rows(x):
            return super().forward(x)
        return channels_last_norm(x, x.shape[1], self.weight, self.bias, self.eps, self.in_place)

    def activated(self, x: torch.Tensor, activation: nn.Module) -> torch.Tensor:
        """The answer after an activation, of both kinds of rectifiers in the same pass through memory."""
        if type(activation) not in (nn.LeakyReLU, nn.ReLU) or self.track_running_stats or not _runs_by_rows(x):
            return activation(self(x))
        slope = getattr(activation, "negative_slope", 0.0)
        return channels_last_norm(x, x.shape[1], self.weight, self.bias, self.eps, self.in_place, slope)


class FastGroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm`, as exact for channels-last memory as for any other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not _runs_by_rows(x):
            return super().forward(x)
        return channels_last_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class FastConvTranspose3d(nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` by oneDNN at every size."""

    def forward(self, x: torch.Tensor, output_size=None) -> torch.Tensor:
        if not (_plain_cpu(x) and self.weight.dtype == torch.float32 and x.ndim == 5 and output_size is None
                and self.groups == 1 and _transposes()):
            return super().forward(x, output_size)
        return _transposed_convolution(x, self.weight, self.bias, self.padding, self.output_padding, self.stride,
                                       self.dilation)


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


_FASTER = {nn.Conv3d: FastConv3d, nn.InstanceNorm3d: FastInstanceNorm3d, nn.GroupNorm: FastGroupNorm,
           nn.ConvTranspose3d: FastConvTranspose3d, nn.AvgPool3d: FastAvgPool3d}


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

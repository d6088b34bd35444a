"""Networks made ready for training, with layers that a CPU runs faster than torch's choice, gradients included.

The same mathematics in fewer passes over memory: normalization and activation run in blocks that fit into a
processor's cache, convolutions by oneDNN at every size, and only gradients that something asks for are computed. Where
oneDNN's are wrong in bf16, float32 takes their place.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from meddl.networks.architectures.shuffle_unet import ConvBlock
from meddl.networks.cpu.exchange import exchange_layers

_LAYOUT = torch.channels_last_3d
_ROW = 1 << 12  # numbers side by side, several voxels with all their channels
_BLOCK = 1 << 16  # numbers treated at once, which fit into a processor's cache
_SLOW = 20480  # torch leaves oneDNN for one thread and at most so many channels x rows of an image


def ready_for_training(network: nn.Module) -> nn.Module:
    """The network with its weights in channels-last memory and, on a CPU, its layers exchanged.

    Parameters and their names stay, the network given is used up. On other devices and in other types than float32 the
    layers compute as before.
    """
    for parameter in network.parameters():
        if parameter.ndim in (4, 5):
            order = torch.channels_last if parameter.ndim == 4 else _LAYOUT
            parameter.data = parameter.data.contiguous(memory_format=order)
    if torch.backends.mkldnn.is_available():
        return exchange_layers(network, lambda layer: _FASTER.get(type(layer)))
    return network


class TrainingConv3d(nn.Conv3d):
    """`torch.nn.Conv3d` whose kernels of one voxel are a matrix product. Images smaller than its kernel it convolves in
    float32."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        reach = [(n - 1) * step + 1 for n, step in zip(weight.shape[2:], self.dilation, strict=True)]
        if _in_bfloat16(x) and _below(x.shape[2:], reach):
            with torch.autocast("cpu", enabled=False):
                return super()._conv_forward(x.float(), weight, bias)
        plain = set(self.stride) == {1} and set(self.padding) == {0} and self.groups == 1
        if weight[0, 0].numel() > 1 or not plain or not _plain_cpu(x):
            return super()._conv_forward(x, weight, bias)
        return F.linear(x.permute(0, 2, 3, 4, 1), weight.flatten(1), bias).permute(0, 4, 1, 2, 3)


class TrainingConvTranspose3d(nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` that makes images smaller than its kernel in float32."""

    def forward(self, x: torch.Tensor, output_size=None) -> torch.Tensor:
        made = [(n - 1) * step + 1 for n, step in zip(x.shape[2:], self.stride, strict=True)]
        if _in_bfloat16(x) and _below(made, self.kernel_size):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float(), output_size)
        return super().forward(x, output_size)


class TrainingConvBlock(ConvBlock):
    """`ConvBlock` as one operation with its gradient written out."""

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        if not (torch.is_grad_enabled() and all(_plain_cpu(part) for part in parts)):
            return super().forward(*parts)
        return _ConvNormSiLU.apply(self.conv.weight, self.norm.weight, self.norm.bias, self.norm.num_groups,
                                   self.norm.eps, self.conv.stride, self.residual, *parts)


_FASTER = {nn.Conv3d: TrainingConv3d, nn.ConvTranspose3d: TrainingConvTranspose3d, ConvBlock: TrainingConvBlock}


def _plain_cpu(x: torch.Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu") and x.ndim == 5


def _in_bfloat16(x: torch.Tensor) -> bool:
    return (x.device.type == "cpu" and torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()
            and torch.get_autocast_dtype("cpu") == torch.bfloat16)


def _below(shape: Sequence[int], kernel: Sequence[int]) -> bool:
    """Whether an image is smaller than a kernel: oneDNN's gradient of the weights in bf16 is then not a number, or it
    writes where it must not (torch 2.13, AVX512-BF16)."""
    return any(n < size for n, size in zip(shape, kernel, strict=True))


class _ConvNormSiLU(torch.autograd.Function):

    @staticmethod
    def forward(ctx, weight, gain, offset, groups, eps, stride, residual, *parts):
        x = (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)).contiguous(memory_format=_LAYOUT)
        y = torch.ops.aten.mkldnn_convolution(x, weight, None, [1] * 3, stride, [1] * 3, 1)
        y = y.contiguous(memory_format=_LAYOUT)
        result = torch.empty_like(y)
        factors = torch.stack([_scale_and_shift(image, groups, y.shape[1], eps) for image in _rows(y)])
        start = x if residual else y
        for image, (scale, shift), into, before in zip(_rows(y), factors, _rows(result), _rows(start), strict=True):
            scale, shift = (_along(factor, image) for factor in (scale * gain, shift * gain + offset))
            for block, out, added in zip(*map(_blocks, (image, into, before)), strict=True):
                F.silu(torch.addcmul(shift, block, scale, out=out), inplace=True)
                if residual:
                    out += added
        ctx.save_for_backward(weight, gain, offset, x, y, factors)
        ctx.groups, ctx.stride, ctx.residual = groups, stride, residual
        ctx.channels = [part.shape[1] for part in parts]
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        weight, gain, offset, x, y, factors = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=_LAYOUT)
        of_y = torch.empty_like(y)
        of_gain, of_offset = torch.zeros_like(gain), torch.zeros_like(offset)
        for image, factor, incoming, into in zip(_rows(y), factors, _rows(gradient), _rows(of_y), strict=True):
            parts = _norm_silu_backward(image, factor, incoming, into, gain, offset, ctx.groups)
            of_gain += parts[0]
            of_offset += parts[1]
        of_weight = _weight_gradient(of_y, x, weight, ctx.stride)
        of_parts, first = [], 0
        for channels, wanted in zip(ctx.channels, ctx.needs_input_grad[7:], strict=True):
            part = weight[:, first:first + channels]
            first += channels
            of_parts.append(_input_gradient(of_y, x, part, ctx.stride) if wanted else None)
        if ctx.residual and of_parts[0] is not None:
            of_parts[0] += gradient
        return of_weight, of_gain, of_offset, None, None, None, None, *of_parts


def _scale_and_shift(image: torch.Tensor, groups: int, channels: int, eps: float) -> torch.Tensor:
    """(2, C): an image's normalized rows are its rows times the first plus the second. Sums in short chains."""
    blocks = _blocks(image)
    near = blocks[0].mean(dim=0).reshape(-1, channels).mean(dim=0)
    difference, away = torch.empty_like(blocks[0]), _along(near, image)
    sums = torch.zeros((2, image.shape[1]), dtype=torch.float64)
    for block in blocks:
        part = torch.sub(block, away, out=difference[:len(block)])
        sums[0] += part.sum(dim=0)
        sums[1] += part.square_().sum(dim=0)
    offset, square = _of_channels(sums, channels) * channels / image.numel()
    mean = (near + offset).reshape(groups, -1)
    middle = mean.mean(dim=1, keepdim=True)
    variance = (square - offset.square()).reshape(groups, -1) + (mean - middle).square()
    scale = (variance.mean(dim=1, keepdim=True).clamp_min(0) + eps).rsqrt()
    return torch.stack([scale, -middle * scale]).expand(2, *mean.shape).reshape(2, channels).float()


def _norm_silu_backward(image, factor, incoming, into, gain, offset, groups) -> tuple[torch.Tensor, torch.Tensor]:
    """Write the gradient of the rows before normalization to `into`; return those of gain and offset."""
    scale, shift = factor
    channels = len(gain)
    sums = torch.zeros((2, image.shape[1]), dtype=torch.float64)
    blocks = list(zip(*map(_blocks, (image, incoming, into)), strict=True))
    scratch = torch.empty_like(blocks[0][0])
    times, plus = (_along(part, image) for part in (scale * gain, shift * gain + offset))
    for block, above, out in blocks:
        between = torch.addcmul(plus, block, times, out=scratch[:len(block)])
        torch.ops.aten.silu_backward.grad_input(above, between, grad_input=out)
        sums[0] += out.sum(dim=0)
        sums[1] += torch.mul(out, block, out=between).sum(dim=0)
    of_offset, products = _of_channels(sums, channels)
    of_gain = products * scale + of_offset * shift
    mean, slope = (((gain * part).reshape(groups, -1).sum(dim=1, keepdim=True) * groups / image.numel())
                   .expand(-1, channels // groups).reshape(-1) for part in (of_offset, of_gain))
    falling, constant = (_along(part.float(), image)
                         for part in (-scale.square() * slope, -scale * (mean + shift * slope)))
    for block, _, out in blocks:
        torch.addcmul(constant, out, times, out=out).addcmul_(block, falling)
    return of_gain.float(), of_offset.float()


def _weight_gradient(of_y, x, weight, stride) -> torch.Tensor:
    batch, channels, depth, rows = x.shape[:4]
    padded = 16 * math.ceil((_SLOW + 1) / (16 * batch * depth * rows))
    if torch.get_num_threads() == 1 and set(stride) == {1} and channels < padded <= 4 * channels:
        x, weight = (_with_channels(part, padded) for part in (x, weight))
    found = torch.ops.aten.convolution_backward(of_y, x, weight, None, stride, [1] * 3, [1] * 3, False, [0] * 3, 1,
                                                [False, True, False])[1]
    return found[:, :channels]


def _input_gradient(of_y, x, weight, stride) -> torch.Tensor:
    if set(stride) == {1}:  # a convolution with the kernel turned over, by oneDNN at every size
        turned = weight.flip(2, 3, 4).transpose(0, 1).contiguous(memory_format=_LAYOUT)
        return torch.ops.aten.mkldnn_convolution(of_y, turned, None, [1] * 3, [1] * 3, [1] * 3, 1)
    shape = (x.shape[0], weight.shape[1], *x.shape[2:])
    return torch.ops.aten.convolution_backward(
        of_y, torch.empty(shape).contiguous(memory_format=_LAYOUT), weight.contiguous(memory_format=_LAYOUT), None,
        stride, [1] * 3, [1] * 3, False, [0] * 3, 1, [True, False, False])[0]


def _with_channels(x: torch.Tensor, channels: int) -> torch.Tensor:
    """With zeros as further channels."""
    result = torch.zeros((x.shape[0], channels, *x.shape[2:])).contiguous(memory_format=_LAYOUT)
    result[:, :x.shape[1]] = x
    return result


def _rows(x: torch.Tensor) -> torch.Tensor:
    """(B, C, I, J, K) channels-last as (B, rows, several voxels with their channels): long rows are read fastest."""
    channels, voxels = x.shape[1], x[0, 0].numel()
    return x.permute(0, 2, 3, 4, 1).reshape(x.shape[0], -1, channels * math.gcd(voxels, max(1, _ROW // channels)))


def _blocks(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return rows.split(max(1, _BLOCK // rows.shape[1]))


def _along(factor: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """A number of each channel, (C,), for each position in a row."""
    return factor.repeat(rows.shape[1] // len(factor))


def _of_channels(sums: torch.Tensor, channels: int) -> torch.Tensor:
    """(N, positions in a row) to (N, C)."""
    return sums.reshape(len(sums), -1, channels).sum(dim=1)

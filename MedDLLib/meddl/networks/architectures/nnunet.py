"""The two networks that nnU-Net trains, built from what its plans say, for inference.

F. Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
Methods 18, 2021, doi:10.1038/s41592-020-01008-z; the residual encoder: F. Isensee et al., "nnU-Net Revisited", MICCAI
2024, doi:10.1007/978-3-031-72114-4_47. Parameters are named as in nnU-Net's checkpoints, each once.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
_NORMS = {("instance", 2): nn.InstanceNorm2d, ("instance", 3): nn.InstanceNorm3d,
          ("batch", 2): nn.BatchNorm2d, ("batch", 3): nn.BatchNorm3d}


class _Style:
    """What all blocks of one network share: dimensions, bias, normalization, slope of the activation."""

    def __init__(self, dimensions: int, bias: bool, norm: str | None, norm_eps: float, norm_affine: bool,
                 slope: float, activation_first: bool):
        if dimensions not in _CONV:
            raise ValueError(f"dimensions is 2 or 3; got {dimensions}")
        if norm is not None and (norm, dimensions) not in _NORMS:
            raise ValueError(f"norm is instance, batch or null; got {norm!r}")
        self.dimensions, self.bias, self.slope, self.activation_first = dimensions, bias, slope, activation_first
        self._norm, self._norm_arguments = norm, {"eps": norm_eps, "affine": norm_affine}

    def conv(self, inputs: int, outputs: int, kernel: Sequence[int], stride: Sequence[int], bias: bool) -> nn.Module:
        padding = [(k - 1) // 2 for k in kernel]
        return _CONV[self.dimensions](inputs, outputs, tuple(kernel), tuple(stride), padding, bias=bias)

    def norm(self, channels: int) -> nn.Module:
        if self._norm is None:
            return nn.Identity()
        norm = _NORMS[self._norm, self.dimensions](channels, **self._norm_arguments)
        norm.in_place = True  # for `inference`: nothing else reads what these blocks normalize
        return norm

    def activation(self) -> nn.Module:
        return nn.LeakyReLU(self.slope, inplace=True) if self.slope else nn.ReLU(inplace=True)


class _Conv(nn.Module):
    """Convolution, normalization, activation (or activation before normalization)."""

    def __init__(self, style: _Style, inputs, outputs, kernel, stride, active: bool = True, bias: bool | None = None):
        super().__init__()
        self.conv = style.conv(inputs, outputs, kernel, stride, style.bias if bias is None else bias)
        self.norm = style.norm(outputs)
        self.nonlin = style.activation() if active else nn.Identity()
        self.activation_first = style.activation_first and active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._rest(self.conv(x))

    def of_pair(self, first: Callable[[], torch.Tensor], seconds: list[torch.Tensor]) -> torch.Tensor:
        """The output for the channels of what `first` gives and then of the last of `seconds`, which is used up."""
        if hasattr(self.conv, "of_pair"):  # ready for inference
            return self._rest(self.conv.of_pair(first, seconds))
        return self(torch.cat((first(), seconds.pop()), dim=1))

    def in_order(self) -> list[tuple[str, nn.Module]]:
        """The layers as they follow one another, for `folding`."""
        first, second = ("nonlin", "norm") if self.activation_first else ("norm", "nonlin")
        return [(name, getattr(self, name)) for name in ("conv", first, second)]

    def _rest(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.nonlin(x)) if self.activation_first else self.nonlin(self.norm(x))


class _Convs(nn.Module):
    """Several convolutions, the first with a stride."""

    def __init__(self, style: _Style, count, inputs, outputs, kernel, stride):
        super().__init__()
        ones = [1] * style.dimensions
        self.convs = nn.Sequential(*(
            _Conv(style, outputs if n else inputs, outputs, kernel, ones if n else stride) for n in range(count)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convs(x)


class _ResidualBlock(nn.Module):
    """Two convolutions beside a skip that averages over the stride and projects to the new channels (ResNet-D)."""

    def __init__(self, style: _Style, inputs, outputs, kernel, stride):
        super().__init__()
        ones = [1] * style.dimensions
        self.conv1 = _Conv(style, inputs, outputs, kernel, stride)
        self.conv2 = _Conv(style, outputs, outputs, kernel, ones, active=False)
        self.nonlin2 = style.activation()
        skip = []
        if any(s != 1 for s in stride):
            skip.append(_POOL[style.dimensions](tuple(stride), tuple(stride)))
        if inputs != outputs:
            skip.append(_Conv(style, inputs, outputs, ones, ones, active=False, bias=False))
        self.skip = nn.Sequential(*skip)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.conv2(self.conv1(x))
        found += self.skip(x)
        return self.nonlin2(found)


class _ResidualBlocks(nn.Module):
    def __init__(self, style: _Style, count, inputs, outputs, kernel, stride):
        super().__init__()
        ones = [1] * style.dimensions
        self.blocks = nn.Sequential(*(
            _ResidualBlock(style, outputs if n else inputs, outputs, kernel, ones if n else stride)
            for n in range(count)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


class _PlainEncoder(nn.Module):
    def __init__(self, style: _Style, in_channels, features, kernel_sizes, strides, counts):
        super().__init__()
        inputs = [in_channels, *features[:-1]]
        self.stages = nn.ModuleList(
            nn.Sequential(_Convs(style, n, i, f, k, s))
            for n, i, f, k, s in zip(counts, inputs, features, kernel_sizes, strides, strict=True))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return _each_stage(self.stages, x)


class _ResidualEncoder(nn.Module):
    def __init__(self, style: _Style, in_channels, features, kernel_sizes, strides, counts):
        super().__init__()
        self.stem = _Convs(style, 1, in_channels, features[0], kernel_sizes[0], [1] * style.dimensions)
        inputs = [features[0], *features[:-1]]
        self.stages = nn.ModuleList(
            _ResidualBlocks(style, n, i, f, k, s)
            for n, i, f, k, s in zip(counts, inputs, features, kernel_sizes, strides, strict=True))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return _each_stage(self.stages, self.stem(x))


def _each_stage(stages, x: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for stage in stages:
        x = stage(x)
        found.append(x)
    return found


class _Decoder(nn.Module):
    def __init__(self, style: _Style, out_channels, features, kernel_sizes, strides, counts):
        super().__init__()
        below, skip = features[:0:-1], features[-2::-1]
        up = strides[:0:-1]
        self.transpconvs = nn.ModuleList(
            _TRANSPOSED[style.dimensions](b, s, tuple(u), tuple(u), bias=style.bias)
            for b, s, u in zip(below, skip, up, strict=True))
        self.stages = nn.ModuleList(
            _Convs(style, n, 2 * s, s, k, [1] * style.dimensions)
            for n, s, k in zip(counts, skip, kernel_sizes[-2::-1], strict=True))
        self.seg_layers = nn.ModuleList([style.conv(skip[-1], out_channels, *[[1] * style.dimensions] * 2, True)])

    def forward(self, skips: list[torch.Tensor]) -> torch.Tensor:
        """Features of the finest stage from those of all stages, which are used up."""
        x = skips.pop()
        for up, stage in zip(self.transpconvs, self.stages, strict=True):
            x = stage.convs[0].of_pair(partial(up, x), skips)
            x = stage.convs[1:](x)  # in a line of its own: nothing holds the pair any more
        return x


class _UNet(nn.Module):
    """Encoder and decoder of what the arguments say.

    Args:
        in_channels, out_channels: of the image and of the scores.
        features: channels of each stage, fine to coarse.
        kernel_sizes, strides: of each stage, one number an axis.
        counts: convolutions (or residual blocks) of each stage.
        decoder_counts: convolutions of each stage of the decoder, coarse to fine.
        dimensions: 2 or 3.
        bias: of the convolutions.
        norm, norm_eps, norm_affine: "instance", "batch" or None, and its settings.
        slope: of the leaky rectifier; 0: a plain one.
        activation_first: before the normalization, not after.
    """

    _encoder: type[nn.Module]

    def __init__(self, in_channels: int, out_channels: int, features, kernel_sizes, strides, counts, decoder_counts,
                 dimensions: int = 3, bias: bool = True, norm: str | None = "instance", norm_eps: float = 1e-5,
                 norm_affine: bool = True, slope: float = 0.01, activation_first: bool = False):
        super().__init__()
        for name, value in (("kernel_sizes", kernel_sizes), ("strides", strides), ("counts", counts)):
            if len(value) != len(features):
                raise ValueError(f"{name} has {len(value)} entries for {len(features)} stages")
        style = _Style(dimensions, bias, norm, norm_eps, norm_affine, slope, activation_first)
        features, strides = list(features), list(strides)
        self.encoder = self._encoder(style, in_channels, features, kernel_sizes, strides, counts)
        self.decoder = _Decoder(style, out_channels, features, list(kernel_sizes), strides, decoder_counts)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (B, out_channels, ...) of an image (B, in_channels, ...)."""
        return self.head(self.features(image))

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """What the head makes scores of, voxel by voxel, (B, features[0], ...)."""
        return self.decoder(self.encoder(image))

    @property
    def head(self) -> nn.Module:
        """The last convolution, of one voxel."""
        return self.decoder.seg_layers[0]


class PlainConvUNet(_UNet):
    """nnU-Net's default network."""

    _encoder = _PlainEncoder


class ResidualEncoderUNet(_UNet):
    """nnU-Net's network with residual blocks in the encoder."""

    _encoder = _ResidualEncoder

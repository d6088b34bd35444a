"""A U-Net that does most of its work at half resolution.

The image is unshuffled (each 2x2x2 block of voxels becomes eight channels), a residual U-Net runs on the
blocks, and its features are shuffled back and refined once at full resolution beside the image. That is
the sub-pixel idea of Shi et al. 2016 (doi:10.1109/CVPR.2016.207) around the 3D U-Net of Cicek et al. 2016
(doi:10.1007/978-3-319-46723-8_49): about a fifth of the operations of a U-Net that starts at full
resolution, at the same output resolution.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class ConvBlock(nn.Module):
    """Convolution 3x3x3, group normalization, SiLU; with a residual connection where sizes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.GroupNorm(max(1, out_channels // 8), out_channels)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        """(B, in, I, J, K), or several with so many channels together, to (B, out, I', J', K')."""
        x = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        y = F.silu(self.norm(self.conv(x)))
        return x + y if self.residual else y


def encode(network: Any, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The way down of a U-Net with the parts `stem`, `encoder` and `bottom`: the features below, and the skips."""
    features = network.encoder[0](network.stem(unshuffle(x)))
    skips = []
    for level in network.encoder[1:]:
        skips.append(features)
        features = level(features)
    return network.bottom(features), skips


class ShuffleUNet(nn.Module):
    """Class scores for every voxel.

    Args:
        in_channels: channels of the image.
        out_channels: classes, background included.
        widths: channels at half, quarter, eighth ... resolution.
        refine_channels: channels at full resolution.
    """

    def __init__(self, in_channels: int, out_channels: int, widths=(32, 64, 128, 192), refine_channels: int = 16):
        super().__init__()
        widths = list(widths)
        if not widths or min(widths) < 8:
            raise ValueError(f"widths holds at least one number, each at least 8; got {widths}")
        self.stem = ConvBlock(8 * in_channels, widths[0])
        self.encoder = nn.ModuleList([nn.Sequential(ConvBlock(widths[0], widths[0]))])
        for shallow, deep in zip(widths, widths[1:], strict=False):
            self.encoder.append(nn.Sequential(ConvBlock(shallow, deep, stride=2), ConvBlock(deep, deep)))
        self.bottom = nn.Sequential(ConvBlock(widths[-1], widths[-1]), ConvBlock(widths[-1], widths[-1]))
        self.decoder = nn.ModuleList(
            nn.Sequential(ConvBlock(deep + shallow, shallow), ConvBlock(shallow, shallow))
            for shallow, deep in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.to_full = nn.Conv3d(widths[0], 8 * refine_channels, 1)
        self.refine = ConvBlock(refine_channels + in_channels, refine_channels)
        self.head = nn.Conv3d(refine_channels, out_channels, 1)
        self.levels = len(widths)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, I, J, K), I, J, K even, to scores (B, out_channels, I, J, K)."""
        features, skips = encode(self, x)
        for level, skip in zip(self.decoder, reversed(skips), strict=True):
            features = F.interpolate(features, size=skip.shape[2:], mode="nearest")
            features = level[1](level[0](features, skip))
        full = shuffle(self.to_full(features))
        return self.head(self.refine(full, x.to(full.dtype)))

    def scores_of_blocks(self, x: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
        """Scores (8 N, out_channels) of the voxels of some blocks: as of `HalfResolutionUNet`."""
        voxels = voxels_of_blocks(blocks, (len(x), *x.shape[2:]))
        return self.forward(x).permute(0, 2, 3, 4, 1).flatten(0, 3).index_select(0, voxels)


def unshuffle(x: torch.Tensor) -> torch.Tensor:
    """(B, C, 2I, 2J, 2K) to (B, 8C, I, J, K); the inverse of `shuffle`."""
    b, c, i, j, k = x.shape
    x = x.reshape(b, c, i // 2, 2, j // 2, 2, k // 2, 2)
    return x.permute(0, 3, 5, 7, 1, 2, 4, 6).reshape(b, 8 * c, i // 2, j // 2, k // 2)


def shuffle(x: torch.Tensor) -> torch.Tensor:
    """(B, 8C, I, J, K) to (B, C, 2I, 2J, 2K), without leaving channels-last memory."""
    b, c, i, j, k = x.shape
    c //= 8
    x = x.permute(0, 2, 3, 4, 1).reshape(b, i, j, k, 2, 2, 2, c)
    x = x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, 2 * i, 2 * j, 2 * k, c)
    return x.permute(0, 4, 1, 2, 3)


def voxels_of_blocks(blocks: torch.Tensor, shape) -> torch.Tensor:
    """Indices of the eight voxels of each block of 2x2x2, (8 N,), in the order of the channels of `shuffle`.

    Args:
        blocks: (N,) indices of blocks among those of a batch (B, I, J, K) of this shape, k fastest.
    """
    _, i, j, k = shape
    half_j, half_k = j // 2, k // 2
    first = ((blocks // (half_j * half_k)) * 2 * j + blocks // half_k % half_j * 2) * k + blocks % half_k * 2
    step = torch.arange(8, device=blocks.device)
    return (first[:, None] + (step // 4 * j + step // 2 % 2) * k + step % 2).flatten()

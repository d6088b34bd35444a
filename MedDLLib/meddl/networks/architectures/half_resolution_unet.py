"""A U-Net without convolutions at full resolution.

Each block of 2x2x2 voxels is one position of a residual U-Net, and its features predict the classes of all eight voxels
by one matrix product (Shi et al. 2016, doi:10.1109/CVPR.2016.207). Deep features are projected before they are enlarged
and added to the shallower ones (Myronenko 2018, doi:10.1007/978-3-030-11726-9_28). At full resolution there is nothing
but the image and the scores: about half the operations of `ShuffleUNet` for as many parameters.
"""

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks.architectures.shuffle_unet import ConvBlock, encode, shuffle


class HalfResolutionUNet(nn.Module):
    """Class scores for every voxel.

    Args:
        in_channels: channels of the image.
        out_channels: classes, background included.
        widths: channels at half, quarter, eighth ... resolution.
    """

    def __init__(self, in_channels: int, out_channels: int, widths=(32, 64, 112, 144)):
        super().__init__()
        widths = list(widths)
        if not widths or min(widths) < 8:
            raise ValueError(f"widths holds at least one number, each at least 8; got {widths}")
        self.stem = ConvBlock(8 * in_channels, widths[0])
        self.encoder = nn.ModuleList([ConvBlock(widths[0], widths[0])])
        for shallow, deep in zip(widths, widths[1:], strict=False):
            self.encoder.append(nn.Sequential(ConvBlock(shallow, deep, stride=2), ConvBlock(deep, deep)))
        self.bottom = nn.Sequential(ConvBlock(widths[-1], widths[-1]), ConvBlock(widths[-1], widths[-1]))
        self.project = nn.ModuleList(nn.Conv3d(deep, shallow, 1)
                                     for shallow, deep in zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.decoder = nn.ModuleList(nn.Sequential(ConvBlock(width, width), ConvBlock(width, width))
                                     for width in widths[-2::-1])
        self.head = nn.Conv3d(widths[0], 8 * out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, I, J, K), I, J, K even, to scores (B, out_channels, I, J, K)."""
        return shuffle(self.head(self.features(x)))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, I, J, K) to (B, widths[0], I / 2, J / 2, K / 2)."""
        features, skips = encode(self, x)
        for project, level, skip in zip(self.project, self.decoder, reversed(skips), strict=True):
            features = level(skip + F.interpolate(project(features), size=skip.shape[2:], mode="nearest"))
        return features

    def scores_of_blocks(self, x: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
        """Scores of the voxels of some blocks alone, (8 N, out_channels), for a loss that needs no others.

        Args:
            x: as of `forward`.
            blocks: (N,) indices among all blocks, B * I / 2 * J / 2 * K / 2; see `shuffle_unet.voxels_of_blocks`.
        """
        features = self.features(x)
        some = features.permute(0, 2, 3, 4, 1).flatten(0, 3).index_select(0, blocks)
        scores = F.linear(some, self.head.weight.flatten(1), self.head.bias)
        return scores.view(8 * len(blocks), -1)

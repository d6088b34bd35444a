"""EDSR in 3D: upsampling by 2 along every axis.

B. Lim et al., "Enhanced deep residual networks for single image super-resolution", CVPR Workshops 2017,
doi:10.1109/CVPRW.2017.151, with 3D convolutions, added to a cubic spline.
"""

import torch
from torch import nn

from meddl.networks.architectures.residual3d import ResidualBlock3d, ShiftFreeConv3d, conv3d
from meddl.networks.architectures.shuffle_unet import shuffle
from meddl.networks.cubic import cubic_twice


class EDSR3D(nn.Module):
    """Residual blocks at the resolution of the input, then one step to twice the resolution.

    Args:
        channels: features.
        blocks: residual blocks.
    """

    def __init__(self, channels: int = 32, blocks: int = 4):
        super().__init__()
        self.first = ShiftFreeConv3d(1, channels)
        self.blocks = nn.Sequential(*(ResidualBlock3d(channels, nn.ReLU()) for _ in range(blocks)))
        self.last = conv3d(channels, channels)
        self.tail = conv3d(channels, 8, zero=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, I, J, K), any range, to (B, 1, 2I, 2J, 2K), the same field of view."""
        start = self.first(x)
        return cubic_twice(x) + shuffle(self.tail(self.last(self.blocks(start)) + start))

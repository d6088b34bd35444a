"""Parts of the 3D networks of super-resolution and denoising: layers without bias, blind to a constant.

A network of such layers with ReLUs gives a f(x) + b for a x + b (a > 0) once its input is added to its output:
intensities need no fixed range. See `through_plane` for the source.
"""

import torch
import torch.nn.functional as F
from torch import nn


class ShiftFreeConv3d(nn.Conv3d):
    """A convolution without bias whose filters sum to zero over the first `image_channels`: it sees no constant.

    Args:
        in_channels, out_channels: as in a convolution.
        size: of the kernel, odd.
        image_channels: channels of the input that hold intensities, the first ones; the others are left alone.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int = 3, image_channels: int | None = None):
        super().__init__(in_channels, out_channels, size, bias=False)
        self.image_channels = image_channels or in_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, I, J, K) to (B, out, I, J, K); the edge goes on as it is."""
        image, rest = self.weight[:, :self.image_channels], self.weight[:, self.image_channels:]
        weight = torch.cat([image - image.mean(dim=(1, 2, 3, 4), keepdim=True), rest], dim=1)
        return F.conv3d(F.pad(x, [self.kernel_size[0] // 2] * 6, mode="replicate"), weight.to(x.dtype))


class ResidualBlock3d(nn.Module):
    """Convolution, activation, convolution, beside the identity; without normalization, as in EDSR."""

    def __init__(self, channels: int, activation: nn.Module):
        super().__init__()
        self.enter = conv3d(channels, channels)
        self.activation = activation
        self.leave = conv3d(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, I, J, K) to the same."""
        return x + self.leave(self.activation(self.enter(x)))


def conv3d(in_channels: int, out_channels: int, size: int = 3, stride: int = 1, zero: bool = False) -> nn.Conv3d:
    """A convolution without bias that keeps the size at stride 1; `zero` lets it start at zero."""
    layer = nn.Conv3d(in_channels, out_channels, size, stride=stride, padding=size // 2, bias=False)
    if zero:
        nn.init.zeros_(layer.weight)
    return layer


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, C, I, J, K) with the last voxels repeated until every size is a multiple."""
    missing = [-n % multiple for n in x.shape[:1:-1]]
    return F.pad(x, [side for n in missing for side in (0, n)], mode="replicate") if any(missing) else x

"""Thick slices to thin ones, image by image: a residual network that works at the resolution of the slices.

The body is that of EDSR (B. Lim et al., "Enhanced deep residual networks for single image super-resolution", CVPR
Workshops 2017, doi:10.1109/CVPRW.2017.151): residual blocks without batch normalization. Its tail makes ceil(s)
new lines for every thick one (the sub-pixel convolution of W. Shi et al., CVPR 2016, doi:10.1109/CVPR.2016.207, along
one axis), which a cubic spline brings to the real factor s. The result is added to the cubic interpolation of the
input; the tail starts at zero, and training from there.

No layer has a bias (S. Mohan et al., "Robust and interpretable blind image denoising via bias-free convolutional
neural networks", ICLR 2020, arXiv:1906.05478) and the filters of the first sum to zero. Hence network(a x + b) =
a network(x) + b for every a > 0 and every b: intensities need no fixed range, and what is constant stays constant.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks.cubic import cubic_along, resized_count


class ThroughPlaneNetwork(nn.Module):
    """A 2D network that makes the voxels of the last axis smaller by any factor.

    Args:
        channels: features.
        blocks: residual blocks of two 3 x 3 convolutions.
        heads: whole factors that have a tail; a real factor takes the next larger one, or the largest.
        hidden: width of the small network that tells the blocks the factor and the slice thickness.
    """

    def __init__(self, channels: int = 48, blocks: int = 4, heads=(2, 3, 4), hidden: int = 16):
        super().__init__()
        self.heads = tuple(sorted(int(head) for head in heads))
        if not self.heads or self.heads[0] < 2:
            raise ValueError(f"heads holds at least one number, each at least 2; got {heads}")
        self.first = nn.Conv2d(1, channels, 3, bias=False)
        self.blocks = nn.ModuleList(_Block(channels) for _ in range(blocks))
        self.last = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.gains = nn.Sequential(nn.Linear(2, hidden), nn.SiLU(), nn.Linear(hidden, blocks * channels))
        self.tails = nn.ModuleDict({str(head): nn.Conv2d(channels, head, 3, padding=1, bias=False)
                                    for head in self.heads})
        for zero in (self.gains[-1].weight, self.gains[-1].bias, *(tail.weight for tail in self.tails.values())):
            nn.init.zeros_(zero)

    def forward(self, x: torch.Tensor, factor: float, thickness: float | torch.Tensor = 1.0) -> torch.Tensor:
        """(B, 1, H, W) to (B, 1, H, round(W factor)), on the grid with the same field of view.

        Args:
            x: images whose last axis is thick, any range.
            factor: old over new voxel size along the last axis, above 1.
            thickness: slice thickness over slice distance, one number or (B,); 1 where slices touch.
        """
        head = self.head_of(factor)
        residual = self.tails[str(head)](self._features(x, factor, thickness))
        residual = residual.permute(0, 2, 3, 1).reshape(x.shape[0], 1, x.shape[2], x.shape[3] * head)
        size = resized_count(x.shape[3], factor)
        if head != factor:
            residual = cubic_along(residual, -1, factor / head, size)
        return cubic_along(x, -1, factor, size) + residual

    @property
    def reach(self) -> int:
        """Voxels around a voxel, across the last axis, that the result depends on."""
        return 3 + 2 * len(self.blocks)

    def head_of(self, factor: float) -> int:
        """The whole factor whose tail serves a real factor."""
        return next((head for head in self.heads if head >= factor), self.heads[-1])

    def _features(self, x: torch.Tensor, factor: float, thickness: float | torch.Tensor) -> torch.Tensor:
        width = torch.as_tensor(thickness, dtype=x.dtype, device=x.device).reshape(-1).log()
        known = torch.stack([torch.full_like(width, math.log2(factor) - 1), width], dim=1)
        gains = 1 + self.gains(known).reshape(len(known), len(self.blocks), -1, 1, 1)
        weight = self.first.weight - self.first.weight.mean(dim=(2, 3), keepdim=True)
        start = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight.to(x.dtype))
        features = start
        for n, block in enumerate(self.blocks):
            features = block(features, gains[:, n].to(features.dtype))
        return self.last(features) + start


class _Block(nn.Module):
    """Convolution, ReLU, gain, convolution, beside the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.leave = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return x + self.leave(F.relu(self.enter(x)) * gain)

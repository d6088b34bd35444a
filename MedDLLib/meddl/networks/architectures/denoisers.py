"""Denoising networks in 3D: a residual network conditioned on the noise level, and a blind autoencoder."""

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks.architectures.residual3d import ResidualBlock3d, ShiftFreeConv3d, conv3d, pad_to_multiple
from meddl.networks.architectures.shuffle_unet import shuffle, unshuffle


class ResidualDenoiser3D(nn.Module):
    """Estimates the noise at half resolution, on blocks of 2 x 2 x 2 voxels, beside a map of its strength.

    K. Zhang et al., "FFDNet: toward a fast and flexible solution for CNN-based image denoising", IEEE Transactions
    on Image Processing 27(9), 2018, doi:10.1109/TIP.2018.2839891, in 3D, with residual blocks and without
    normalization.

    Args:
        channels: features.
        blocks: residual blocks.
    """

    def __init__(self, channels: int = 32, blocks: int = 4):
        super().__init__()
        self.first = ShiftFreeConv3d(9, channels, image_channels=8)
        self.blocks = nn.Sequential(*(ResidualBlock3d(channels, nn.ReLU()) for _ in range(blocks)))
        self.last = conv3d(channels, channels)
        self.tail = conv3d(channels, 8, zero=True)

    def forward(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        """(B, 1, I, J, K), any range, to the same without noise.

        Args:
            sigma: standard deviation of the noise, in the image's unit: a number, or a map that broadcasts to x.
        """
        noise = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand_as(x)
        blocks = torch.cat([unshuffle(pad_to_multiple(x, 2)), F.avg_pool3d(pad_to_multiple(noise, 2), 2)], dim=1)
        start = self.first(blocks)
        found = shuffle(self.tail(self.last(self.blocks(start)) + start))
        return x + found[:, :, :x.shape[2], :x.shape[3], :x.shape[4]]


class DenoisingAutoencoder3D(nn.Module):
    """An encoder to an eighth of the voxels, a decoder back, and symmetric skips; it must see the noise itself.

    P. Vincent et al., "Extracting and composing robust features with denoising autoencoders", ICML 2008,
    doi:10.1145/1390156.1390294; with skips: X.-J. Mao et al., NeurIPS 2016, arXiv:1603.09056.

    Args:
        widths: features at a half and at a quarter of the resolution.
    """

    def __init__(self, widths=(32, 48)):
        super().__init__()
        near, far = widths
        self.first = ShiftFreeConv3d(8, near)
        self.encode = nn.Sequential(nn.ReLU(), conv3d(near, near), nn.ReLU())
        self.down = nn.Sequential(conv3d(near, far, stride=2), nn.ReLU())
        self.bottom = nn.Sequential(conv3d(far, far), nn.ReLU())
        self.up = conv3d(far, near)
        self.decode = nn.Sequential(nn.ReLU(), conv3d(near, near), nn.ReLU())
        self.tail = conv3d(near, 8, zero=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, I, J, K), any range, to the same without noise."""
        near = self.encode(self.first(unshuffle(pad_to_multiple(x, 4))))
        far = self.up(self.bottom(self.down(near)))
        found = shuffle(self.tail(self.decode(near + F.interpolate(far, scale_factor=2, mode="nearest"))))
        return x + found[:, :, :x.shape[2], :x.shape[3], :x.shape[4]]

"""SRResNet in 3D, also the generator of SRGAN, and the discriminator that trains it.

C. Ledig et al., "Photo-realistic single image super-resolution using a generative adversarial network", CVPR 2017,
doi:10.1109/CVPR.2017.19. Batch normalization is left out, as in ESRGAN (X. Wang et al., ECCV Workshops 2018,
doi:10.1007/978-3-030-11021-5_5), and the result is added to a cubic spline.
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from meddl.networks.architectures.residual3d import ResidualBlock3d, ShiftFreeConv3d, conv3d
from meddl.networks.architectures.shuffle_unet import shuffle
from meddl.networks.cubic import cubic_twice


class SRResNet3D(nn.Module):
    """Residual blocks with learned slopes, a step to twice the resolution, and a last layer there.

    Args:
        channels: features.
        blocks: residual blocks.
        fine_channels: features at twice the resolution.
    """

    def __init__(self, channels: int = 32, blocks: int = 4, fine_channels: int = 8):
        super().__init__()
        self.first = nn.Sequential(ShiftFreeConv3d(1, channels), nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock3d(channels, nn.PReLU()) for _ in range(blocks)))
        self.last = conv3d(channels, channels)
        self.rise = conv3d(channels, 8 * fine_channels)
        self.slope = nn.PReLU()
        self.tail = conv3d(fine_channels, 1, size=5, zero=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, I, J, K), any range, to (B, 1, 2I, 2J, 2K), the same field of view."""
        start = self.first(x)
        fine = shuffle(self.rise(self.last(self.blocks(start)) + start))
        return cubic_twice(x) + self.tail(self.slope(fine))


class PatchDiscriminator3D(nn.Module):
    """Real or made, patch by patch (P. Isola et al., CVPR 2017, doi:10.1109/CVPR.2017.632).

    Every layer is held to a Lipschitz constant of 1 by spectral normalization (T. Miyato et al., ICLR 2018,
    arXiv:1802.05957).

    Args:
        widths: features of the layers, each at half the resolution of the one before.
        channels: of the input.
    """

    def __init__(self, widths=(16, 32, 64), channels: int = 1):
        super().__init__()
        layers, before = [], channels
        for width in widths:
            layers.append(nn.Sequential(spectral_norm(nn.Conv3d(before, width, 4, stride=2, padding=1)),
                                        nn.LeakyReLU(0.2)))
            before = width
        self.layers = nn.ModuleList(layers)
        self.score = spectral_norm(nn.Conv3d(before, 1, 3, padding=1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """(B, channels, I, J, K) to scores (B, 1, I', J', K'), high for real, and the features of every layer."""
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return self.score(x), features

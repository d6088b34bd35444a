"""The gain of a temporal filter at each voxel, by a recurrent network."""

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks.architectures.residual3d import pad_to_multiple
from meddl.networks.architectures.shuffle_unet import shuffle, unshuffle
from meddl.networks.recurrent.conv_gru import ConvGRUCell3d

_LARGEST = 8.0  # standard deviations of the noise at which differences saturate
_REACH = 1  # voxels around a voxel whose mean is taken from it


class RecurrentGain3D(nn.Module):
    """Says at each voxel how much more than its noise the memory of a series may be wrong.

    It works at half resolution, on blocks of 2 x 2 x 2 voxels, and sees intensities only as differences in units of
    the noise: a series in other units, with the noise in the same, gives the same gain.

    Args:
        channels: features.
    """

    def __init__(self, channels: int = 16):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(17, channels, 3, padding=1), nn.SiLU(),
                                  nn.Conv3d(channels, channels, 3, padding=1), nn.SiLU())
        self.cell = ConvGRUCell3d(channels, channels)
        self.head = nn.Conv3d(channels, 8, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, innovation: torch.Tensor, memory: torch.Tensor, variance: torch.Tensor,
                state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """The logarithm of the factor on the memory's variance, and the next state.

        Args:
            innovation: (B, 1, I, J, K), the frame less the memory, in units of the noise of a frame.
            memory: the memory in these units.
            variance: the memory's, that of a frame being 1.
            state: (B, channels, I', J', K'), at half resolution, rounded up; None before the first frame.

        Returns:
            (B, 1, I, J, K), and (B, channels, I', J', K').
        """
        size = innovation.shape[2:]
        innovation, memory, variance = (pad_to_multiple(part, 2) for part in (innovation, memory, variance))
        detail = memory - F.avg_pool3d(F.pad(memory, [_REACH] * 6, mode="replicate"), 2 * _REACH + 1, stride=1)
        features = self.stem(torch.cat([
            unshuffle(_saturate(innovation)), unshuffle(_saturate(detail)), F.avg_pool3d(variance, 2).sqrt()], dim=1))
        state = self.cell(features, state)
        return shuffle(self.head(state))[:, :, :size[0], :size[1], :size[2]], state


def _saturate(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + (x / _LARGEST).square()).sqrt()

"""The gated recurrent unit with convolutions, in 3D."""

import torch
from torch import nn


class ConvGRUCell3d(nn.Module):
    """A state of features at each voxel that is updated frame by frame, in part and where the input says so.

    N. Ballas et al., "Delving deeper into convolutional networks for learning video representations", ICLR 2016,
    arXiv:1511.06432; the unit is that of K. Cho et al., EMNLP 2014, doi:10.3115/v1/D14-1179.

    Args:
        in_channels: features of a frame.
        channels: features of the state.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__()
        self.channels = channels
        self.gates = nn.Conv3d(in_channels + channels, 2 * channels, 3, padding=1)
        self.candidate = nn.Conv3d(in_channels + channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, state: torch.Tensor | None = None) -> torch.Tensor:
        """The next state (B, channels, I, J, K), each feature from -1 to 1.

        Args:
            x: (B, in_channels, I, J, K), a frame's features.
            state: the one before; None: zero, before the first frame.
        """
        if state is None:
            state = x.new_zeros((len(x), self.channels, *x.shape[2:]))
        update, reset = self.gates(torch.cat([x, state], dim=1)).sigmoid().chunk(2, dim=1)
        candidate = self.candidate(torch.cat([x, reset * state], dim=1)).tanh()
        return state + update * (candidate - state)

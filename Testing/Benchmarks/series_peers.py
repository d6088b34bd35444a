"""What the recurrent denoiser is compared with beside local PCA: a recursive mean with a test of change, no network.

Kalman-like: the same filter, whose memory counts as less sure where the squared differences to the frame, over 5 x 5 x
5 voxels, are more than noise explains.
"""

import torch
import torch.nn.functional as F
from torch import nn

_WINDOW = 5
_SURE = 3.0  # standard deviations of the mean square over the window


class ChangeTest(nn.Module):
    """In the place of `RecurrentGain3D`: how much more than its noise the memory is wrong, from a window."""

    def forward(self, innovation, memory, variance, state):
        padded = F.pad(innovation.square(), [_WINDOW // 2] * 6, mode="replicate")
        square = F.avg_pool3d(padded, _WINDOW, stride=1)
        excess = (square / (1 + variance) - 1) * (_WINDOW**3 / 2) ** 0.5
        factor = ((square - 1).clamp_min(1e-3) / variance).log().clamp_min(0)
        return torch.where(excess > _SURE, factor, 0.0), innovation[:, :, ::2, ::2, ::2]

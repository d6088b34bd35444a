"""SRCNN in 3D: the first network of super-resolution, three layers over an interpolated image.

C. Dong et al., "Learning a deep convolutional network for image super-resolution", ECCV 2014,
doi:10.1007/978-3-319-10593-2_13. In 3D: C.-H. Pham et al., ISBI 2017, doi:10.1109/ISBI.2017.7950500. Here the result
is added to the cubic spline, as J. Kim et al. do (VDSR, CVPR 2016, doi:10.1109/CVPR.2016.182).
"""

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks.architectures.residual3d import ShiftFreeConv3d, conv3d
from meddl.networks.cubic import cubic_twice


class SRCNN3D(nn.Module):
    """Patches to features, features to features, features to voxels.

    Args:
        channels: features of the first and of the second layer.
        sizes: of the three kernels.
    """

    def __init__(self, channels=(32, 16), sizes=(7, 1, 5)):
        super().__init__()
        self.first = ShiftFreeConv3d(1, channels[0], sizes[0])
        self.second = conv3d(channels[0], channels[1], sizes[1])
        self.tail = conv3d(channels[1], 1, sizes[2], zero=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, I, J, K), any range, to (B, 1, 2I, 2J, 2K), the same field of view."""
        cubic = cubic_twice(x)
        return cubic + self.tail(F.relu(self.second(F.relu(self.first(cubic)))))

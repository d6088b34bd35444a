"""A U-Net with separate outputs for the structure and for its side (left or right).

Half the scores to compute, and every lateral structure learns from both of its sides.
"""

import torch
from torch import nn

from meddl.networks.architectures.half_resolution_unet import HalfResolutionUNet
from meddl.networks.architectures.shuffle_unet import ShuffleUNet


class SidedUNet(nn.Module):
    """Class log-probabilities as the sum of those of a tissue and, for lateral classes, of a side.

    Args:
        in_channels: channels of the image.
        tissue_of_class: for each class its tissue, 0 to T - 1; class 0 is background.
        side_of_class: for each class 0 (left), 1 (right) or 2 (middle: the side does not matter).
        widths, refine_channels: as in `ShuffleUNet`; 0 refine channels: a `HalfResolutionUNet`.
    """

    def __init__(self, in_channels: int, tissue_of_class, side_of_class, widths=(32, 64, 96, 128),
                 refine_channels: int = 16):
        super().__init__()
        if len(tissue_of_class) != len(side_of_class):
            raise ValueError("tissue_of_class and side_of_class have one number for each class")
        self.tissues = max(tissue_of_class) + 1
        scores = self.tissues + 2
        self.body = (ShuffleUNet(in_channels, scores, widths, refine_channels) if refine_channels
                     else HalfResolutionUNet(in_channels, scores, widths))
        self.register_buffer("tissue_of_class", torch.tensor(tissue_of_class), persistent=False)
        self.register_buffer("side_of_class", torch.tensor(side_of_class), persistent=False)

    def factors(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, in, I, J, K) to scores of tissues (B, T, I, J, K) and of sides (B, 2, I, J, K)."""
        scores = self.body(x)
        return scores[:, :self.tissues], scores[:, self.tissues:]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in, I, J, K) to log-probabilities of classes (B, C, I, J, K), float32."""
        tissue, side = self.factors(x)
        tissue, side = tissue.float().log_softmax(dim=1), side.float().log_softmax(dim=1)
        side = torch.cat([side, torch.zeros_like(side[:, :1])], dim=1)
        return tissue[:, self.tissue_of_class] + side[:, self.side_of_class]

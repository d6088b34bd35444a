"""A synthesized image on the grid of the measured one: each neighborhood a linear function of what was measured.

Fast guided filter: K. He, J. Sun, arXiv:1505.00996, 2015; K. He, J. Sun, X. Tang, IEEE TPAMI 35(6), 2013,
doi:10.1109/TPAMI.2012.213.
"""

import torch
import torch.nn.functional as F


def guided_coefficients(guide: torch.Tensor, image: torch.Tensor, radius: int,
                        regularization: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Slope and offset, each (I, J, K), with which `image` is a linear function of `guide` about each voxel.

    Args:
        guide, image: (I, J, K) float.
        radius: voxels of a neighborhood to each side.
        regularization: variance of the guide below which a neighborhood counts as flat.
    """
    def mean(values: torch.Tensor) -> torch.Tensor:
        return F.avg_pool3d(values[None, None], 2 * radius + 1, 1, radius, count_include_pad=False)[0, 0]

    guide_mean, image_mean = mean(guide), mean(image)
    variance = mean(guide * guide) - guide_mean * guide_mean
    covariance = mean(guide * image) - guide_mean * image_mean
    slope = covariance / (variance.clamp_min(0) + regularization)
    return mean(slope), mean(image_mean - slope * guide_mean)

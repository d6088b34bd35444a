"""An image painted from labels made as fine as the measured one: each neighborhood a linear function of it.

Guided filter: K. He, J. Sun, X. Tang, IEEE TPAMI 35(6), 2013, doi:10.1109/TPAMI.2012.213.
"""

import torch
import torch.nn.functional as F


def guided_filter(guide: torch.Tensor, image: torch.Tensor, inside: torch.Tensor, radius: int,
                  regularization: float) -> torch.Tensor:
    """The image with the edges of the guide, (I, J, K); 0 outside.

    Args:
        guide, image: (I, J, K) float.
        inside: (I, J, K) bool, where both are known.
        radius: voxels of a neighborhood to each side.
        regularization: variance of the guide below which a neighborhood counts as flat.
    """
    weights = inside.to(guide.dtype)

    def sums(values: torch.Tensor) -> torch.Tensor:
        return F.avg_pool3d((values * weights)[None, None], 2 * radius + 1, 1, radius)[0, 0]

    count = sums(torch.ones_like(guide)).clamp_min(1e-6)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return sums(values) / count

    guide_mean, image_mean = mean(guide), mean(image)
    variance = mean(guide * guide) - guide_mean * guide_mean
    covariance = mean(guide * image) - guide_mean * image_mean
    slope = covariance / (variance.clamp_min(0) + regularization)
    offset = image_mean - slope * guide_mean
    return (mean(slope) * guide + mean(offset)) * weights

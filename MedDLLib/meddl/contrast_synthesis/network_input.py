"""A head as the network of contrast synthesis sees it: 2 mm, intensities on a common scale."""

import torch

from meddl.spatial.normalize import object_threshold, percentiles

SPACING_MM = 2.0
LARGEST = 1.6        # of the bright part of a head; what is brighter is clipped
_BRIGHT = 0.95       # quantile of the object's voxels that becomes 1
_SAMPLES = 1 << 16


def bright_level(image: torch.Tensor) -> float:
    """The intensity of the bright part of a head, whatever part of the field of view it fills; 0 of a constant image.

    Args:
        image: (I, J, K) float, 0 is black.
    """
    values = image.reshape(-1)
    some = values[::max(1, values.numel() // _SAMPLES)]
    seen = some[some > object_threshold(some.cpu().double().numpy())]
    return float(percentiles(seen[None], (_BRIGHT,))[0, 0]) if seen.numel() else 0.0


def to_network_range(image: torch.Tensor, bright: float) -> torch.Tensor:
    """An image with black at 0 and the bright part of the head, of this intensity, at 1."""
    return (image / bright).clamp(0, LARGEST) if bright > 0 else torch.zeros_like(image)

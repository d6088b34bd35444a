"""Intensities to a common range, the same way in training and at work."""

import torch

_SAMPLES = 1 << 17  # enough voxels for a percentile


def percentiles(images: torch.Tensor, fractions: tuple[float, ...]) -> torch.Tensor:
    """Values below which these fractions of the voxels lie, shape (B, len(fractions)), from an even subsample.

    Args:
        images: (B, ...) float.
    """
    flat = images.reshape(images.shape[0], -1)
    ordered = flat[:, :: max(1, flat.shape[1] // _SAMPLES)].float().sort(dim=1).values
    positions = torch.tensor(fractions, device=images.device) * (ordered.shape[1] - 1)
    return ordered[:, positions.round().long()]


def to_unit_range(images: torch.Tensor, low: float = 0.005, high: float = 0.995) -> torch.Tensor:
    """Each image so that its `low` percentile is 0 and its `high` percentile is 1, clipped to [0, 1].

    Args:
        images: (B, C, I, J, K) float; all channels of an image share the range.

    A constant image becomes zero.
    """
    bounds = percentiles(images, (low, high)).to(images.dtype)
    shape = (-1, *([1] * (images.ndim - 1)))
    floor, width = bounds[:, 0].reshape(shape), (bounds[:, 1] - bounds[:, 0]).reshape(shape)
    # A sparse image (a small stripped brain in a large field) may have equal percentiles: use its maximum.
    peak = images.flatten(1).amax(dim=1).reshape(shape) - floor
    width = torch.where(width > 1e-6 * peak, width, peak)
    return ((images - floor) / torch.where(width > 0, width, torch.ones_like(width))).clamp_(0, 1)

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


def unit_range(images: torch.Tensor, low: float = 0.005, high: float = 0.995) -> tuple[torch.Tensor, torch.Tensor]:
    """What becomes 0 in each image, and how far above it is 1: floor and width, (B,), by two percentiles.

    Args:
        images: (B, C, I, J, K) float; all channels of an image share the range.
    """
    bounds = percentiles(images, (low, high)).to(images.dtype)
    floor, width = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
    # A sparse image (a small stripped brain in a large field) may have equal percentiles: use its maximum.
    peak = images.flatten(1).amax(dim=1) - floor
    width = torch.where(width > 1e-6 * peak, width, peak)
    return floor, torch.where(width > 0, width, torch.ones_like(width))


def to_unit_range(images: torch.Tensor, low: float = 0.005, high: float = 0.995) -> torch.Tensor:
    """Each image so that its `low` percentile is 0 and its `high` percentile is 1, clipped to [0, 1].

    Args:
        images: as of `unit_range`.

    A constant image becomes zero.
    """
    floor, width = (bound.reshape(-1, *[1] * (images.ndim - 1)) for bound in unit_range(images, low, high))
    return ((images - floor) / width).clamp_(0, 1)

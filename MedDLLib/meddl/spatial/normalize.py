"""Intensities to a common range, the same way in training and at work, and thresholds between them."""

import numpy as np
import torch

from meddl.core.errors import InputError

_SAMPLES = 1 << 17  # enough voxels for a percentile
LARGEST = 1e19  # of intensities: single precision holds its square
_OBJECT_FRACTION = 0.15  # of the bright tissue's mean, above which an object is


def percentiles(images: torch.Tensor, fractions: tuple[float, ...]) -> torch.Tensor:
    """Values below which these fractions of the voxels lie, shape (B, len(fractions)), from an even subsample.

    Args:
        images: (B, ...) float.
    """
    flat = images.reshape(images.shape[0], -1)
    some = flat[:, :: max(1, flat.shape[1] // _SAMPLES)].float()
    positions = [round(fraction * (some.shape[1] - 1)) for fraction in fractions]
    if images.device.type == "cpu":  # many times faster than a sort
        return torch.from_numpy(np.partition(some.numpy(), positions, axis=1)[:, positions])
    ordered = some.sort(dim=1).values
    return torch.stack([ordered[:, position] for position in positions], dim=1)


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


def check_magnitude(data: np.ndarray, name: str = "The volume") -> None:
    """Refuse floating-point values whose squares single precision, in which all is computed, does not hold.

    Args:
        data: any shape; NaN and infinity do not count.
        name: what the error calls it.

    Raises:
        InputError: an absolute value above 1e19.
    """
    if data.dtype.kind != "f" or data.dtype.itemsize < 4:
        return
    low, high = float(data.min()), float(data.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = np.isfinite(data)
        low, high = (float(find(data, initial=0, where=finite)) for find in (np.min, np.max))
    peak = max(-low, high)
    if peak > LARGEST:
        raise InputError(f"{name} holds values up to {peak:.3g}; those up to {LARGEST:g} can be computed with. Divide "
                         "it by a power of ten, or replace what was not measured by the background value.")


def otsu_threshold(values: np.ndarray) -> float:
    """Otsu's threshold between background and object.

    Method: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems,
    Man, and Cybernetics 9(1), 1979, doi:10.1109/TSMC.1979.4310076, on values clipped at their 1st and 99th
    percentiles so that a few hot voxels do not decide. Of constant values, that value.
    """
    low, high = np.percentile(values, (1, 99))
    if not low < high:
        low, high = float(values.min()), float(values.max())
    if not low < high:
        return low
    counts, edges = np.histogram(np.clip(values, low, high), bins=128, range=(low, high))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1:-1][np.nanargmax(between)])


def object_threshold(values: np.ndarray) -> float:
    """Between the background of an MR volume and its object: a fraction of the mean of what is brighter than Otsu's
    threshold, counted from the background's level."""
    floor = float(np.percentile(values, 1))
    bright = values[values > otsu_threshold(values)]
    return floor + _OBJECT_FRACTION * (float(bright.mean()) - floor) if bright.size else floor


def isodata_threshold(values: np.ndarray) -> float:
    """The ISODATA threshold: halfway between the means of what lies above it and below it.

    T. Ridler, S. Calvard, "Picture thresholding using an iterative selection method", IEEE Transactions on Systems,
    Man, and Cybernetics 8(8), 1978, doi:10.1109/TSMC.1978.4310039.
    """
    ordered = np.sort(values.ravel()[::max(1, values.size // 100_000)].astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    threshold = float(ordered.mean())
    for _ in range(100):
        below = int(np.searchsorted(ordered, threshold, side="right"))
        if below in (0, len(ordered)):
            return threshold
        low, high = sums[below] / below, (sums[-1] - sums[below]) / (len(ordered) - below)
        if abs((low + high) / 2 - threshold) < 1e-9 * (abs(high - low) + 1e-30):
            break
        threshold = float((low + high) / 2)
    return threshold

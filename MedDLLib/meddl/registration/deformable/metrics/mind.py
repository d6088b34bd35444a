"""MIND-SSC: self-similarity descriptors, independent of modality.

Method: M. P. Heinrich, M. Jenkinson, B. W. Papiez, M. Brady, J. A. Schnabel, "Towards Realtime Multimodal Fusion
for Image-Guided Interventions Using Self-similarities", MICCAI 2013, doi:10.1007/978-3-642-40811-3_24.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.errors import InputError


def _unit(axis: int, sign: int) -> tuple[int, int, int]:
    return tuple(sign if at == axis else 0 for at in range(3))


# The channels: two of the six neighbors, at right angles as seen from the voxel; in units of the dilation.
# Every other pair is the one before it, seen through the voxel: both have the same way between their two places.
PAIRS = tuple(
    (_unit(p, sign), _unit(q, sign * turn))
    for p, q in itertools.combinations(range(3), 2) for turn in (1, -1) for sign in (1, -1))
_VOXELS_PER_SLAB = 1 << 18
_LEAST, _MOST = 1e-3, 1e3  # bounds of a voxel's variation, in means over the image


def mind_ssc(image: torch.Tensor, radius=1, dilation=2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The self-similarity context of every voxel, unchanged by a linear change of the intensities or its inversion.

    Around a voxel lie six neighbors, `dilation` voxels away along the axes. Each channel compares the patches
    (2 `radius` + 1 voxels wide) about two of them that lie at right angles: exp(-d / v), where d is the sum of
    squared differences less the smallest of the twelve, and v is the mean of the twelve d, held within 0.001 and
    1000 of its mean over the image. Beyond the image its edge values go on.

    Args:
        image: (I, J, K), finite.
        radius, dilation: in voxels; one number, or one for each axis (see `mind_steps`).
        dtype: number type of the result; with torch.float16 it takes half the memory, at 3 decimal digits.

    Returns:
        (12, I, J, K), 0 to 1, in the order of `PAIRS`; 1 in all channels of a constant image.

    Raises:
        InputError: not three axes, a negative radius or a dilation under 1.
    """
    radius, dilation = _for_each_axis(image, radius, "radius", 0), _for_each_axis(image, dilation, "dilation", 1)
    image = image.float()
    low, high = image.aminmax()
    if not high > low:
        return torch.ones((len(PAIRS), *image.shape), dtype=dtype, device=image.device)
    image = (image - low) / (high - low)
    result = torch.empty((len(PAIRS), *image.shape), dtype=dtype, device=image.device)
    variation = torch.empty_like(image)
    rows = max(1, _VOXELS_PER_SLAB // (image.shape[1] * image.shape[2]))
    for first in range(0, image.shape[0], rows):
        last = min(first + rows, image.shape[0])
        padded = _edges_extended(image, first, last, radius, dilation)
        here = _distances(padded, radius, dilation, (last - first, *image.shape[1:]))
        here -= here.amin(dim=0)
        spread = here.mean(dim=0)
        here /= spread.clamp_min(torch.finfo(torch.float32).tiny)
        result[:, first:last] = here
        variation[first:last] = spread
    mean = variation.mean(dtype=torch.float64)
    # What was divided by the variation is corrected where the variation leaves its bounds.
    corrected = variation / variation.clamp(float(mean * _LEAST), float(mean * _MOST))
    for first in range(0, image.shape[0], rows):
        part = result[:, first:first + rows].float().mul_(corrected[first:first + rows]).neg_().exp_()
        result[:, first:first + rows] = part
    return result


def mind_steps(spacing_mm, dilation: int = 2) -> tuple[int, int, int]:
    """The dilation along each axis, in voxels, that reaches about as far in mm along all of them.

    The finest axis keeps `dilation`; the others get the number of voxels that comes nearest to the same distance,
    one at least. With slices thicker than that distance the pairs across slices reach farther than those within
    them: that is what the grid allows. A radius of 1 is best left for all axes: patches differ by whole voxels.

    Args:
        spacing_mm: (3,) voxel sizes along the axes.
    """
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    return tuple(int(step) for step in np.maximum(1, np.rint(dilation * spacing.min() / spacing)))


def _for_each_axis(image: torch.Tensor, value, name: str, least: int) -> tuple[int, int, int]:
    if image.ndim != 3:
        raise InputError(f"MIND takes an image with three axes (I, J, K), not one of shape {tuple(image.shape)}.")
    values = (value,) * 3 if np.isscalar(value) else tuple(value)
    if len(values) != 3 or any(v != int(v) or v < least for v in values):
        raise InputError(f"The {name} of MIND is a whole number of voxels, at least {least}, or three of them, "
                         f"not {value}.")
    return tuple(int(v) for v in values)


def _edges_extended(image, first, last, radius, dilation) -> torch.Tensor:
    """Planes `first` to `last` of `image`, with all that the patches of their neighbors reach."""
    reach = [r + d for r, d in zip(radius, dilation, strict=True)]
    low, high = max(0, first - reach[0]), min(image.shape[0], last + reach[0])
    missing = (low - (first - reach[0]), last + reach[0] - high)
    pad = (reach[2], reach[2], reach[1], reach[1], *missing)
    return F.pad(image[None, None, low:high], pad, mode="replicate")[0, 0]


def _distances(padded, radius, dilation, shape) -> torch.Tensor:
    """The sums of squared differences between the patches of each pair, (12, *shape)."""
    result = padded.new_empty((len(PAIRS), *shape))
    for channel in range(0, len(PAIRS), 2):
        a, b = (np.multiply(place, dilation) for place in PAIRS[channel])
        way = b - a
        before = np.maximum(0, -way)
        inside = np.array(padded.shape) - np.abs(way)
        difference = padded[_window(before, inside)] - padded[_window(before + way, inside)]
        sums = _box_sum(difference.square_(), radius)
        # The sum about a place and the one `way` from it belongs to two voxels: to one as a pair, to one as its twin.
        result[channel] = sums[_window(np.array(dilation) + a - before, shape)]
        result[channel + 1] = sums[_window(np.array(dilation) - b - before, shape)]
    return result


def _window(start, size) -> tuple[slice, ...]:
    return tuple(slice(int(first), int(first + count)) for first, count in zip(start, size, strict=True))


def _box_sum(values: torch.Tensor, radius) -> torch.Tensor:
    """Sums over boxes 2 `radius` + 1 wide, where they lie inside entirely."""
    for axis, reach in enumerate(radius):
        count = values.shape[axis] - 2 * reach
        sums = values.narrow(axis, 0, count)
        for offset in range(1, 2 * reach + 1):
            part = values.narrow(axis, offset, count)
            sums = sums + part if offset == 1 else sums.add_(part)
        values = sums
    return values

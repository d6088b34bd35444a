"""Features of every voxel of a region: intensity, its derivatives at several scales, its surroundings, MIND-SSC."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from meddl.core.errors import InputError
from meddl.painting.slice_registration import Warps, register_slices
from meddl.registration.deformable.metrics.mind import mind_ssc, mind_steps
from meddl.registration.images.smoothing import smooth

SCALES = (0.7, 1.5, 3.0)   # standard deviations, in voxels of the finest axis
_REACH = (4, 8)            # how far the surroundings are looked at, in voxels of the finest axis
_KEPT = 2                  # regions
_cache: "OrderedDict[bytes, RegionFeatures]" = OrderedDict()


@dataclass(eq=False)
class RegionFeatures:
    """What is computed once for a region of a volume, whatever is painted in it.

    Attributes:
        image: (I, J, K) float32, about 0 to 1.
        spacing_mm: (3,) of its voxels.
    """

    image: torch.Tensor
    spacing_mm: np.ndarray

    def __post_init__(self) -> None:
        self._warps: dict[int, Warps] = {}

    @cached_property
    def rows(self) -> torch.Tensor:
        """(voxels, features) float32, each feature of mean 0 and variance 1 over the region."""
        found = voxel_features(self.image, self.spacing_mm)
        rows = found.reshape(len(found), -1).T.contiguous()
        rows -= rows.mean(0)
        rows /= rows.std(0).clamp_min(1e-6)
        return rows.clamp_(-4, 4)

    def warps(self, axis: int) -> Warps:
        """How the slices across an axis move into their neighbors."""
        if axis not in self._warps:
            self._warps[axis] = register_slices(self.image.movedim(axis, 0))
        return self._warps[axis]


def features_of(data: np.ndarray, spacing_mm: np.ndarray) -> RegionFeatures:
    """The features of a region, from the last call where its voxels are the same.

    Args:
        data: (I, J, K) real numbers.

    Raises:
        InputError: not one finite value, or all values are equal.
    """
    array = np.ascontiguousarray(data, dtype=np.float32)
    key = hashlib.blake2b(array.tobytes() + repr((array.shape, np.round(spacing_mm, 6).tolist())).encode()).digest()
    if key not in _cache:
        finite = array[np.isfinite(array)]
        low, high = np.percentile(finite, [1, 99]) if finite.size else (0.0, 0.0)
        if high <= low:
            low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        if high <= low:
            raise InputError("The volume has one value throughout the painted region: there is nothing to go by.")
        array = np.nan_to_num((array - float(low)) / float(high - low), nan=0.0, posinf=1.5, neginf=-0.5)
        _cache[key] = RegionFeatures(torch.from_numpy(array).clamp_(-0.5, 1.5), np.asarray(spacing_mm, dtype=float))
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key]


def voxel_features(image: torch.Tensor, spacing_mm: np.ndarray) -> torch.Tensor:
    """(features, I, J, K): the intensity; smoothed by Gaussians of `SCALES`, with gradient, its magnitude and the
    eigenvalues of the Hessian; smoothed values some voxels away along each axis; MIND-SSC."""
    step = [float(s) for s in np.asarray(spacing_mm) / np.min(spacing_mm)]
    found = [image]
    for scale in SCALES:
        blurred = smooth(image, step, scale)
        gradient = _gradient(blurred, step)
        second = [_gradient(part, step) for part in gradient]
        found += [blurred, torch.stack(gradient).square().sum(0).sqrt(), *gradient, *_eigenvalues(second)]
    blurred = smooth(image, step, 1.0)
    for axis in range(3):
        for reach in _REACH:
            offset = max(1, round(reach / step[axis]))
            found += [_shift(blurred, axis, offset), _shift(blurred, axis, -offset)]
    found += list(mind_ssc(image, 1, mind_steps(spacing_mm)))
    return torch.stack(found)


def _gradient(image: torch.Tensor, step: list[float]) -> list[torch.Tensor]:
    """Central differences along the three axes; 0 along an axis of one voxel."""
    return [torch.gradient(image, spacing=step[axis], dim=axis)[0] if image.shape[axis] > 1
            else torch.zeros_like(image) for axis in range(3)]


def _eigenvalues(second: list[list[torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of symmetric 3x3 matrices, largest first, in closed form (O. K. Smith, Communications of the ACM 4(4), 1961,
    doi:10.1145/355578.366316)."""
    (a, d, e), (_, b, f), (_, _, c) = second
    mean = (a + b + c) / 3
    a, b, c = a - mean, b - mean, c - mean
    spread = ((a * a + b * b + c * c + 2 * (d * d + e * e + f * f)) / 6).clamp_min(1e-20).sqrt()
    half = (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)) / (2 * spread ** 3)
    angle = torch.acos(half.clamp(-1, 1)) / 3
    first = 2 * spread * torch.cos(angle)
    last = 2 * spread * torch.cos(angle + 2 * np.pi / 3)
    return mean + first, mean - first - last, mean + last


def _shift(image: torch.Tensor, axis: int, offset: int) -> torch.Tensor:
    count = image.shape[axis]
    return image.index_select(axis, (torch.arange(count, device=image.device) + offset).clamp(0, count - 1))

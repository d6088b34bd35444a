"""The noise of the frames of a series: its strength, its kind, and how it varies in space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from meddl.spatial.normalize import isodata_threshold
from meddl.superres.acquisition.noise import noise_sigma
from meddl.superres.acquisition.rician import noise_map, rician_sigma, signal_of_mean
from meddl.superres.methods.denoise import ESTIMATE_FRACTION, is_magnitude

LEAD_IN = 8  # first frames, from which the noise is estimated
_FEW = 3  # frames below which differences of frames say nothing of the noise
_DEVIATION = 0.6745 * 2**0.5  # of the difference of two frames: its median absolute value over a frame's noise
_BLOCK = 8  # voxels along each axis over which a map of the noise is constant
_VARIATION = 0.5, 2.5  # of the noise in a map, against its median


@dataclass(frozen=True, eq=False)
class SeriesNoise:
    """The noise of a frame.

    Attributes:
        sigma: standard deviation where the signal is strong.
        magnitude: whether it is that of magnitude images (Rician).
        fraction: of `sigma`, what is taken away spatially: less where texture may count as noise.
        factor: (1, 1, I, J, K), how it varies in space; 1 for not at all.
        spread: of the noise over the volume, 95th over 5th percentile; None where it was not estimated.
    """

    sigma: float
    magnitude: bool
    fraction: float
    factor: torch.Tensor | float = 1.0
    spread: float | None = None

    def of_frame(self, frame: torch.Tensor) -> torch.Tensor | float:
        """Standard deviation at each voxel of a frame (1, 1, I, J, K), in its intensities."""
        if not self.magnitude:
            return self.sigma * self.factor
        return noise_map(frame, self.sigma) * self.factor

    def of_mean(self, mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """What of it is to be taken away from a mean of frames, at each voxel.

        Args:
            variance: of the mean's noise, that of a frame being 1.
        """
        left = self.fraction * self.factor * variance.sqrt()
        if not self.magnitude:
            return self.sigma * left
        return _of_magnitude(mean, self.sigma) * left

    def signal(self, mean: torch.Tensor) -> torch.Tensor:
        """The signal whose mean magnitude this is; of other images the mean itself."""
        return signal_of_mean(mean.clamp_min(0), self.sigma) if self.magnitude else mean


def estimate_noise(frames: Sequence[np.ndarray], thick_axis: int, stated: float | None, varying: bool,
                   device: torch.device) -> SeriesNoise:
    """The noise of the first frames of a series, (I, J, K) float32 each, 0 being no signal where none is negative;
    stated: its standard deviation.

    Spatially it is estimated frame by frame, temporally from the median of the absolute differences of neighboring
    frames at each voxel. The smaller one counts: texture adds to the first one, motion and change to the second.
    """
    spatial = float(np.median([noise_sigma(frame, thick_axis) for frame in frames]))
    sigma = spatial if stated is None else stated
    fraction = ESTIMATE_FRACTION if stated is None else 1.0
    factor: torch.Tensor | float = 1.0
    spread, differences = None, None
    if len(frames) >= _FEW:
        steps = np.stack([np.abs(after - before) for before, after in zip(frames[:-1], frames[1:], strict=True)])
        differences = np.median(steps, axis=0) / _DEVIATION
        inside = frames[0] > isodata_threshold(frames[0])
        temporal = float(np.median(differences[inside])) if inside.any() else 0.0
        if stated is None and 0 < temporal < sigma:
            sigma, fraction = temporal, 1.0
    magnitude = is_magnitude(frames[0], sigma)
    if differences is not None and sigma > 0:
        blocks, spread = _variation(differences, frames, sigma, magnitude, device)
        factor = F.interpolate(blocks, size=frames[0].shape, mode="trilinear") if varying else 1.0
    return SeriesNoise(sigma, magnitude, fraction, factor, spread)


def _variation(differences: np.ndarray, frames: Sequence[np.ndarray], sigma: float, magnitude: bool,
               device: torch.device) -> tuple[torch.Tensor, float]:
    """The noise in blocks of voxels over what is expected there, its median 1; and its spread."""
    found = torch.from_numpy(differences)
    if magnitude:
        found = found / _of_magnitude(torch.from_numpy(np.mean(frames, axis=0))[None, None], sigma)[0, 0]
    counts = [max(1, round(n / _BLOCK)) for n in found.shape]
    edges = [np.linspace(0, n, count + 1).round().astype(int) for n, count in zip(found.shape, counts, strict=True)]
    blocks = torch.empty(counts)
    for place in np.ndindex(*counts):
        part = found[tuple(slice(edge[at], edge[at + 1]) for edge, at in zip(edges, place, strict=True))]
        blocks[place] = part.median()
    known = blocks[blocks > 0]
    middle = known.median() if len(known) else torch.tensor(1.0)
    low, high = (float(torch.quantile(known, level)) for level in (0.05, 0.95)) if len(known) else (1.0, 1.0)
    return (blocks / middle).clamp(*_VARIATION)[None, None].to(device), high / low


def _of_magnitude(mean: torch.Tensor, sigma: float) -> torch.Tensor:
    """Standard deviation of a frame's noise at each voxel of a mean of magnitudes (1, 1, I, J, K)."""
    near = F.avg_pool3d(F.pad(mean, [2] * 6, mode="replicate"), 5, stride=1)
    return rician_sigma(signal_of_mean(near, sigma), sigma)

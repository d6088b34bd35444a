"""Rician noise of magnitude images: its mean and standard deviation, and the inverse from a mean to the signal.

The magnitude of a complex signal of length a with Gaussian noise of standard deviation sigma in both parts follows S.
Rice's distribution: its mean is above a, most where a is small. H. Gudbjartsson & S. Patz, "The Rician distribution
of noisy MRI data", MRM 34(6), 1995, doi:10.1002/mrm.1910340618; the way back from measured moments as in C. Koay & P.
Basser, J. Magn. Reson. 179(2), 2006, doi:10.1016/j.jmr.2006.01.016.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F

_LARGEST = 20.0  # signal over noise above which the noise is Gaussian to four digits
_ENTRIES = 2000
BACKGROUND_MEAN = (torch.pi / 2) ** 0.5  # of a magnitude without signal, over sigma


def rician_mean(signal: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
    """Mean of the magnitude; signal of at least 0, sigma above 0, both in one unit."""
    half = (signal / sigma).square() / 4
    series = (1 + 2 * half) * torch.special.i0e(half) + 2 * half * torch.special.i1e(half)
    return sigma * BACKGROUND_MEAN * series


def rician_sigma(signal: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
    """Standard deviation of the magnitude: `sigma` where the signal is strong, 0.655 of it where there is none."""
    ratio = (signal / sigma).clamp_max(_LARGEST)  # beyond, two large numbers would be subtracted
    variance = 2 + ratio.square() - rician_mean(ratio, 1.0).square()
    return sigma * variance.clamp_min(0).sqrt()


def signal_of_mean(mean: torch.Tensor, sigma: float) -> torch.Tensor:
    """The signal whose magnitude has this mean; 0 where the mean is that of noise alone, or below."""
    signals, means = (table.to(mean) for table in _table())
    ratio = (mean / sigma).contiguous()
    right = torch.searchsorted(means, ratio).clamp(1, len(means) - 1)
    weight = (ratio - means[right - 1]) / (means[right] - means[right - 1])
    inner = signals[right - 1] + weight.clamp_min(0) * (signals[right] - signals[right - 1])
    strong = ratio > means[-1]
    return sigma * torch.where(strong, (ratio.clamp_min(1).square() - 1).sqrt(), inner)


def noise_map(magnitude: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
    """Standard deviation of the noise at each voxel of a magnitude image (B, 1, I, J, K), from its neighborhood."""
    power = F.avg_pool3d(F.pad(magnitude.square(), [2] * 6, mode="replicate"), 5, stride=1)
    sigma = torch.as_tensor(sigma, dtype=magnitude.dtype, device=magnitude.device)
    return rician_sigma((power - 2 * sigma.square()).clamp_min(0).sqrt(), sigma)


@lru_cache(maxsize=1)
def _table() -> tuple[torch.Tensor, torch.Tensor]:
    signals = torch.linspace(0, _LARGEST, _ENTRIES, dtype=torch.float64)
    return signals, rician_mean(signals, 1.0)

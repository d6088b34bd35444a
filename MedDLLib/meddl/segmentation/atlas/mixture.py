"""A mixture model of a volume's intensities, one histogram a tissue, fitted by expectation maximization.

The idea of unified segmentation (Ashburner and Friston 2005, doi:10.1016/j.neuroimage.2005.02.018), here with
histograms instead of Gaussians: a tissue of several intensities, as everything around the brain is, needs no more
components.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

STRENGTH = 1.5  # weight of the likelihood against a vague prior
BINS = 48
_BIN_SD = 1.2
CSF_OVERLAP = (0.1, 0.3)  # of two tissues' histograms: of their own up to the former, one from the latter on
_BIAS_MM = 42.0
_DARK = 0.02


def to_bins(image: torch.Tensor) -> torch.Tensor:
    """The bin of each voxel of an image in [0, 1], int64."""
    return (image * (BINS - 1)).round().long()


def histograms(weights: torch.Tensor, bins: torch.Tensor, csf: tuple[int, ...] = ()) -> torch.Tensor:
    """Logarithm of the probability of each bin in each tissue, (T, BINS), smooth and nowhere zero.

    Args:
        weights: (T, ...) fraction of each tissue in each voxel; bins: (...) of the same voxels.
        csf: tissues that are CSF, that around the brain first, which share their histogram as far as they look alike:
            a ventricle's own, of few voxels, would take in what lies around it.
    """
    counts = _counts(weights, bins)
    if csf:
        parts = list(csf)
        counts[parts] = _pool(counts[parts], _counts(weights[parts].pow(3), bins))
    return (counts / counts.sum(dim=1, keepdim=True)).log()


def _counts(weights: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
    """(T, BINS): the sum of weights (T, ...) over the voxels in each bin, smoothed over bins, nowhere zero."""
    flat = bins.reshape(-1)
    if flat.device.type == "cpu":
        counts = torch.stack([torch.bincount(flat, weights=w.reshape(-1), minlength=BINS) for w in weights]).float()
    else:  # a program waits for a GPU's bincount, which looks for the largest bin first
        counts = weights.new_zeros(len(weights), BINS).index_add_(1, flat, weights.flatten(1)).float()
    reach = math.ceil(5 * _BIN_SD)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=counts.device) / _BIN_SD) ** 2)
    padded = F.pad(counts[:, None], (reach, reach), mode="replicate")
    counts = F.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0]
    return counts + 1e-3 * counts.sum(dim=1, keepdim=True) / BINS + 1e-12


def _pool(counts: torch.Tensor, core: torch.Tensor) -> torch.Tensor:
    """Counts (F, BINS) of tissues of CSF, each shared with the first as far as their cores look alike.

    Ventricles have the histogram of all cores alone: around the brain there is more partial volume than in them. By
    histogram intersection (Swain and Ballard 1991, doi:10.1007/BF00130487) a ventricle whose core took in other
    tissue is still alike.

    Args:
        core: (F, BINS) counts of the voxels that are surely of each.
    """
    fractions = core / core.sum(dim=1, keepdim=True)
    overlap = torch.minimum(fractions, fractions[0]).sum(dim=1, keepdim=True)
    low, high = CSF_OVERLAP
    alike = ((overlap - low) / (high - low)).clamp(0, 1)
    total = counts.sum(dim=1, keepdim=True)
    wide, narrow = (alike * counts).sum(dim=0), (alike * core).sum(dim=0)
    pooled = torch.stack([wide, *[narrow] * (len(counts) - 1)])
    return alike * total * pooled / pooled.sum(dim=1, keepdim=True) + (1 - alike) * counts


def fit_mixture(prior: torch.Tensor, bins: torch.Tensor, appearance: torch.Tensor, iterations: int,
                strength: float = STRENGTH, csf: tuple[int, ...] = (),
                pause: Callable[[], None] = lambda: None) -> tuple[torch.Tensor, torch.Tensor]:
    """The posterior probabilities of tissues, (T, ...), and the histograms estimated from them.

    Args:
        prior: (T, ...) log-probabilities, up to a constant in each voxel; bins: (...).
        appearance: (T, BINS) histograms to begin with, as of `histograms`.
        strength: weight of the likelihood against the prior.
        csf: as of `histograms`.
        pause: called between parts of the work; may raise Cancelled.
    """
    for _ in range(iterations):
        pause()
        posterior = (strength * appearance[:, bins]).add_(prior).softmax(dim=0)
        pause()
        appearance = histograms(posterior, bins, csf)
    return posterior, appearance


def bias_gain(image: torch.Tensor, inside: torch.Tensor, spacing_mm: float) -> torch.Tensor:
    """Bias field correction: the factor that removes the smooth part of an image within `inside`; all (I, J, K)."""
    weight = inside * (image > _DARK)
    if not bool(weight.any()):
        return torch.ones_like(image)
    logarithm = image.clamp_min(_DARK).log()
    size = 2 * max(1, round(_BIAS_MM / spacing_mm / 2)) + 1
    mean = (weight * logarithm).sum() / weight.sum()
    both = torch.stack([weight * logarithm, weight])[None]
    for _ in range(2):
        for axis in range(3):
            kernel = [size if a == axis else 1 for a in range(3)]
            both = F.avg_pool3d(both, kernel, 1, [k // 2 for k in kernel])
    smooth = (both[0, 0] + 0.01 * mean) / (both[0, 1] + 0.01)
    return torch.exp(mean - smooth)

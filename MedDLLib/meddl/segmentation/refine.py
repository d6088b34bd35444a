"""Class scores made to fit the volume at hand: where the brain is, and what its tissues look like here.

The network has to work for every contrast, so it cannot know this one's; its answer is a good guess of what lies
where, with soft edges. Taken as the prior of a mixture model, it is sharpened by the volume's own intensities: the
idea of unified segmentation (Ashburner and Friston 2005, doi:10.1016/j.neuroimage.2005.02.018) and of SAMSEG
(Puonti et al. 2016, doi:10.1016/j.neuroimage.2016.09.011), here with histograms instead of Gaussians.
"""

import math

import torch
import torch.nn.functional as F

from meddl.geometry import Grid
from meddl.segmentation.locate import Location
from meddl.segmentation.regions import sample_region

ITERATIONS = 3
STRENGTH = 1.5  # of the intensities against the network; with REACH chosen on the heads of `meddl evaluate`
REACH_VOXELS = 1  # by which the coarse brain is grown before it bounds the fine one
BINS = 48
_BIN_SD = 1.2
_LIMIT = 12.0  # of the coarse log-odds
_BIAS_MM = 42.0
_DARK = 0.02


def bound_by_location(scores: torch.Tensor, location: Location, grid: Grid, brain_classes: list[int]) -> torch.Tensor:
    """Scores lowered for brain where the coarse look, which sees the whole head, found none.

    Args:
        scores: (C, I, J, K) log-probabilities on `grid`.
        brain_classes: the classes that make up the brain: all but background and the fluid around it.

    Returns:
        Log-probabilities, (C, I, J, K).
    """
    if location.log_odds is None:
        return scores
    size = 2 * REACH_VOXELS + 1
    grown = F.max_pool3d(location.log_odds.clamp(-_LIMIT, _LIMIT)[None, None], size, 1, size // 2)[0, 0]
    log_odds = sample_region(grown + _LIMIT, location.grid, grid) - _LIMIT  # beyond the coarse grid: surely none
    bounded = scores.clone()
    bounded[brain_classes] += F.logsigmoid(log_odds)
    return bounded.log_softmax(dim=0)


def adapt_to_intensities(scores: torch.Tensor, image: torch.Tensor, mirror: tuple[int, ...],
                         spacing_mm: float) -> torch.Tensor:
    """Posterior log-probabilities under a histogram of intensities for each structure, fitted to this image.

    Args:
        scores: (C, I, J, K) log-probabilities, the prior.
        image: (I, J, K) in [0, 1].
        mirror: for each class the one on the other side; both share a histogram.

    Returns:
        Log-probabilities, (C, I, J, K).
    """
    pairs = [min(n, other) for n, other in enumerate(mirror)]
    tissues = sorted(set(pairs))
    tissue_of_class = torch.tensor([tissues.index(p) for p in pairs], device=scores.device)
    prior = scores.reshape(scores.shape[0], -1)
    bins = (_without_bias(image, 1 - scores[0].exp(), spacing_mm) * (BINS - 1)).round().long().reshape(-1)
    posterior = prior
    for _ in range(ITERATIONS):
        likelihood = _histograms(posterior.softmax(dim=0), bins, tissue_of_class, len(tissues))
        posterior = prior + STRENGTH * likelihood.log()[tissue_of_class][:, bins]
    return posterior.log_softmax(dim=0).reshape(scores.shape)


def _histograms(weights: torch.Tensor, bins: torch.Tensor, tissue_of_class: torch.Tensor, tissues: int) -> torch.Tensor:
    """Probability of each bin in each tissue, (tissues, BINS), smooth and nowhere zero."""
    by_tissue = torch.zeros((tissues, weights.shape[1]), device=weights.device).index_add_(0, tissue_of_class, weights)
    counts = torch.stack([torch.bincount(bins, weights=w, minlength=BINS) for w in by_tissue]).float()
    reach = math.ceil(5 * _BIN_SD)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=counts.device) / _BIN_SD) ** 2)
    padded = F.pad(counts[:, None], (reach, reach), mode="replicate")
    counts = F.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0]
    counts = counts + 1e-3 * counts.sum(dim=1, keepdim=True) / BINS + 1e-12
    return counts / counts.sum(dim=1, keepdim=True)


def _without_bias(image: torch.Tensor, inside: torch.Tensor, spacing_mm: float) -> torch.Tensor:
    """The image over its smooth part within the head's inside (I, J, K, 0 to 1), clipped to [0, 1]."""
    weight = inside * (image > _DARK)
    if not bool(weight.any()):
        return image
    logarithm = image.clamp_min(_DARK).log()
    size = 2 * max(1, round(_BIAS_MM / spacing_mm / 2)) + 1
    mean = (weight * logarithm).sum() / weight.sum()
    both = torch.stack([weight * logarithm, weight])[None]
    for _ in range(2):
        for axis in range(3):
            kernel = [size if a == axis else 1 for a in range(3)]
            both = F.avg_pool3d(both, kernel, 1, [k // 2 for k in kernel])
    smooth = (both[0, 0] + 0.01 * mean) / (both[0, 1] + 0.01)
    return (image * torch.exp(mean - smooth)).clamp(0, 1)

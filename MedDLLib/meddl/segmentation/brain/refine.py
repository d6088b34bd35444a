"""Refinement of the network's output: bounded by the localization, then the posterior of an intensity mixture model.

The network works for any contrast and does not know this one's. Its output initializes the registration of an atlas
(`atlas_registration`), and both are the prior of a mixture model of the volume's own intensities (`mixture`), whose
posterior is the result. Without an atlas the network alone is the prior.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback, UnevenProgress, span
from meddl.segmentation.atlas.atlas_registration import FLOOR, log_prior, register_atlas
from meddl.segmentation.atlas.label_fusion import fuse_label_maps
from meddl.segmentation.atlas.mixture import STRENGTH, bias_gain, fit_mixture, histograms, to_bins
from meddl.segmentation.atlas.probabilistic_atlas import Atlas
from meddl.segmentation.atlas.tissues import Tissues
from meddl.segmentation.brain.locate import Location
from meddl.segmentation.sampling_grids import sample_region
from meddl.spatial.grid import Grid, three

REACH_VOXELS = 1  # dilation of the localized brain before it bounds the segmentation
ITERATIONS, ITERATIONS_WITH_ATLAS, ITERATIONS_WITH_FUSION = 3, 2, 2
STRENGTH_WITH_FUSION = 0.7  # of the likelihood: fused label maps are a sharper prior than an average
MARGIN_VOXELS = 3
SURELY_BACKGROUND = 0.98
_LIMIT = 12.0  # of the coarse log-odds
_TINY = 1e-9


@dataclass(frozen=True)
class AdaptedScores:
    """Posterior scores, and the intensity likelihood in them.

    Attributes:
        scores: (C, I, J, K) posterior log-probabilities.
        likelihood: (C, BINS) log-likelihood of each intensity bin; None where nothing was fitted.
        gain: (I, J, K) bias field correction, None likewise.
    """

    scores: torch.Tensor
    likelihood: torch.Tensor | None = None
    gain: torch.Tensor | None = None

    def prior(self, scores: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """`scores`, as they are by now, without the likelihood, (C, I, J, K); `image` as it was fitted to."""
        return scores - self.likelihood[:, to_bins((image * self.gain).clamp(0, 1))]


def bound_by_location(scores: torch.Tensor, location: Location, grid: Grid, brain_classes: list[int]) -> torch.Tensor:
    """Scores lowered for brain where the localization, which sees the whole field of view, found none.

    Args:
        scores: (C, I, J, K) log-probabilities on `grid`.
        brain_classes: the classes that make up the brain: all but background and CSF.

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


def adapt_to_intensities(scores: torch.Tensor, image: torch.Tensor, grid: Grid, tissues: Tissues,
                         brain_classes: list[int], atlas: Atlas | None = None, label_maps: int = 0,
                         on_progress: ProgressCallback | None = None) -> AdaptedScores:
    """Posterior log-probabilities under a mixture model, one histogram a tissue, fitted to this image.

    Args:
        scores: (C, I, J, K) log-probabilities of the network on `grid`.
        image: (I, J, K) in [0, 1].
        tissues: of these classes; each has a histogram.
        brain_classes: as of `bound_by_location`.
        atlas: of the tissues of these classes; None: the network alone is the prior.
        label_maps: how many of the atlas's label maps are fused.

    Left against right is as the label maps have it, without them as the network has it; what the network is certain of
    as background stays background.
    """
    progress = UnevenProgress(on_progress, "Adapting to the intensities", 0.1)
    progress.again()
    box = _odd_box(scores[0].exp() < SURELY_BACKGROUND)
    if box is None:
        return AdaptedScores(scores)
    progress.again()
    gain = bias_gain(image, 1 - scores[0].exp(), float(grid.spacing_mm[0]))
    progress.again()
    flat = (image * gain).clamp_(0, 1)[box]
    bins, part = to_bins(flat), _part(grid, box)
    by_class = scores[(slice(None), *box)].exp()
    network = tissues.merge(by_class)
    progress.again()
    registered, strength = None, STRENGTH
    with_fusion = label_maps > 0 and atlas is not None and atlas.label_maps is not None
    if atlas is not None:
        registered = register_atlas(atlas, tissues, by_class, bins, part, brain_classes,
                                    span(on_progress, 0.1, 0.25 if with_fusion else 0.8))
    if registered is None:
        posterior, appearance = fit_mixture(network.clamp_min(_TINY).log(), bins,
                                            histograms(network, bins, tissues.csf), ITERATIONS, csf=tissues.csf,
                                            pause=progress.again)
    else:
        progress.at(0.25 if with_fusion else 0.8, following=0.3 if with_fusion else 1.0)
        posterior, appearance = fit_mixture(log_prior(registered.probabilities, network), bins, registered.appearance,
                                            ITERATIONS_WITH_ATLAS, csf=tissues.csf, pause=progress.again)
        if with_fusion:
            votes = fuse_label_maps(atlas, registered, tissues, posterior, flat, part, label_maps,
                                    span(on_progress, 0.3, 0.9))
            progress.at(0.9)
            fused, strength = tissues.merge(votes), STRENGTH_WITH_FUSION
            posterior, appearance = fit_mixture(log_prior(fused, network), bins, appearance, ITERATIONS_WITH_FUSION,
                                                strength, tissues.csf, progress.again)
            progress.again()
            by_class = votes.add_(by_class, alpha=FLOOR)
            network = tissues.merge(by_class)
    progress.again()
    refined = scores.clone()
    fraction = (by_class + _TINY) / (network + 2 * _TINY)[tissues.of_class]
    refined[(slice(None), *box)] = posterior[tissues.of_class].mul_(fraction).clamp_min_(_TINY).log_()
    return AdaptedScores(refined, strength * appearance[tissues.of_class], gain)


def _odd_box(wanted: torch.Tensor) -> tuple[slice, slice, slice] | None:
    """A box of odd lengths about what is wanted, with a margin, as far as there are voxels; None about nothing."""
    box = []
    for axis, size in enumerate(wanted.shape):
        indices = torch.nonzero(wanted.any(dim=(axis + 1) % 3, keepdim=True).any(dim=(axis + 2) % 3, keepdim=True)
                               .reshape(-1))
        if not len(indices):
            return None
        start = max(0, int(indices[0]) - MARGIN_VOXELS)
        stop = min(size, int(indices[-1]) + 1 + MARGIN_VOXELS)
        if (stop - start) % 2 == 0:
            if stop < size or start == 0:
                stop += 1 if stop < size else -1
            else:
                start -= 1
        box.append(slice(start, stop))
    return three(box)


def _part(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """The grid of a box of voxels."""
    affine = grid.affine.copy()
    affine[:3, 3] = grid.points_mm([s.start for s in box])
    return Grid(tuple(s.stop - s.start for s in box), affine)

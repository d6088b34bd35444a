"""Laying the atlas on a head: by the structures' centers, then by a smooth deformation, while the mixture is fitted.

As in SAMSEG (Puonti, Iglesias, Van Leemput 2016, doi:10.1016/j.neuroimage.2016.09.011) the deformation makes the
volume's own intensities likely; here it follows the tissues' posterior shares, and a network's answer takes the part
of the start and of a further, weak prior.
"""

from dataclasses import dataclass

import numpy as np
import torch

from meddl.core.progress import ProgressCallback, report
from meddl.registration.deformable.diffeomorphic import Stage, Steps, on_grid, refine
from meddl.registration.deformable.feature_difference import FeatureDifference
from meddl.registration.images.warped_image import WarpedImage
from meddl.segmentation.atlas.mixture import fit_mixture, histograms
from meddl.segmentation.atlas.probabilistic_atlas import Atlas
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import Grid, three

NETWORK_WEIGHT = 0.2  # of the network's log-probabilities beside the atlas's
ROUNDS = 5
STEPS = Steps(gradient_smoothing_voxels=4.0, field_smoothing_voxels=1.5, step_voxels=0.5)
STEPS_A_ROUND = 8
FACTOR = 2  # the atlas is laid on every second voxel along each axis
LEAST_ANCHORS = 8
LEAST_SHARE = 0.05  # of a structure's usual size, for its center to count
SIDE_WEIGHT = 0.5  # of left against right among the tissues, where head and atlas are compared
SCALES = (0.6, 1.7)  # of a head against the atlas
FLOOR = 1e-3  # of the network's shares: what the atlas rules out altogether may still be
_TINY = 1e-6


@dataclass(frozen=True)
class Laid:
    """How the atlas lies on a head.

    Attributes:
        shares: (T, I, J, K) of tissues on the head's grid.
        appearance: (T, BINS) histograms, as of `mixture.histograms`.
        affine: 4x4, RAS mm of the head to those of the atlas.
        displacement: (3, I', J', K') in voxels of `grid` along its axes, before the affine.
        grid: every `FACTOR`-th voxel of the head's grid along each axis.
    """

    shares: torch.Tensor
    appearance: torch.Tensor
    affine: np.ndarray
    displacement: torch.Tensor
    grid: Grid


def prior_of(atlas_shares: torch.Tensor, network: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of tissues, (T, ...), up to a constant, from the atlas in place and the network's shares."""
    return ((atlas_shares + FLOOR * network).clamp_min(_TINY).log_()
            .add_(network.clamp_min(_TINY).log(), alpha=NETWORK_WEIGHT))


def lay(atlas: Atlas, tissues: Tissues, network: torch.Tensor, bins: torch.Tensor, grid: Grid, anchors: list[int],
        on_progress: ProgressCallback | None = None) -> Laid | None:
    """The atlas on a head, or None where the network's answer does not look like a head.

    Args:
        network: (C, I, J, K) the network's shares of classes on `grid`; I, J and K are odd.
        bins: (I, J, K) intensities, as of `mixture.to_bins`.
        anchors: classes whose centers tell where the head is.
    """
    affine = affine_to_atlas(network, grid, atlas, tissues, anchors)
    if affine is None:
        return None
    every = (slice(None), *[slice(None, None, FACTOR)] * 3)
    some, few_bins = network[every], bins[every[1:]]
    steps = np.array(grid.affine)
    steps[:3, :3] *= FACTOR
    sparse = Grid(three(some.shape[1:]), steps)
    shares = tissues.merge(some)
    side = (tissues.left_minus_right(some) / shares[tissues.lateral].sum(dim=0).clamp_min(_TINY)).clamp(-1, 1)
    coarse = atlas.coarse(FACTOR)

    done = 0

    def pause() -> None:
        report(on_progress, done / ROUNDS, "Fitting the structures to the volume")

    to_atlas = np.linalg.inv(coarse.grid.affine) @ affine @ sparse.affine
    seen = WarpedImage(coarse.shares, sparse, to_atlas, pause)
    moving = WarpedImage(features(coarse.shares, coarse.leftness(), tissues), sparse, to_atlas, pause)
    displacement = seen.displacement = network.new_zeros((3, *sparse.shape))
    appearance = histograms(shares, few_bins)
    while done < ROUNDS:
        posterior, appearance = fit_mixture(prior_of(seen.all(), shares), few_bins, appearance, 2)
        similarity = FeatureDifference(features(posterior, side, tissues))
        stage = Stage(similarity, moving, float(sparse.spacing_mm[0]), STEPS_A_ROUND)
        displacement, _, _ = refine([stage], STEPS, displacement, sparse, on_step=lambda *_: pause())
        seen.displacement = displacement
        done += 1
    full = WarpedImage(atlas.shares, grid, np.linalg.inv(atlas.grid.affine) @ affine @ grid.affine, pause)
    full.displacement = on_grid(displacement, sparse, grid)
    return Laid(full.all(), appearance, affine, displacement, sparse)


def features(shares: torch.Tensor, side: torch.Tensor, tissues: Tissues) -> torch.Tensor:
    """What head and atlas are compared by: the tissues but for background, and left against right, (T, I, J, K)."""
    lateral = shares[tissues.lateral].sum(dim=0) * side
    return torch.cat([shares[1:], SIDE_WEIGHT * lateral[None]])


def affine_to_atlas(network: torch.Tensor, grid: Grid, atlas: Atlas, tissues: Tissues,
                    anchors: list[int]) -> np.ndarray | None:
    """4x4, RAS mm of a head to those of the atlas, by the centers of structures; None where there are too few.

    Args: as of `lay`.
    """
    here, size = centers_mm(network[anchors], grid)
    there, usual = centers_mm(atlas.by_class(tissues)[anchors], atlas.grid)
    weight = np.sqrt(np.minimum(size, usual)) * (size > LEAST_SHARE * usual)
    if np.count_nonzero(weight) < LEAST_ANCHORS:
        return None
    affine = fit_affine(here, there, weight)
    scales = np.linalg.svd(affine[:3, :3], compute_uv=False)
    turned = np.linalg.det(affine[:3, :3]) < 0
    return None if turned or scales.min() < 1 / SCALES[1] or scales.max() > 1 / SCALES[0] else affine


def centers_mm(shares: torch.Tensor, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Centers of gravity in RAS mm, (N, 3), and sizes in ml, (N,), of soft structures (N, I, J, K).

    Voxels count by their shares squared, so that a thin veil over the whole volume has no weight.
    """
    surely = shares.square()
    sizes = surely.sum(dim=(1, 2, 3)).clamp_min(1e-9)
    places = []
    for axis in range(3):
        profile = surely.sum(dim=tuple(a + 1 for a in range(3) if a != axis))
        places.append(profile @ torch.arange(shares.shape[axis + 1], device=shares.device).to(profile) / sizes)
    return (grid.points_mm(torch.stack(places, dim=1).double().cpu().numpy()),
            sizes.double().cpu().numpy() * grid.voxel_volume_ml)


def fit_affine(points: np.ndarray, onto: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """4x4 that takes points (N, 3) to `onto` with the least sum of `weight` (N,) times squared distance."""
    root = np.sqrt(weight)[:, None]
    solution = np.linalg.lstsq(np.c_[points, np.ones(len(points))] * root, onto * root, rcond=None)[0]
    return np.vstack([solution.T, [0, 0, 0, 1]])

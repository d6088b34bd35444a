"""Registration of the atlas to a volume: an affine by the structures' centers, then a smooth deformation, while the
mixture model is fitted.

As in SAMSEG (Puonti, Iglesias, Van Leemput 2016, doi:10.1016/j.neuroimage.2016.09.011) the deformation makes the
volume's own intensities likely; here it follows the tissues' posterior probabilities, and a network's output serves as
initialization and as a further, weak prior.
"""

from dataclasses import dataclass

import numpy as np
import torch

from meddl.core.progress import ProgressCallback, UnevenProgress
from meddl.registration.deformable.diffeomorphic import Stage, Steps, on_grid, refine
from meddl.registration.deformable.metrics.feature_difference import FeatureDifference
from meddl.registration.images.warped_features import WarpedFeatures
from meddl.segmentation.atlas.mixture import fit_mixture, histograms
from meddl.segmentation.atlas.probabilistic_atlas import Atlas
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import Grid, three

NETWORK_WEIGHT = 0.2  # of the network's log-probabilities beside the atlas's
ROUNDS = 5
STEPS = Steps(gradient_smoothing_voxels=4.0, field_smoothing_voxels=1.5, step_voxels=0.5)
STEPS_A_ROUND = 8
FACTOR = 2  # the atlas is registered to every second voxel along each axis
MIN_ANCHORS = 8
MIN_FRACTION = 0.05  # of a structure's usual size, for its center to count
SIDE_WEIGHT = 0.5  # of left against right among the features of the registration
SCALES = (0.6, 1.7)  # of a subject relative to the atlas
FLOOR = 1e-3  # of the network's probabilities: what the atlas excludes stays possible
_TINY = 1e-6


@dataclass(frozen=True)
class RegisteredAtlas:
    """The atlas registered to a volume.

    Attributes:
        probabilities: (T, I, J, K) of tissues on the volume's grid.
        appearance: (T, BINS) histograms, as of `mixture.histograms`.
        affine: 4x4, RAS mm of the volume to those of the atlas.
        displacement: (3, I', J', K') in voxels of `grid` along its axes, before the affine.
        grid: every `FACTOR`-th voxel of the volume's grid along each axis.
    """

    probabilities: torch.Tensor
    appearance: torch.Tensor
    affine: np.ndarray
    displacement: torch.Tensor
    grid: Grid


def log_prior(atlas_probabilities: torch.Tensor, network: torch.Tensor) -> torch.Tensor:
    """Log-prior of tissues, (T, ...), up to a constant, from the registered atlas and the network's probabilities."""
    return ((atlas_probabilities + FLOOR * network).clamp_min(_TINY).log_()
            .add_(network.clamp_min(_TINY).log(), alpha=NETWORK_WEIGHT))


def register_atlas(atlas: Atlas, tissues: Tissues, network: torch.Tensor, bins: torch.Tensor, grid: Grid,
                   anchors: list[int], on_progress: ProgressCallback | None = None) -> RegisteredAtlas | None:
    """Register the atlas to a volume; None where the network's output does not look like a head.

    Args:
        network: (C, I, J, K) the network's class probabilities on `grid`; I, J and K are odd.
        bins: (I, J, K) intensities, as of `mixture.to_bins`.
        anchors: classes whose centers of mass initialize the registration.
    """
    progress = UnevenProgress(on_progress, "Adapting to the intensities", 1 / ROUNDS)
    pause = progress.again
    affine = affine_to_atlas(network, grid, atlas, tissues, anchors)
    if affine is None:
        return None
    pause()
    every = (slice(None), *[slice(None, None, FACTOR)] * 3)
    some, few_bins = network[every], bins[every[1:]]
    steps = np.array(grid.affine)
    steps[:3, :3] *= FACTOR
    sparse = Grid(three(some.shape[1:]), steps)
    probabilities = tissues.merge(some)
    side = (tissues.left_minus_right(some) / probabilities[tissues.lateral].sum(dim=0).clamp_min(_TINY)).clamp(-1, 1)
    coarse = atlas.coarse(FACTOR)

    pause()
    to_atlas = np.linalg.inv(coarse.grid.affine) @ affine @ sparse.affine
    warped = WarpedFeatures(coarse.probabilities, sparse, to_atlas, pause)
    moving = WarpedFeatures(features(coarse.probabilities, coarse.leftness(), tissues), sparse, to_atlas, pause)
    displacement = warped.displacement = network.new_zeros((3, *sparse.shape))
    appearance = histograms(probabilities, few_bins, tissues.csf)
    for done in range(1, ROUNDS + 1):
        posterior, appearance = fit_mixture(log_prior(warped.all(), probabilities), few_bins, appearance, 2,
                                            csf=tissues.csf, pause=pause)
        similarity = FeatureDifference(features(posterior, side, tissues))
        stage = Stage(similarity, moving, float(sparse.spacing_mm[0]), STEPS_A_ROUND)
        displacement, _, _ = refine([stage], STEPS, displacement, sparse, on_step=lambda *_: pause())
        warped.displacement = displacement
        progress.at(done / ROUNDS, following=(done + 1) / ROUNDS)
    full = WarpedFeatures(atlas.probabilities, grid, np.linalg.inv(atlas.grid.affine) @ affine @ grid.affine, pause)
    full.displacement = on_grid(displacement, sparse, grid)
    return RegisteredAtlas(full.all(), appearance, affine, displacement, sparse)


def features(probabilities: torch.Tensor, side: torch.Tensor, tissues: Tissues) -> torch.Tensor:
    """Features of the registration, (T, I, J, K): probabilities of tissues but background, and left minus right."""
    lateral = probabilities[tissues.lateral].sum(dim=0) * side
    return torch.cat([probabilities[1:], SIDE_WEIGHT * lateral[None]])


def affine_to_atlas(network: torch.Tensor, grid: Grid, atlas: Atlas, tissues: Tissues,
                    anchors: list[int]) -> np.ndarray | None:
    """4x4, RAS mm of the volume to those of the atlas, by centers of structures; None where there are too few.

    Args: as of `register_atlas`.
    """
    here, size = centers_mm(network[anchors], grid)
    there, usual = centers_mm(atlas.by_class(tissues)[anchors], atlas.grid)
    weight = np.sqrt(np.minimum(size, usual)) * (size > MIN_FRACTION * usual)
    if np.count_nonzero(weight) < MIN_ANCHORS:
        return None
    affine = fit_affine(here, there, weight)
    scales = np.linalg.svd(affine[:3, :3], compute_uv=False)
    mirrored = np.linalg.det(affine[:3, :3]) < 0
    return None if mirrored or scales.min() < 1 / SCALES[1] or scales.max() > 1 / SCALES[0] else affine


def centers_mm(probabilities: torch.Tensor, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Centers of mass in RAS mm, (N, 3), and volumes in ml, (N,), of probability maps (N, I, J, K).

    Voxels count by their squared probability, so that low probabilities all over the volume have no weight.
    """
    surely = probabilities.square()
    sizes = surely.sum(dim=(1, 2, 3)).clamp_min(1e-9)
    centers = []
    for axis in range(3):
        profile = surely.sum(dim=tuple(a + 1 for a in range(3) if a != axis))
        index = torch.arange(probabilities.shape[axis + 1], device=probabilities.device).to(profile)
        centers.append(profile @ index / sizes)
    return (grid.points_mm(torch.stack(centers, dim=1).double().cpu().numpy()),
            sizes.double().cpu().numpy() * grid.voxel_volume_ml)


def fit_affine(points: np.ndarray, onto: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """4x4 that takes points (N, 3) to `onto` with the least sum of `weight` (N,) times squared distance."""
    root = np.sqrt(weight)[:, None]
    solution = np.linalg.lstsq(np.c_[points, np.ones(len(points))] * root, onto * root, rcond=None)[0]
    return np.vstack([solution.T, [0, 0, 0, 1]])

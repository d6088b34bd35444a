"""The stages of a deformable registration: similarity, validity mask and landmark term of each level."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from meddl.core.config import RegisterConfig
from meddl.registration.deformable.diffeomorphic import Stage
from meddl.registration.deformable.landmark_term import LandmarkTerm
from meddl.registration.deformable.metrics.feature_difference import FeatureDifference
from meddl.registration.deformable.metrics.features import Features
from meddl.registration.deformable.metrics.local_correlation import LocalCorrelation, window_radius
from meddl.registration.deformable.significance import Significance
from meddl.registration.images.pyramid import Level
from meddl.registration.images.smoothing import local_variance
from meddl.registration.images.warped_image import WarpedImage, voxels_between

# Noise, bias fields and resampling explained 0.16 (features 0.12) at most, known deformations of heads hardly anywhere
# less than 0.24 (0.18); features at the coarsest level tell nothing.
_CORRELATION_SIGNIFICANCE = Significance((0.16, 0.24), 0.02, blurs_alike=True)
_FEATURE_SIGNIFICANCE = Significance((0.12, 0.18), 0.002, blurs_alike=False)


def stages_of(pyramids, affine: np.ndarray, features: Features | None, iterations, config: RegisterConfig, landmarks,
              pause: Callable[[], None]) -> Iterator[Stage]:
    """The stages of a refinement, made one at a time, coarse to fine.

    A level's images are let go with its stage, where nobody else holds them.

    Args:
        pyramids: pairs (fixed, moving) of `Level`, coarse to fine.
        affine: 4x4, fixed to moving, RAS mm.
        features: feature images to compare; None: the images, by local correlation.
        iterations: largest number of steps, by level.
        config: correlation_radius_voxels, landmark_weight, landmark_sigma_mm, symmetric.
        landmarks: pairs of points, fixed and moving (N, 3), RAS mm, for the landmark term; or None.
        pause: called between parts of the work; may raise Cancelled.
    """
    remaining = list(zip(pyramids, iterations, strict=True))
    del pyramids
    first = len(remaining) > 1
    while remaining:
        stage = _stage(*remaining.pop(0), affine, features, config, landmarks, pause)
        if stage.landmark_term is None and not (first and features is not None):
            stage.significance = _CORRELATION_SIGNIFICANCE if features is None else _FEATURE_SIGNIFICANCE
        yield stage
        first = False


def _stage(level: tuple[Level, Level], most: int, affine, features, config, landmarks, pause) -> Stage:
    if features is None:
        stage = _correlation_stage(*level, affine, most, config, pause)
    else:
        stage = _feature_stage(features, *level, affine, most, pause)
    if landmarks is not None and config.landmark_weight > 0:
        stage = replace(stage, landmark_term=LandmarkTerm(
            *landmarks, affine, config.landmark_weight, config.landmark_sigma_mm, stage.warped.grid,
            stage.warped.moving))
    return replace(stage, backward=_backward(stage, *level, affine, config, pause)) if config.symmetric else stage


def _correlation_stage(fixed: Level, moving: Level, affine, most: int, config, pause) -> Stage:
    warped = WarpedImage(moving.image[None], fixed.grid, voxels_between(fixed.grid, moving.grid, affine), pause)
    radius = window_radius(fixed.grid.spacing_mm, fixed.spacing_mm, config.correlation_radius_voxels)
    similarity = LocalCorrelation(fixed.image, radius, pause=pause)
    return Stage(similarity, warped, fixed.spacing_mm, most, _weights(similarity, warped, fixed, moving, affine))


def _feature_stage(features: Features, fixed: Level, moving: Level, affine, most: int, pause) -> Stage:
    here, there = features.on(fixed.grid, pause)
    contrast = local_variance(fixed.image, fixed.grid.spacing_mm, fixed.spacing_mm, pause)
    similarity = FeatureDifference(here, contrast=contrast,
                                   of_blurred=lambda side: features.of_blurred(side, fixed.grid, pause))
    warped = WarpedImage(there, fixed.grid, np.eye(4), pause)
    return Stage(similarity, warped, fixed.spacing_mm, most, _weights(similarity, warped, fixed, moving, affine))


def _weights(similarity, warped: WarpedImage, fixed: Level, moving: Level, affine):
    """A function that updates the validity mask: voxels within both masks and the moving field of view."""
    region, mask = fixed.region, moving.region
    valid = WarpedImage((moving.image if mask is None else mask)[None], fixed.grid,
                        voxels_between(fixed.grid, moving.grid, affine), warped.pause)

    def refresh() -> None:
        valid.displacement = warped.displacement
        weight = valid.inside()
        if mask is not None:
            weight *= valid.all()[0] > 0.99
        valid.displacement = None  # this one will soon be replaced
        similarity.weigh(weight if region is None else weight.mul_(region))
    return refresh


def _backward(stage: Stage, fixed: Level, moving: Level, affine, config, pause) -> Stage:
    """The backward stage: the moving image, resampled to the fixed grid, is the fixed one, and the fixed one moves."""
    correlates = isinstance(stage.similarity, LocalCorrelation)
    seen = WarpedImage(stage.warped.moving, fixed.grid,
                       voxels_between(fixed.grid, moving.grid, affine) if correlates else np.eye(4), pause)
    if correlates:
        radius = window_radius(fixed.grid.spacing_mm, fixed.spacing_mm, config.correlation_radius_voxels)
        similarity, image = LocalCorrelation(seen.all()[0], radius, pause=pause), fixed.image[None]
    else:
        similarity = FeatureDifference(
            seen.moving, contrast=stage.similarity.image_contrast,
            of_blurred=lambda side: stage.similarity.of_blurred({"fixed": "moving", "moving": "fixed"}[side]))
        image = stage.similarity.fixed
    resting = replace(fixed, region=_valid_region(fixed, moving, affine, pause))
    warped = WarpedImage(image, fixed.grid, np.eye(4), pause)
    return Stage(similarity, warped, fixed.spacing_mm, stage.iterations,
                 _weights(similarity, warped, resting, fixed, np.eye(4)))


def _valid_region(fixed: Level, moving: Level, affine, pause) -> torch.Tensor:
    """(I, J, K): 1 where a voxel of the fixed grid lies in the moving field of view, and mask if there is one."""
    mask = moving.region
    valid = WarpedImage((moving.image if mask is None else mask)[None], fixed.grid,
                        voxels_between(fixed.grid, moving.grid, affine), pause)
    weight = valid.inside()
    return weight if mask is None else weight * (valid.all()[0] > 0.99)

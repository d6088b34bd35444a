"""Large-displacement search within a deformable registration, kept where it improves the similarity."""

import numpy as np
import torch

from meddl.core.progress import span
from meddl.registration.deformable.diffeomorphic import compose, on_grid
from meddl.registration.deformable.levels import MOST_VOXELS
from meddl.registration.deformable.metrics.feature_difference import FeatureDifference
from meddl.registration.deformable.metrics.features import Features
from meddl.registration.deformable.progress import DeformationProgress
from meddl.registration.images.warped_image import WarpedImage
from meddl.registration.linear.large_displacement_search import search_displacements
from meddl.spatial.grid import Grid


def search_large_displacements(features: Features | None, pyramids, affine: np.ndarray, metric: str,
                         displacement: torch.Tensor | None, grid: Grid | None, progress: DeformationProgress
                         ) -> tuple[torch.Tensor, Grid, bool]:
    """A displacement with what a search over large distances finds beyond it.

    Args:
        features: those of the refinement, which are used; None: they are made for the search alone.
        pyramids: pairs (fixed, moving) of `Level`, coarse to fine.
        affine: 4x4, fixed to moving, RAS mm.
        metric: that of the refinement.
        displacement: where to start: (3, I, J, K) in voxels of `grid`; None starts at zero.

    Returns:
        (displacement, grid, better): on the grid of the features, and whether what was found made the features more
        alike: if not, it is left out.
    """
    level = _feature_level(pyramids, metric)
    features = features or Features(*pyramids[level], affine, progress.again)
    grid, here = features.grid, (features.fixed.new_zeros((3, *features.grid.shape)) if displacement is None
                                 else on_grid(displacement, grid, features.grid))
    warped = WarpedImage(features.moving, grid, np.eye(4), progress.again)
    alike = FeatureDifference(features.fixed, pyramids[level][0].region)
    warped.displacement = here
    before, _ = alike(warped)
    start = progress.last[0]
    rest = search_displacements(features.fixed, warped.all(), grid.spacing_mm, weights=pyramids[level][0].region,
                         on_progress=span(progress.on_progress, start, start + (1 - start) / 5))
    progress.on_progress = span(progress.on_progress, 0.2, 1.0)
    warped.displacement = compose(here, rest, progress.again)
    after, _ = alike(warped)
    better = bool(after > before)
    return warped.displacement if better else here, grid, better


def _feature_level(pyramids, metric: str) -> int:
    """The level whose features are taken: the finest, for the search alone the finest of moderate size."""
    sizes = [float(np.prod(fixed.image.shape)) for fixed, _ in pyramids]
    if metric == "mind":
        return len(sizes) - 1
    return max((n for n, size in enumerate(sizes) if size <= MOST_VOXELS["mind"]), default=0)

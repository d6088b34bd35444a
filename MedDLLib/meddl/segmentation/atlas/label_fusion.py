"""Multi-atlas label fusion: label maps of single subjects registered to a volume, whose labels are averaged.

Multi-atlas segmentation (Rohlfing et al. 2004, doi:10.1016/j.neuroimage.2003.11.010; Heckemann et al. 2006,
doi:10.1016/j.neuroimage.2006.05.061) for any contrast: a label map has no image, so one is synthesized from
the mean intensities of the volume's own structures, and registered to the volume by local correlation.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback, UnevenProgress
from meddl.registration.deformable.diffeomorphic import PART, Stage, Steps, on_grid, refine
from meddl.registration.deformable.metrics.local_correlation import LocalCorrelation
from meddl.registration.images.smoothing import gaussian_filter
from meddl.registration.images.warped_image import WarpedImage, linear_coordinates, voxels_between
from meddl.segmentation.atlas.atlas_label_maps import LABEL_MAP_FACTOR
from meddl.segmentation.atlas.atlas_registration import FACTOR, RegisteredAtlas
from meddl.segmentation.atlas.probabilistic_atlas import Atlas
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import Grid

STEPS = Steps(gradient_smoothing_voxels=3.0, field_smoothing_voxels=1.0, step_voxels=0.25)
COARSE_STEPS, FINE_STEPS = 30, 5
RADIUS_VOXELS = 2  # of the windows of local correlation
NEAR_VOXELS = 2  # margin around the brain in which the images are compared
SMOOTHING_MM = 0.5  # of the fused probabilities
_SEEN_VOXELS = 20.0  # of a tissue, for an estimate of its own intensity
_SELECTED = 0.1  # fraction of the work after the label maps are selected
_LEVELS = (0.0, 0.4, 0.9)  # of the work on a label map, at the start of each level of its registration and at the end
_QUARTERS = tuple(np.stack(np.meshgrid(*[(-0.25, 0.25)] * 3, indexing="ij"), axis=-1).reshape(-1, 3))


def fuse_label_maps(atlas: Atlas, registered: RegisteredAtlas, tissues: Tissues, posterior: torch.Tensor,
                    image: torch.Tensor, grid: Grid, count: int,
                    on_progress: ProgressCallback | None = None) -> torch.Tensor:
    """Fraction of the selected label maps for each class, (C, I, J, K), smoothed.

    Args:
        atlas: with label maps.
        registered: the registered atlas, which initializes the registration of each label map.
        posterior: (T, I, J, K) posterior probabilities of tissues so far.
        image: (I, J, K) the volume in [0, 1], its bias taken out.
        grid: that of `image`; as of `register_atlas`.
        count: how many label maps are selected; all of them where there are fewer.
        on_progress: may raise Cancelled.
    """
    progress = UnevenProgress(on_progress, "Registering atlas label maps", _SELECTED)
    pause = progress.again
    chosen = select_label_maps(atlas, registered, tissues, posterior, count, pause)
    count = len(chosen)
    near = F.max_pool3d((1 - posterior[0])[None, None], 2 * NEAR_VOXELS + 1, 1, NEAR_VOXELS)[0, 0].gt(0.5).float()
    intensity_of_class = intensities(posterior, image, near)[tissues.of_class]
    radius = (RADIUS_VOXELS,) * 3
    coarse = LocalCorrelation(_coarse(image), radius, near[(slice(None, None, FACTOR),) * 3].contiguous(), pause=pause)
    fine = LocalCorrelation(image, radius, near, pause=pause)
    to_atlas = voxels_between(grid, atlas.grid, registered.affine)
    to_atlas_coarse = voxels_between(registered.grid, atlas.grid, registered.affine)
    classes = len(tissues.of_class)
    votes = image.new_zeros(classes * image.numel())
    for done, number in enumerate(chosen):
        begin, each = _SELECTED + done * (1 - _SELECTED) / count, (1 - _SELECTED) / count
        progress.at(begin, following=begin + each)
        label_map = atlas.label_maps.classes(number, image.device)
        synthetic = F.avg_pool3d(intensity_of_class[label_map.long()][None, None], LABEL_MAP_FACTOR)[0]
        stages = [Stage(coarse, WarpedImage(F.avg_pool3d(synthetic, 3, 1, 1, count_include_pad=False), registered.grid,
                                            to_atlas_coarse, pause), float(registered.grid.spacing_mm[0]),
                        COARSE_STEPS),
                  Stage(fine, WarpedImage(synthetic, grid, to_atlas, pause), float(grid.spacing_mm[0]), FINE_STEPS)]
        displacement, at, _ = refine(stages, STEPS, registered.displacement, registered.grid,
                                     on_step=partial(_report_step, progress, begin, each))
        progress.at(begin + _LEVELS[-1] * each, following=begin + each)
        to_label_map = voxels_between(grid, atlas.label_maps.grid, registered.affine)
        _add_votes(votes, label_map, to_label_map, on_grid(displacement, at, grid), pause)
    probabilities = votes.view(classes, *grid.shape).div_(len(_QUARTERS) * count)
    return gaussian_filter(grid.shape, grid.spacing_mm, SMOOTHING_MM, image, pause=pause)(probabilities)


def _report_step(progress: UnevenProgress, begin: float, each: float, level: int, step: float, most: int) -> None:
    """Progress at this part of a step of the registration of a label map, which takes `each` from `begin` on."""
    start, end = _LEVELS[level:level + 2]
    now, soon = (begin + each * (start + (end - start) * part / most) for part in (step, step + PART))
    progress.at(now, following=soon)


def select_label_maps(atlas: Atlas, registered: RegisteredAtlas, tissues: Tissues, posterior: torch.Tensor, count: int,
                      pause) -> list[int]:
    """Atlas selection: the label maps with the largest overlap of tissues with the volume, by the registered atlas."""
    some = posterior[(slice(None), *[slice(None, None, FACTOR)] * 3)]
    to_label_map = voxels_between(registered.grid, atlas.label_maps.grid, registered.affine)
    coordinates = linear_coordinates(*_matrix(to_label_map), registered.displacement, 0, registered.grid.shape[0],
                           registered.grid.shape, posterior)
    overlaps = []
    for number in range(len(atlas.label_maps.codes)):
        pause()
        found = tissues.of_class[nearest_class(atlas.label_maps.classes(number, posterior.device), coordinates)]
        overlaps.append(some.gather(0, found[None]).sum())
    order = np.argsort(torch.stack(overlaps).tolist(), kind="stable")  # one wait for a GPU for all of them
    return [int(n) for n in order[::-1][:count]]


def intensities(posterior: torch.Tensor, image: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """Mean intensity of each tissue, (T,), of background near the brain; the brain's for a tissue of few voxels.

    Args:
        posterior: (T, I, J, K) probabilities of tissues; squared, they are the weights.
        near: (I, J, K) 1 near the brain, else 0.
    """
    weights = posterior.square()
    weights[0] *= near
    sizes, sums = weights.sum(dim=(1, 2, 3)), torch.tensordot(weights, image, dims=3)
    brain = sums[1:].sum() / sizes[1:].sum().clamp_min(1e-6)
    return torch.where(sizes > _SEEN_VOXELS, sums / sizes.clamp_min(1e-6), brain)


def _coarse(image: torch.Tensor) -> torch.Tensor:
    """Every `FACTOR`-th voxel along each axis, from the first on, of the image averaged over neighbors."""
    return F.avg_pool3d(image[None, None], 2 * FACTOR - 1, FACTOR, FACTOR - 1, count_include_pad=False)[0, 0]


def _matrix(affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return affine[:3, :3], affine[:3, 3]


def _add_votes(votes: torch.Tensor, label_map: torch.Tensor, to_label_map: np.ndarray,
               displacement: torch.Tensor, pause: Callable[[], None]) -> None:
    """Add the classes of a label map at eight points of each voxel to `votes`, (C * I * J * K,)."""
    shape = tuple(displacement.shape[1:])
    voxels = torch.arange(displacement[0].numel(), device=votes.device)
    one = votes.new_ones(1).expand(len(voxels))
    matrix, offset = _matrix(to_label_map)
    coordinates = linear_coordinates(matrix, offset, displacement, 0, shape[0], shape, displacement)
    for point in _QUARTERS:
        pause()
        classes = nearest_class(label_map, coordinates, matrix @ point)
        votes.index_add_(0, classes.view(-1).mul_(len(voxels)).add_(voxels), one)


def nearest_class(label_map: torch.Tensor, coordinates: torch.Tensor, offset=(0.0, 0.0, 0.0)) -> torch.Tensor:
    """The class (I, J, K) uint8 at `coordinates` (3, ...) plus `offset` in its voxels, (...) int64; background outside.
    """
    bordered = F.pad(label_map, [1] * 6)  # what lies outside is clamped to the border
    index = torch.zeros((), dtype=torch.int32, device=label_map.device)
    for along, shift, size in zip(coordinates, offset, bordered.shape, strict=True):
        nearest = along.add(1.5 + float(shift)).clamp_(0, size - 0.5).to(torch.int32)
        index = nearest.add_(index.mul(size))
    return bordered.view(-1).index_select(0, index.view(-1)).view(index.shape).long()

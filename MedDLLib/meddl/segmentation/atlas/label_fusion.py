"""Single heads laid on a volume one by one, which vote on what lies where.

Multi-atlas segmentation (Rohlfing et al. 2004, doi:10.1016/j.neuroimage.2003.11.010; Heckemann et al. 2006,
doi:10.1016/j.neuroimage.2006.05.061) for any contrast: a head has labels and no image, so it is painted with the
intensities that the volume's own structures have, and then registered to the volume by local correlation.
"""

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback, report
from meddl.registration.deformable.diffeomorphic import Stage, Steps, on_grid, refine
from meddl.registration.deformable.local_correlation import LocalCorrelation
from meddl.registration.images.smoothing import gaussian_filter
from meddl.registration.images.warped_image import WarpedImage, linear_places, voxels_between
from meddl.segmentation.atlas.atlas_label_maps import FINER
from meddl.segmentation.atlas.atlas_registration import FACTOR, Laid
from meddl.segmentation.atlas.probabilistic_atlas import Atlas
from meddl.segmentation.atlas.tissues import Tissues
from meddl.spatial.grid import Grid

STEPS = Steps(gradient_smoothing_voxels=3.0, field_smoothing_voxels=1.0, step_voxels=0.25)
COARSE_STEPS, FINE_STEPS = 30, 5
RADIUS_VOXELS = 2  # of the windows of local correlation
NEAR_VOXELS = 2  # how far beyond the brain the images are compared
SMOOTHING_MM = 1.0  # of the votes
_SEEN_VOXELS = 20.0  # of a tissue, for its own intensity to be known
_QUARTERS = tuple(np.stack(np.meshgrid(*[(-0.25, 0.25)] * 3, indexing="ij"), axis=-1).reshape(-1, 3))


def vote(atlas: Atlas, laid: Laid, tissues: Tissues, posterior: torch.Tensor, image: torch.Tensor, grid: Grid,
         count: int, on_progress: ProgressCallback | None = None) -> torch.Tensor:
    """Shares of classes, (C, I, J, K), for which the heads most like this one vote.

    Args:
        atlas: with heads.
        laid: how the atlas lies on the volume, where the heads start from.
        posterior: (T, I, J, K) shares of tissues so far.
        image: (I, J, K) the volume in [0, 1], its bias taken out.
        grid: that of `image`; as of `atlas_fit.lay`.
        count: how many heads vote; all of them where there are fewer.
        on_progress: may raise Cancelled.
    """
    done = 0

    def pause() -> None:
        report(on_progress, done / count, "Laying single heads on the volume")

    chosen = most_alike(atlas, laid, tissues, posterior, count, pause)
    count = len(chosen)
    near = F.max_pool3d((1 - posterior[0])[None, None], 2 * NEAR_VOXELS + 1, 1, NEAR_VOXELS)[0, 0].gt(0.5).float()
    paint = intensities(posterior, image, near)[tissues.of_class]
    radius = (RADIUS_VOXELS,) * 3
    coarse = LocalCorrelation(_coarse(image), radius, near[(slice(None, None, FACTOR),) * 3].contiguous(), pause=pause)
    fine = LocalCorrelation(image, radius, near, pause=pause)
    to_atlas = voxels_between(grid, atlas.grid, laid.affine)
    to_atlas_coarse = voxels_between(laid.grid, atlas.grid, laid.affine)
    classes = len(tissues.of_class)
    votes = image.new_zeros(classes * image.numel())
    for number in chosen:
        head = atlas.heads.classes(number, image.device)
        painted = F.avg_pool3d(paint[head.long()][None, None], FINER)[0]
        stages = [Stage(coarse, WarpedImage(F.avg_pool3d(painted, 3, 1, 1, count_include_pad=False), laid.grid,
                                            to_atlas_coarse, pause), float(laid.grid.spacing_mm[0]), COARSE_STEPS),
                  Stage(fine, WarpedImage(painted, grid, to_atlas, pause), float(grid.spacing_mm[0]), FINE_STEPS)]
        displacement, at, _ = refine(stages, STEPS, laid.displacement, laid.grid, on_step=lambda *_: pause())
        to_head = voxels_between(grid, atlas.heads.grid, laid.affine)
        _count(votes, head, to_head, on_grid(displacement, at, grid))
        done += 1
    shares = votes.view(classes, *grid.shape).div_(len(_QUARTERS) * count)
    return gaussian_filter(grid.shape, grid.spacing_mm, SMOOTHING_MM, image, pause=pause)(shares)


def most_alike(atlas: Atlas, laid: Laid, tissues: Tissues, posterior: torch.Tensor, count: int, pause) -> list[int]:
    """The heads of whose tissues most lie where the volume's are, as the atlas is laid."""
    some = posterior[(slice(None), *[slice(None, None, FACTOR)] * 3)]
    places = linear_places(*_matrix(voxels_between(laid.grid, atlas.heads.grid, laid.affine)), laid.displacement, 0,
                           laid.grid.shape[0], laid.grid.shape, posterior)
    likeness = []
    for number in range(len(atlas.heads.codes)):
        pause()
        found = tissues.of_class[nearest_class(atlas.heads.classes(number, posterior.device), places)]
        likeness.append(float(some.gather(0, found[None]).sum()))
    return [int(n) for n in np.argsort(likeness, kind="stable")[::-1][:count]]


def intensities(posterior: torch.Tensor, image: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """The mean intensity of each tissue, (T,), of background near the brain; of a tissue hardly seen, the brain's.

    Args:
        posterior: (T, I, J, K) shares of tissues; what is surely of a tissue counts most.
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


def _count(votes: torch.Tensor, head: torch.Tensor, to_head: np.ndarray, displacement: torch.Tensor) -> None:
    """Add the head's classes at eight points of each voxel to `votes`, (C * I * J * K,)."""
    shape = tuple(displacement.shape[1:])
    voxels = torch.arange(displacement[0].numel(), device=votes.device)
    one = votes.new_ones(1).expand(len(voxels))
    matrix, offset = _matrix(to_head)
    for point in _QUARTERS:
        places = linear_places(matrix, offset + matrix @ point, displacement, 0, shape[0], shape, displacement)
        votes.index_add_(0, nearest_class(head, places).view(-1) * len(voxels) + voxels, one)


def nearest_class(head: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The class (I, J, K) uint8 at `places` (3, ...) in voxels of the head, (...) int64; background beyond it."""
    index = places.round().long()
    size = torch.tensor(head.shape, device=head.device).view(3, *[1] * (places.ndim - 1))
    inside = ((index >= 0) & (index < size)).all(dim=0)
    i, j, k = index.mul_(inside)
    return torch.where(inside, head.view(-1)[(i * head.shape[1] + j) * head.shape[2] + k].long(), 0)

"""The levels of a deformable registration: spacings, iterations, and the image pyramid."""

from collections.abc import Callable

import numpy as np
import torch

from meddl.registration.images.pyramid import Level, build_pyramid, level_grids, whole_counts
from meddl.registration.images.registration_image import RegistrationImage
from meddl.spatial.grid import Grid

MOST_VOXELS = {"lncc": 1 << 24, "mind": 1 << 22}  # of the finest level, where no levels were given
_LEVELS = (4, 2, 1)         # times the finest spacing, where no levels were given
_LEAST_VOXELS = 8           # along the middle extent of a level
_RANGE = (0.001, 0.999)     # percentiles: of the intensities between them the contrast is kept
_PERCENTILE_VOXELS = 1_000_000  # looked at for them


def deformation_levels_mm(grid: Grid, levels_mm: tuple[float, ...], most_voxels: int) -> tuple[float, ...]:
    """Spacings from coarse to fine: `levels_mm`, none finer than a voxel, or 4, 2 and 1 voxels where there are none.

    Of these, one voxel grows until the finest level has at most `most_voxels`.

    A voxel is the middle of the three spacings. Levels so coarse that the volume has hardly a voxel are left out.
    """
    voxel_mm = float(np.sort(grid.spacing_mm)[1])
    if not levels_mm:
        quarters = 0
        while voxels_at(grid, finest := voxel_mm * 2 ** (quarters / 4)) > most_voxels:
            quarters += 1
        levels_mm = tuple(factor * finest for factor in _LEVELS)
    levels = sorted({max(float(level), voxel_mm) for level in levels_mm}, reverse=True)
    extent = float(np.sort(grid.extent_mm)[1])
    return tuple(level for level in levels if extent >= _LEAST_VOXELS * level) or (levels[-1],)


def iterations_by_level(given: tuple[int, ...], count: int) -> tuple[int, ...]:
    """As many as there are levels: the last ones given, the first of them repeated for further coarse levels."""
    return (given[0],) * (count - len(given)) + tuple(given[max(0, len(given) - count):])


def voxels_at(grid: Grid, spacing_mm: float) -> float:
    """About how many voxels a level of this spacing has."""
    return float(np.prod(np.maximum(1, grid.extent_mm / np.maximum(grid.spacing_mm, spacing_mm))))


def deformation_pyramid(source: RegistrationImage, levels_mm, device: torch.device,
                        pause: Callable[[], None]) -> list[Level]:
    """An image at each spacing of `levels_mm` (descending), coarse to fine; each made from the next finer one.

    Intensities stay in proportion but for a few extreme ones. `pause` is called between parts of the work; it may
    raise Cancelled.
    """
    return build_pyramid(_in_proportion(source, device, pause), level_grids(source.volume.grid, levels_mm),
                         whole_counts, stepwise=True, pause=pause)


def _in_proportion(source: RegistrationImage, device: torch.device, pause: Callable[[], None]) -> Level:
    """The volume on its own grid, 0 to 1, background where it does not count."""
    grid = source.volume.grid
    region = None if source.mask is None else torch.from_numpy(source.region(grid)).to(device, torch.float32)
    image = source.finite_image(device)
    pause()
    if region is not None:
        image = torch.where(region > 0, image, source.background)
    some = image.flatten()[::max(1, image.numel() // _PERCENTILE_VOXELS)]
    low, high = torch.quantile(some, torch.tensor(_RANGE, device=device)).tolist()
    if not low < high:
        low, high = (float(end) for end in image.aminmax())
    pause()
    return Level(image.clamp(low, high).sub_(low).div_(high - low), grid, float(grid.spacing_mm.min()), region)

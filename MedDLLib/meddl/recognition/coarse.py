"""The coarse copy of a volume that a classifier looks at: a cube of voxels, axes R, A, S, about what is in it.

The same steps frame the volumes of the training.
"""

from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from meddl.models.volume_metadata import padding_of
from meddl.recognition.thinning import thin_out
from meddl.spatial.grid import Grid, grid_around, three
from meddl.spatial.resample import sample_indices, to_tensor
from meddl.spatial.volume import Volume

SPACING_MM = 6.0
SIZE = 40                      # voxels of the cube along each axis
HOUNSFIELD_WINDOW = (-60.0, 140.0)
_LARGEST = 1.8                 # of the cube along each axis: so much is resampled, about the middle of the volume
_BRIGHT, _HIGHEST = 0.98, 0.995  # quantiles that the object and what becomes 1 are taken from
_SAMPLES = 1 << 14             # voxels that quantiles are taken from
_OBJECT = 0.2                  # of the bright quantile


def coarse_copy(volume: Volume, hounsfield: bool = False, spacing_mm: float = SPACING_MM,
                size: int = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    """The first channel on `coarse_grid`, and where the volume was imaged.

    Args:
        volume: (C, I, J, K); values that are not finite count as its lowest.
        hounsfield: whether its values are Hounsfield units.
        spacing_mm, size: of the cube that is cut from it.

    Returns:
        `(image, inside)`: (I, J, K) float32, and bool.
    """
    volume = thin_out(volume)
    grid = volume.grid
    values = _plain(volume.data[0], hounsfield)
    sizes = three(max(1, min(n, round(extent / spacing_mm)))
                  for n, extent in zip(grid.shape, grid.extent_mm.tolist(), strict=True))
    means = F.adaptive_avg_pool3d(values[None, None], sizes)
    source = grid_around(grid.center_mm, sizes, grid.directions * (grid.extent_mm / sizes))
    target = coarse_grid(grid, spacing_mm, size)
    steps = torch.from_numpy(np.linalg.inv(source.affine) @ target.affine).float()
    along = [torch.arange(n, dtype=torch.float32) for n in target.shape]
    index = torch.stack(torch.meshgrid(*along, indexing="ij"), -1)
    points = index @ steps[:3, :3].T + steps[:3, 3]
    shape = torch.tensor(source.shape)
    inside = ((points >= -0.5 - 1e-3) & (points <= shape - 0.5 + 1e-3)).all(dim=-1)
    return sample_indices(means, points, clamp=True)[0, 0] * inside, inside


def frame_object(image: torch.Tensor, inside: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    """The cube (2, size, size, size) that the classifier sees: intensities in [0, 1] about the object's center of
    gravity, and 1 where the volume was imaged.

    Args:
        image: (I, J, K) float32, axes R, A, S.
        inside: (I, J, K) bool, where it was imaged.
    """
    if not inside.any():
        return torch.zeros((2, size, size, size))
    scaled, found = scale_intensities(image, inside)
    both = torch.stack([scaled, inside.float()])
    for axis, start in enumerate(_starts(found, size)):
        n = image.shape[axis]
        padding = [0] * 6
        padding[2 * (2 - axis):2 * (2 - axis) + 2] = [max(0, -start), max(0, start + size - n)]
        both = F.pad(both, padding).narrow(axis + 1, max(0, start), size)
    return both


def object_start(image: torch.Tensor, inside: torch.Tensor, size: int = SIZE) -> tuple[int, int, int]:
    """Indices in the image of the first voxel of the cube that `frame_object` cuts; arguments as there."""
    return _starts(scale_intensities(image, inside)[1], size) if inside.any() else (0, 0, 0)


def coarse_grid(grid: Grid, spacing_mm: float = SPACING_MM, size: int = SIZE) -> Grid:
    """A grid along R, A and S over a volume's field of view, or its middle where it is very large."""
    corners = grid.points_mm(list(product(*((-0.5, n - 0.5) for n in grid.shape))))
    extent = corners.max(axis=0) - corners.min(axis=0)
    shape = np.clip(np.ceil(extent / spacing_mm - 1e-6), 1, round(_LARGEST * size)).astype(int)
    return grid_around(grid.center_mm, shape, np.eye(3) * spacing_mm)


def scale_intensities(image: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Intensities in [0, 1], and 1 where the object is; arguments as of `frame_object`, something was imaged."""
    seen = image[inside]
    some = seen[::max(1, seen.numel() // _SAMPLES)]
    low, bright, high = torch.quantile(some, torch.tensor((0.01, _BRIGHT, _HIGHEST))).tolist()
    scaled = ((image - low) / max(high - low, 1e-12)).clamp_(0, 1) * inside
    return scaled, (scaled > _OBJECT * (bright - low) / max(high - low, 1e-12)).float()


def _starts(found: torch.Tensor, size: int) -> tuple[int, int, int]:
    """The first index along each axis of a cube about the center of gravity."""
    starts = []
    for axis in range(3):
        weights = found.sum(dim=[other for other in range(3) if other != axis])
        n = found.shape[axis]
        center = float((weights * torch.arange(n)).sum() / weights.sum()) if weights.sum() > 0 else (n - 1) / 2
        starts.append(round(center - (size - 1) / 2))
    return three(starts)


def _plain(values: np.ndarray, hounsfield: bool) -> torch.Tensor:
    """Finite values as float32; of CT those of a window about soft tissue, without padding."""
    finite = to_tensor(values)
    if values.dtype.kind == "f" and not bool(torch.isfinite(finite).all()):
        known = finite[torch.isfinite(finite)]
        finite = torch.nan_to_num(finite, *[float(known.min()) if known.numel() else 0.0] * 3)
    if hounsfield:
        return finite.clamp(*HOUNSFIELD_WINDOW)
    padding = padding_of(values)
    return finite if padding is None else finite.clamp_min(padding.background)

"""Sampling volumes at other coordinates, on any torch device."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.config import INTERPOLATIONS
from meddl.core.errors import GeometryError, InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import check_mask
from meddl.spatial.volume import Volume

LANCZOS_VOXELS = 3        # half the width of the windowed sinc
_SLAB_VOXELS = 1 << 20    # output voxels sampled at once: bounds the memory for coordinates, and the time to a cancel
_LANCZOS_POINTS = 1 << 14  # points whose 6 x 6 x 6 neighbors are gathered at once


def to_tensor(data: np.ndarray, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor of a numpy array of any strides (also negative ones) and any real type."""
    array = np.asarray(data)
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    elif array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    elif array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64)
    if min(array.strides, default=0) < 0 or not array.flags.writeable:
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        array = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
        if not array.flags.writeable:
            array = array.copy(order="K")
    return torch.from_numpy(array).to(device=device, dtype=dtype)


def resample(volume: Volume, grid: Grid, interpolation: str = "linear", device: torch.device | str = "cpu",
             transform: np.ndarray | None = None, displacement: Volume | None = None, clamp: bool = False,
             on_progress: ProgressCallback | None = None) -> Volume:
    """The volume sampled at the voxel centers of `grid`; zero outside its field of view.

    Args:
        interpolation: one of `meddl.core.config.INTERPOLATIONS`: "linear" (float32 out), "nearest" (type kept), "cubic"
            (B-spline of order 3 with its exact prefilter, float32 out) or "lanczos" (windowed sinc over six voxels
            along each axis, float32 out).
        transform: 4x4 from `grid`'s space to the volume's, RAS mm.
        displacement: Volume (3, I, J, K) in mm on any grid, linear between its voxels and with its edge value beyond
            them, applied to a point before `transform`.
        clamp: keep the edge value outside the field of view instead of zero; linear and nearest only.

    Between the outermost voxel centers and the edge of the field of view the outermost voxel's value holds.

    Raises:
        InputError: unknown interpolation.
    """
    if interpolation not in INTERPOLATIONS:
        raise InputError(f"Interpolation is one of {', '.join(INTERPOLATIONS)}; got '{interpolation}'.")
    to_world = np.eye(4) if transform is None else np.asarray(transform, dtype=np.float64)
    if interpolation == "cubic":
        return _resample_cubic(volume, grid, to_world, displacement, on_progress)
    dtype = _label_dtype(volume.data.dtype) if interpolation == "nearest" else torch.float32
    source = to_tensor(volume.data, device, dtype)[None]
    out = np.empty((volume.channels, *grid.shape),
                   dtype=volume.data.dtype if interpolation == "nearest" else np.float32)
    for start, stop in _slabs(grid, on_progress):
        indices = _source_indices(volume, grid, start, stop, to_world, displacement, device)
        if interpolation == "lanczos":
            out[:, start:stop] = lanczos_at(source[0], indices.to(source.dtype)).cpu().numpy()
        else:
            sampled = sample_indices(source, indices.to(source.dtype), interpolation, clamp)
            out[:, start:stop] = sampled[0].cpu().numpy()
    return Volume(out, grid.affine)


def mask_on_grid(mask: Volume, grid: Grid, name: str = "mask") -> np.ndarray:
    """Which voxels of a grid lie in a mask, (I, J, K) bool: see `label_maps.set_voxels`.

    Args:
        mask: (1, I, J, K) on any grid in the same world: one of another grid is resampled by nearest neighbor.
        name: what an error calls it.

    Raises:
        InputError: no volume, several channels, or an empty mask.
        GeometryError: a mask none of whose voxels lies on the grid.
    """
    inside = check_mask(mask, name)
    if not mask.grid.same_as(grid):
        inside = resample(Volume(inside.view(np.uint8), mask.affine), grid, "nearest").data > 0
        if not inside.any():
            raise GeometryError(f"The {name} holds no voxel of the volume: it lies elsewhere, or between its voxels. "
                                "Draw it on this volume.")
    return inside[0]


def sample_indices(source: torch.Tensor, indices: torch.Tensor, interpolation: str = "linear",
                   clamp: bool = False) -> torch.Tensor:
    """Values of `source` (1, C, I, J, K) at voxel `indices` (i, j, k, 3).

    Beyond half a voxel outside they are zero or, with `clamp`, the edge value.
    """
    size = torch.tensor(source.shape[2:], device=source.device, dtype=indices.dtype)
    normalized = (2 * indices + 1) / size - 1
    mode = "nearest" if interpolation == "nearest" else "bilinear"
    sampled = F.grid_sample(source, normalized.flip(-1)[None], mode=mode, padding_mode="border", align_corners=False)
    return sampled if clamp else sampled * (normalized.abs() <= 1 + 1e-5).all(dim=-1)


def lanczos_at(source: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Values (C, ...) of `source` (C, I, J, K) at voxel `indices` (..., 3) by windowed sinc, zero outside.

    Lanczos' window over three voxels to each side; the weights are scaled to a sum of one, so that a constant stays
    one, and taps beyond the edge repeat the edge voxel.

    Method: C. E. Duchon, "Lanczos filtering in one and two dimensions", Journal of Applied Meteorology 18, 1979,
    doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2.
    """
    size = torch.tensor(source.shape[1:], device=source.device)
    flat = source.reshape(source.shape[0], -1)
    coordinates = indices.reshape(-1, 3)
    out = torch.empty((source.shape[0], len(coordinates)), dtype=source.dtype, device=source.device)
    reach = torch.arange(1 - LANCZOS_VOXELS, LANCZOS_VOXELS + 1, device=source.device)
    strides = (source.shape[2] * source.shape[3], source.shape[3], 1)
    for start in range(0, len(coordinates), _LANCZOS_POINTS):
        here = coordinates[start:start + _LANCZOS_POINTS]
        base = here.floor()
        distances = (here - base)[:, :, None] - reach  # (n, 3, taps)
        weights = torch.sinc(distances) * torch.sinc(distances / LANCZOS_VOXELS)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        taps = (base.long()[:, :, None] + reach).clamp(min=0).minimum(size[:, None] - 1)
        i, j, k = (taps[:, axis] * strides[axis] for axis in range(3))
        lines = (i[:, :, None, None] + j[:, None, :, None] + k[:, None, None, :]).reshape(-1)
        count = len(reach)
        values = flat[:, lines].reshape(-1, len(here), count, count, count)
        values = torch.einsum("cnijk,nk->cnij", values, weights[:, 2])
        values = torch.einsum("cnij,nj->cni", values, weights[:, 1])
        out[:, start:start + _LANCZOS_POINTS] = torch.einsum("cni,ni->cn", values, weights[:, 0])
    inside = ((coordinates >= -0.5 - 1e-3) & (coordinates <= size - 0.5 + 1e-3)).all(dim=-1)
    return (out * inside).reshape(-1, *indices.shape[:-1])


def sample_at(volume: Volume, points_mm: np.ndarray) -> np.ndarray:
    """Values (N, C) at points (N, 3) in RAS mm, linear, the edge value beyond the field of view."""
    from scipy.ndimage import map_coordinates

    indices = volume.grid.indices(points_mm).T
    return np.stack([map_coordinates(channel, indices, output=np.float64, order=1, mode="nearest")
                     for channel in volume.data], axis=-1)


def _slabs(grid: Grid, on_progress: ProgressCallback | None) -> Iterator[tuple[int, int]]:
    """The first and last plane of each slab of `grid` that is sampled at once."""
    planes = max(1, _SLAB_VOXELS // (grid.shape[1] * grid.shape[2]))
    for start in range(0, grid.shape[0], planes):
        report(on_progress, start / grid.shape[0], "Resampling")
        yield start, min(start + planes, grid.shape[0])


def _label_dtype(dtype: np.dtype) -> torch.dtype:
    return torch.float32 if dtype.itemsize <= 2 or dtype == np.float32 else torch.float64


def _source_indices(volume: Volume, grid: Grid, start: int, stop: int, to_world: np.ndarray,
                    displacement: Volume | None, device: torch.device | str) -> torch.Tensor:
    """Continuous indices into `volume`, (stop - start, J, K, 3) float64, of the voxels of a slab of `grid`."""
    to_index = np.linalg.inv(volume.affine) @ to_world
    matrix = torch.from_numpy(to_index @ grid.affine)
    if str(device) == "mps":
        matrix = matrix.float()
    matrix = matrix.to(device)
    axes = [torch.arange(a, b, dtype=matrix.dtype, device=device)
            for a, b in ((start, stop), (0, grid.shape[1]), (0, grid.shape[2]))]
    shifts = [axis[:, None] * matrix[:3, a] for a, axis in enumerate(axes)]
    indices = (shifts[0][:, None, None] + shifts[1][None, :, None] + shifts[2][None, None, :]) + matrix[:3, 3]
    if displacement is not None:
        if displacement.grid.same_as(grid):
            on_slab = displacement.data[:, start:stop]
        else:
            slab_affine = np.array(grid.affine)
            slab_affine[:3, 3] = grid.points_mm([start, 0, 0])
            slab = Grid((stop - start, *grid.shape[1:]), slab_affine)
            on_slab = resample(displacement, slab, "linear", device, clamp=True).data
        moved = to_tensor(on_slab, device, matrix.dtype).permute(1, 2, 3, 0)
        indices = indices + moved @ torch.from_numpy(to_index[:3, :3]).to(matrix).T
    return indices


def _resample_cubic(volume: Volume, grid: Grid, to_world: np.ndarray, displacement: Volume | None,
                    on_progress: ProgressCallback | None) -> Volume:
    """Cubic B-spline through SciPy, mirrored at the edges of the field of view."""
    from scipy.ndimage import map_coordinates, spline_filter

    size = np.array(volume.shape)[:, None, None, None]
    out = np.empty((volume.channels, *grid.shape), dtype=np.float32)
    for channel, data in enumerate(volume.data):
        coefficients = spline_filter(data.astype(np.float64), order=3, mode="reflect")
        part = span(on_progress, channel / volume.channels, (channel + 1) / volume.channels)
        for start, stop in _slabs(grid, part):
            indices = _source_indices(volume, grid, start, stop, to_world, displacement, "cpu").numpy()
            indices = np.moveaxis(indices, -1, 0)
            inside = ((indices >= -0.5 - 1e-3) & (indices <= size - 0.5 + 1e-3)).all(axis=0)
            sampled = map_coordinates(coefficients, indices, order=3, mode="reflect", prefilter=False)
            out[channel, start:stop] = np.where(inside, sampled, 0)
    return Volume(out, grid.affine)

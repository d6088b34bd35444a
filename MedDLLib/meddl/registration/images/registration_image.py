"""The fixed and the moving image of a registration: a volume and its mask, checked and reoriented."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from meddl.core.errors import InputError
from meddl.registration.images.intensity import finite_scalar, foreground_mask, normalize
from meddl.registration.images.pyramid import Level, build_pyramid, half_counts, level_grids, reduce_to
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import check_mask
from meddl.spatial.resample import resample, to_tensor
from meddl.spatial.volume import Volume

_CROP_MARGIN_MM = 16.0  # around the fixed object: what moves into it is kept


@dataclass(frozen=True, eq=False)
class RegistrationImage:
    """The fixed or the moving image of a registration.

    Attributes:
        name: "fixed" or "moving", for messages.
        volume: one channel, axes along R, A, S, so that the order of storage changes nothing.
        background: the value that stands for background.
        missing: the number of voxels that are not finite.
        mask: a Volume (1, I, J, K) on any grid, nonzero where the volume is compared; None: everywhere.
    """

    name: str
    volume: Volume
    background: float
    missing: int
    mask: Volume | None

    def levels(self, levels_mm, device: torch.device) -> list[Level]:
        """The volume with its object's mask at each spacing of `levels_mm` (descending), coarse to fine.

        The finest level is made from the volume, voxels that are not finite replaced by the background; the others
        from the finest. Intensities are normalized, see `normalize`; masks and regions are on the CPU.
        """
        grids = level_grids(self.volume.grid, levels_mm)
        finest_mm, grid = grids[-1]
        values = reduce_to(self.finite_image(device), self.volume.grid, grid).cpu().numpy()
        mask = foreground_mask(values)
        region = None if self.mask is None else self.region(grid)
        if region is not None:
            mask = mask & region if (mask & region).any() else region
        finest = Level(torch.from_numpy(normalize(values, mask)).to(device), grid, finest_mm,
                       None if region is None else torch.from_numpy(region).float(), torch.from_numpy(mask).float())
        return build_pyramid(finest, grids, half_counts)

    def finite_image(self, device: torch.device) -> torch.Tensor:
        """The volume as a tensor (I, J, K) float32, the background in place of what is not finite."""
        data = self.volume.data[0]
        image = to_tensor(data, device)
        if data.dtype.kind != "f":
            return image
        return torch.nan_to_num(image, nan=self.background, posinf=self.background, neginf=self.background)

    def region(self, grid: Grid) -> np.ndarray:
        """Where the mask is set, (I, J, K) bool on `grid`.

        Raises:
            InputError: nowhere on this grid.
        """
        found = resample(self.mask, grid, "nearest").data[0] > 0
        if not found.any():
            raise InputError(f"The {self.name} mask lies outside the {self.name} volume. Both must lie in one world; "
                             "choose the mask that was drawn on this volume.")
        return found


def prepare_image(name: str, volume: Volume, mask: Volume | None) -> RegistrationImage:
    """Check a volume and its mask, and reorient the volume to RAS.

    Raises:
        InputError: see `finite_scalar`; or the mask has several channels, no voxel that is set, or is one slice thick.
    """
    upright = volume.reorient("RAS")
    _, low, missing = finite_scalar(upright, name)
    return RegistrationImage(name, upright, low, missing, None if mask is None else _binary(name, mask))


def crop_to_object(image: RegistrationImage) -> RegistrationImage:
    """The fixed image cropped to its object and a margin: the same result, faster."""
    data, threshold = image.volume.data[0], image.background
    peak = float(np.nanmax(np.where(np.isfinite(data[::2, ::2, ::2]), data[::2, ::2, ::2], threshold)))
    inside = data > threshold + 0.01 * (peak - threshold)
    slices = []
    plane, lateral = inside.any(axis=2), inside.any(axis=0)
    lines = plane.any(axis=1), plane.any(axis=0), lateral.any(axis=0)
    for axis, spacing in enumerate(image.volume.spacing_mm):
        where = np.flatnonzero(lines[axis])
        reach = int(np.ceil(_CROP_MARGIN_MM / spacing))
        low, high = (where[0], where[-1] + 1) if len(where) else (0, data.shape[axis])
        slices.append(slice(max(0, low - reach), min(data.shape[axis], high + reach)))
    affine = np.array(image.volume.affine)
    affine[:3, 3] = image.volume.grid.points_mm([s.start for s in slices])
    return replace(image, volume=Volume(image.volume.data[(slice(None), *slices)], affine))


def _binary(name: str, mask: Volume) -> Volume:
    counts = check_mask(mask, f"{name} mask")
    sizes = [int(np.ptp(np.flatnonzero(counts[0].any(axis=others)))) + 1 for others in ((1, 2), (0, 2), (0, 1))]
    if min(sizes) < 2:
        raise InputError(f"The {name} mask is one slice thick ({' x '.join(map(str, sizes))} voxels), which does not "
                         "tell where the volume lies across it. Draw it on several slices, or leave it out.")
    return Volume(counts.astype(np.uint8), mask.affine)

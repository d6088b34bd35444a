"""Which voxels are filled: a mask on the grid of the volume."""

import numpy as np

from meddl.core.errors import GeometryError, InputError
from meddl.spatial.label_maps import set_voxels
from meddl.spatial.normalize import check_magnitude
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume

EMPTY = "The mask is empty: nothing was changed."


def masked_voxels(mask: Volume, volume: Volume, margin_mm: float = 0.0) -> tuple[np.ndarray, bool]:
    """The voxels to fill, (1, I, J, K) bool, or (C, I, J, K) of a mask with a channel for each of the volume's; and
    whether the mask was resampled.

    Args:
        mask: nonzero counts, NaN does not; on any grid in the volume's world: one of another grid is resampled by
            nearest neighbor.
        margin_mm: by which it is dilated.

    Raises:
        InputError: another number of channels, or a mask that covers a whole channel.
        GeometryError: the mask is not empty but lies outside of the volume.
    """
    if mask.channels not in (1, volume.channels):
        raise InputError(f"A mask has one channel, or one for each of the volume's {volume.channels}; this one has "
                         f"{mask.channels}.")
    inside = set_voxels(mask)
    resampled = not mask.grid.same_as(volume.grid)
    if resampled and inside.any():
        inside = resample(Volume(inside.view(np.uint8), mask.affine), volume.grid, "nearest").data > 0
        if not inside.any():
            raise GeometryError("The mask holds no voxel of the volume: it lies elsewhere, or between its voxels. Draw "
                                "it on this volume.")
    elif resampled:
        inside = np.zeros((mask.channels, *volume.shape), bool)
    if margin_mm > 0:
        inside = np.stack([_dilate(one, volume.spacing_mm, margin_mm) for one in inside])
    if inside.all(axis=(1, 2, 3)).any():
        raise InputError("The mask covers the whole volume: there is nothing to fill it from. Leave out what was "
                         "measured well.")
    return inside, resampled


def check_finite(channel: np.ndarray, inside: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity outside of the mask; inside, they are filled.

    Raises:
        InputError: with how many there are.
    """
    check_magnitude(np.where(inside, 0, channel), name)
    if channel.dtype.kind == "f":
        wrong = int(np.count_nonzero(~np.isfinite(channel) & ~inside))
        if wrong:
            raise InputError(f"{name} holds {wrong} values that are not finite outside of the mask. Add them to the "
                             "mask, so that they are filled too.")


def _dilate(inside: np.ndarray, spacing_mm: np.ndarray, margin_mm: float) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    return distance_transform_edt(~inside, sampling=spacing_mm) <= margin_mm if inside.any() else inside

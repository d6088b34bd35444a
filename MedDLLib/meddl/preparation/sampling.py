"""Steps that change the grid: crop, resample, reorient, resize."""

from typing import cast

import numpy as np

from meddl.core.errors import GeometryError
from meddl.io.itk import sitk
from meddl.preparation.steps import Crop, Reorient, Resample, Resize, three_of
from meddl.spatial.grid import Grid, centered_grid, grid_around
from meddl.spatial.volume import Volume


def crop(volume: Volume, step: Crop, roi: Volume | np.ndarray | None, figures: dict) -> Volume:
    """The voxels in the box around the body, or around a region of interest; `figures` gets the box.

    Args:
        roi: as `meddl.segment` takes it.

    Raises:
        GeometryError: a region is missing, or holds no voxel.
    """
    from meddl.segmentation.region_of_interest import body_mask, inside_roi

    if step.to == "body":
        inside = body_mask(volume)
    elif roi is None:
        raise GeometryError("There is no region of interest to crop to. Give one, or crop to the body.")
    else:
        inside = inside_roi(roi, volume.grid)
    margin = np.ceil(step.margin_mm / volume.spacing_mm - 1e-6).astype(int)
    box = []
    for axis in range(3):
        found = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append((max(0, int(found[0] - margin[axis])), min(inside.shape[axis], int(found[-1] + 1 + margin[axis]))))
    affine = np.array(volume.affine)
    affine[:3, 3] = volume.grid.points_mm([first for first, _ in box])
    figures["box_voxels"] = [list(ends) for ends in box]
    return Volume(volume.data[(slice(None), *(slice(*ends) for ends in box))], affine)


def change_spacing(volume: Volume, step: Resample) -> Volume:
    """The volume with other voxel sizes, about the same center; see `Resample`.

    Before larger voxels, a Gaussian whose variance is the difference of the two voxels' (full width at half maximum the
    voxel size; M. J. Cardoso et al., MICCAI 2015) takes away what they could not hold.
    """
    grid = centered_grid(volume.grid, three_of(step.spacing_mm, "The voxel size"))
    return _resample(volume, grid, step.interpolation, step.antialiasing)


def reorient(volume: Volume, step: Reorient) -> Volume:
    """The same voxels with axes along these directions."""
    made = volume.reorient(step.codes)
    return Volume(np.ascontiguousarray(made.data), made.affine)


def resize(volume: Volume, step: Resize) -> Volume:
    """The volume with so many voxels; see `Resize`."""
    shape = three_of(step.voxels, "The number of voxels")
    if not step.keep_spacing:
        grid = grid_around(volume.grid.center_mm, shape, volume.grid.directions * (volume.grid.extent_mm / shape))
        return _resample(volume, grid, "linear", True)
    import torch
    from monai.data.meta_tensor import MetaTensor
    from monai.transforms.croppad.array import ResizeWithPadOrCrop

    image = MetaTensor(torch.from_numpy(np.ascontiguousarray(volume.data)), affine=torch.tensor(volume.affine))
    found = cast(MetaTensor, ResizeWithPadOrCrop(shape, value=float(volume.data.min()))(image))
    return Volume(found.array, np.asarray(found.affine))


def _resample(volume: Volume, grid: Grid, interpolation: str, antialiasing: bool) -> Volume:
    from meddl.spatial.resample import resample

    before, after, dtype = volume.spacing_mm, grid.spacing_mm, volume.data.dtype
    variance = np.maximum(after ** 2 - before ** 2, 0) / (8 * np.log(2))
    if antialiasing and interpolation != "nearest" and variance.any():
        smooth = []
        for data in volume.data:
            image = sitk.GetImageFromArray(np.ascontiguousarray(data.T, dtype=np.float32))
            image.SetSpacing(before.tolist())
            smooth.append(sitk.GetArrayFromImage(sitk.DiscreteGaussian(
                image, variance=variance.tolist(), maximumKernelWidth=128)).T)
        volume = Volume(np.stack(smooth), volume.affine)
    return resample(volume, grid, interpolation, clamp=interpolation in ("linear", "nearest")).astype(dtype)

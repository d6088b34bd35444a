"""What a recipe may do to an image before its networks see it. Each step keeps track of where the voxels lie."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from meddl.core.errors import InputError, ModelError
from meddl.segmentation.imported.memory_plan import check_memory
from meddl.segmentation.imported.resize import resize, resize_labels
from meddl.segmentation.imported.steps.coordinates import Sampling


@dataclass(frozen=True, eq=False)
class Image:
    """An image on its way to the networks.

    Attributes:
        data: (C, x, y, z) float32.
        affine: 4x4, index (x, y, z) to RAS mm; it follows every step exactly.
        mask: (x, y, z) bool, the part that is not empty, or None where no step asked for it.
        thick_axis: the axis along which scores on this image are brought back from the nearest slice, or None.
        labels: (x, y, z) int32, what an earlier stage found; -1 where the volume is empty; None without such a stage.
        frames: grids (affine, shape) outside of which voxels of the volume are background, as they were cropped away.
        unpadded: grids (affine, shape) before margins were added, which the volume's voxels do not reach into.
        sampling: how the voxel size was changed, where the way back must be rounded alike.
    """

    data: torch.Tensor
    affine: np.ndarray
    mask: torch.Tensor | None = None
    thick_axis: int | None = None
    labels: torch.Tensor | None = None
    frames: tuple[tuple[np.ndarray, tuple[int, int, int]], ...] = ()
    unpadded: tuple[tuple[np.ndarray, tuple[int, int, int]], ...] = ()
    sampling: Sampling | None = None

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along x, y, z, shape (3,)."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))


def transpose(image: Image, axes) -> Image:
    """Axes in another order: axis n of the result is axis axes[n] of the image."""
    affine = np.array(image.affine)
    affine[:3, :3] = affine[:3, list(axes)]
    mask, labels = (None if part is None else part.permute(*axes) for part in (image.mask, image.labels))
    return replace(image, data=image.data.permute(0, *(a + 1 for a in axes)), affine=affine, mask=mask, labels=labels)


def crop_nonzero(image: Image) -> Image:
    """The box around all voxels that are not zero in some channel, holes filled; their mask is kept.

    Where an earlier stage found something, the mask holds that too.
    """
    from scipy.ndimage import binary_fill_holes

    mask = binary_fill_holes((image.data != 0).any(dim=0).cpu().numpy())
    if not mask.any():
        raise InputError("Every voxel of the volume is zero: there is nothing to segment.")
    box = [_extent(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    mask = torch.from_numpy(mask[tuple(slice(*ends) for ends in box)]).to(image.data.device)
    image = crop(image, box)
    if image.labels is not None:
        mask = mask | (image.labels != 0)
        image = replace(image, labels=torch.where(mask, image.labels, -1))
    return replace(image, mask=mask)


def normalize(image: Image, channels) -> Image:
    """Each channel by its own scheme, as nnU-Net names them.

    Args:
        channels: for each {"scheme": "ct" | "z-score" | "none" | "unit" | "rgb", ...}: ct has lower, upper,
            mean, std; z-score may have masked: only inside the mask, the rest left alone.
    """
    if len(channels) != image.data.shape[0]:
        raise InputError(f"The model takes {len(channels)} channels; the volume has {image.data.shape[0]}.")
    data = image.data.clone()
    for values, channel in zip(data, channels, strict=True):
        _NORMALIZE[channel["scheme"]](values, channel, image.mask)
    return replace(image, data=data)


def resample(image: Image, spacing_mm, order: int = 3, anisotropy: float = 3.0, separate: bool | None = None) -> Image:
    """Another voxel size over the same field of view.

    Args:
        spacing_mm: one for each axis; None where the axis keeps its own.
        order: of the spline.
        anisotropy, separate: where the voxels of image or target are more than so many times as thick along
            one axis as along another, the nearest slice is taken along that axis; `separate` forces or forbids it.

    Raises:
        InputError: the volume is smaller than a voxel of that size.
        OutOfMemoryError: so many voxels do not fit into memory.
    """
    old = image.spacing_mm
    new = np.array([o if s is None else s for o, s in zip(old, spacing_mm, strict=True)], dtype=np.float64)
    shape = [int(round(o / s * n)) for o, s, n in zip(old, new, image.data.shape[1:], strict=True)]
    if min(shape) < 1:
        extent = (old * np.array(image.data.shape[1:])).round(2).tolist()
        raise InputError(f"The volume is {extent} mm large, less than one voxel of {new.round(2).tolist()} mm, which "
                         "the model works at.")
    check_memory(image.data.device, (len(image.data), *shape), doing="Resampling to")
    thick = thick_axis(old, new, anisotropy, separate)
    data = torch.stack([resize(channel, shape, order, thick) for channel in image.data])
    labels = None if image.labels is None else resize_labels(image.labels, shape, thick)
    return replace(image, data=data, affine=resized_affine(image.affine, image.data.shape[1:], shape), mask=None,
                   thick_axis=thick_axis(new, old, anisotropy, separate), labels=labels)


def append_labels(image: Image, values) -> Image:
    """One more channel for each of these label values: 1 where an earlier stage found it, else 0."""
    if image.labels is None:
        raise ModelError("The model's recipe asks for an earlier stage's labels, but names no such stage.")
    found = torch.stack([image.labels == value for value in values]).to(image.data)
    return replace(image, data=torch.cat((image.data, found)), labels=None)


def thick_axis(old_mm, new_mm, anisotropy: float, separate: bool | None = None) -> int | None:
    """The one axis with the thickest voxels, of the image or else of the target, where they are thick enough."""
    for spacing in (np.round(old_mm, 6), np.round(new_mm, 6)):
        if separate or (separate is None and spacing.max() / spacing.min() > anisotropy):
            thickest = np.flatnonzero(spacing.max() / spacing == 1)
            return int(thickest[0]) if len(thickest) == 1 else None
    return None


def resized_affine(affine: np.ndarray, shape, new_shape) -> np.ndarray:
    """The affine of `new_shape` voxels over the field of view of `shape` voxels."""
    factors = np.asarray(shape, dtype=np.float64) / np.asarray(new_shape, dtype=np.float64)
    result = np.array(affine)
    result[:3, :3] = affine[:3, :3] * factors
    result[:3, 3] = affine[:3, 3] + affine[:3, :3] @ (0.5 * factors - 0.5)
    return result


def _extent(present: np.ndarray) -> tuple[int, int]:
    indices = np.flatnonzero(present)
    return int(indices[0]), int(indices[-1]) + 1


def crop(image: Image, box) -> Image:
    affine = np.array(image.affine)
    affine[:3, 3] = affine[:3, :3] @ [start for start, _ in box] + affine[:3, 3]
    place = tuple(slice(*ends) for ends in box)
    labels = None if image.labels is None else image.labels[place]
    return replace(image, data=image.data[(slice(None), *place)], affine=affine, labels=labels)


def _ct(values: torch.Tensor, channel: dict, mask) -> None:
    values.clamp_(channel["lower"], channel["upper"]).sub_(channel["mean"]).div_(max(channel["std"], 1e-8))


def _z_score(values: torch.Tensor, channel: dict, mask) -> None:
    inside = values[mask] if channel.get("masked") and mask is not None else values
    wide = inside.double()
    mean, std = wide.mean(), wide.std(correction=0).clamp_min(1e-8)
    scaled = wide.sub_(mean).div_(std).to(values.dtype)
    if inside is values:
        values.copy_(scaled)
    else:
        values[mask] = scaled


def _unit(values: torch.Tensor, channel: dict, mask) -> None:
    values.sub_(values.min()).div_(values.max().clamp_min(1e-8))


def _rgb(values: torch.Tensor, channel: dict, mask) -> None:
    if values.min() < 0 or values.max() > 255:
        raise InputError("The model takes colors from 0 to 255; the volume has values beyond.")
    values.div_(255)


_NORMALIZE = {"ct": _ct, "z-score": _z_score, "none": lambda *_: None, "unit": _unit, "rgb": _rgb}

STEPS: dict[str, Callable[..., Image]] = {
    "transpose": transpose, "crop_nonzero": crop_nonzero, "normalize": normalize, "resample": resample,
    "append_labels": append_labels}

"""Changes of an image's grid that a recipe may ask for, as MONAI defines them: voxel size, crops and margins.

What was cropped away is background in the result, so that crops leave a frame in the image (`Image.frames`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.errors import InputError
from meddl.segmentation.imported.memory_plan import check_memory
from meddl.segmentation.imported.steps.coordinates import Sampling
from meddl.segmentation.imported.steps.preprocessing import Image, resized_affine

_SAME_MM = 1e-3  # voxel sizes that differ by less are left alone
_PADDING = {"constant": "constant", "edge": "replicate", "replicate": "replicate", "reflect": "reflect"}


def space(image: Image, spacing_mm, smallest_mm=None, largest_mm=None, mode: str = "linear",
          single: bool = False) -> Image:
    """Another voxel size; the first voxel stays where it is, and the field of view ends near the last one's center.

    Args:
        spacing_mm: one for each axis; None where the axis keeps its own.
        smallest_mm, largest_mm: voxel sizes between these are left alone, axis by axis.
        mode: "linear" or "nearest".
        single: whether voxels are found with float32 instead of float64.
    """
    from monai.data.utils import compute_shape_offset, zoom_affine

    old, new = image.spacing_mm, np.array(image.spacing_mm)
    for axis, target in enumerate(spacing_mm):
        if target is None:
            continue
        low = target if smallest_mm is None else min(smallest_mm[axis], target)
        high = target if largest_mm is None else max(largest_mm[axis], target)
        new[axis] = old[axis] if low - _SAME_MM <= old[axis] <= high + _SAME_MM else target
    size = np.array(image.data.shape[1:])
    affine = zoom_affine(image.affine, new, diagonal=False)
    shape, offset = compute_shape_offset(size, image.affine, affine)  # how a half is rounded is theirs
    affine[:3, 3] = offset
    check_memory(image.data.device, (len(image.data), *shape.tolist()), doing="Resampling to")
    before = (image.affine, tuple(size.tolist()))
    sampling = Sampling(before, (affine, tuple(shape.tolist())), single)
    framed = replace(image, frames=(*image.frames, before), mask=None, sampling=sampling)
    data = image.data
    for axis in sorted(range(3), key=lambda a: shape[a] / size[a]):
        if new[axis] != old[axis]:
            data = _sample(data, axis + 1, sampling.forward_coordinates(axis), mode)
    return replace(framed, data=data, affine=affine)


def resize_to(image: Image, shape: Sequence[int]) -> Image:
    """So many voxels along each axis over the same field of view, linear between voxels; 0 where it is as it was."""
    shape = [new or old for new, old in zip(shape, image.data.shape[1:], strict=True)]
    data = F.interpolate(image.data[None], tuple(shape), mode="trilinear", align_corners=False)[0]
    return replace(image, data=data, affine=resized_affine(image.affine, image.data.shape[1:], shape), mask=None)


def mark_foreground(image: Image, threshold: float = 0.0, channels=None) -> Image:
    """Remember where some channel is above the threshold, for `crop_foreground`."""
    data = image.data if channels is None else image.data[list(channels)]
    return replace(image, mask=(data > threshold).any(dim=0))


def crop_foreground(image: Image, margin_voxels=(0, 0, 0), inside: bool = False, multiple=(1, 1, 1),
                    threshold: float = 0.0, channels=None) -> Image:
    """The box around what `mark_foreground` found, or else around all above the threshold.

    Args:
        margin_voxels: around the box, along each axis.
        inside: the box ends with the image; else it is filled up with zeros.
        multiple: the box is made so large that each axis has a multiple of so many voxels.

    Raises:
        InputError: nothing is above the threshold.
    """
    image = image if image.mask is not None else mark_foreground(image, threshold, channels)
    box = []
    for axis, (margin, step) in enumerate(zip(margin_voxels, multiple, strict=True)):
        coordinates = torch.nonzero(_any_but(image.mask, axis))[:, 0]
        if not len(coordinates):
            raise InputError(f"No voxel of the volume is above {threshold:g}: there is nothing to segment.")
        start, stop = int(coordinates[0]) - margin, int(coordinates[-1]) + margin + 1
        if inside:
            start, stop = max(start, 0), min(stop, image.data.shape[axis + 1])
        wanted = -(-(stop - start) // step) * step
        start -= (wanted - (stop - start)) // 2
        box.append((start, start + wanted))
    return _note_frame(_crop_or_pad(image, box))


def pad_to(image: Image, shape: Sequence[int], mode: str = "constant", value: float = 0.0, even: bool = True) -> Image:
    """At least so many voxels along each axis; new ones on both sides alike, or with `even` false at the end."""
    missing = [max(wanted - n, 0) for wanted, n in zip(shape, image.data.shape[1:], strict=True)]
    before = [width // 2 if even else 0 for width in missing]
    box = [(-b, n + width - b) for b, width, n in zip(before, missing, image.data.shape[1:], strict=True)]
    before_margins = (image.affine, tuple(image.data.shape[1:]))
    return replace(_crop_or_pad(image, box, mode, value), unpadded=(*image.unpadded, before_margins))


def pad_to_multiple(image: Image, multiple: Sequence[int], mode: str = "constant", value: float = 0.0,
                    even: bool = True) -> Image:
    """A multiple of so many voxels along each axis; see `pad_to`."""
    shape = [-(-n // step) * step for n, step in zip(image.data.shape[1:], multiple, strict=True)]
    return pad_to(image, shape, mode, value, even)


def outside_frames(coordinates: list[np.ndarray], frame_coordinates: list[np.ndarray], shape) -> list[np.ndarray]:
    """The coordinates along each axis, those of voxels outside a frame of `shape` moved far away."""
    return [np.where((of_frame >= -0.5) & (of_frame <= n - 0.5), place, -1e9)
            for place, of_frame, n in zip(coordinates, frame_coordinates, shape, strict=True)]


def _any_but(mask: torch.Tensor, axis: int) -> torch.Tensor:
    """Whether anything is present at each index along an axis."""
    return mask.permute(axis, *(a for a in range(3) if a != axis)).flatten(1).any(dim=1)


def _sample(data: torch.Tensor, dim: int, coordinates: torch.Tensor, mode: str) -> torch.Tensor:
    """Values at continuous indices along an axis."""
    size = data.shape[dim]
    if mode == "nearest":
        return data.index_select(dim, coordinates.round().long().to(data.device))
    low = coordinates.floor().long().clamp_max(max(size - 2, 0))
    shape = [-1 if a == dim else 1 for a in range(data.ndim)]
    weights = [weight.to(data.dtype).to(data.device).reshape(shape) for weight
               in (low + 1 - coordinates, coordinates - low)]
    low = low.to(data.device)
    mixed = data.index_select(dim, low).mul_(weights[0])
    return mixed.addcmul_(data.index_select(dim, (low + 1).clamp_max(size - 1)), weights[1])


def _crop_or_pad(image: Image, box, mode: str = "constant", value: float = 0.0) -> Image:
    """The voxels from start to stop along each axis, which may lie outside of the image."""
    size = image.data.shape[1:]
    kept = tuple(slice(max(start, 0), min(stop, n)) for (start, stop), n in zip(box, size, strict=True))
    around = [width for (start, stop), n in zip(box[::-1], size[::-1], strict=True)
              for width in (max(-start, 0), max(stop - n, 0))]
    data = image.data[(slice(None), *kept)]
    if any(around):
        kind = _PADDING[mode]
        data = (F.pad(data, around, value=value) if kind == "constant"
                else F.pad(data[None], around, mode=kind)[0])
    affine = np.array(image.affine)
    affine[:3, 3] = affine[:3, :3] @ [start for start, _ in box] + affine[:3, 3]
    mask = None if image.mask is None or any(around) else image.mask[kept]
    return replace(image, data=data, affine=affine, mask=mask)


def _note_frame(image: Image) -> Image:
    return replace(image, frames=(*image.frames, (image.affine, tuple(image.data.shape[1:]))))


GRID_STEPS: dict[str, Callable[..., Image]] = {
    "space": space, "resize_to": resize_to, "mark_foreground": mark_foreground, "crop_foreground": crop_foreground,
    "pad_to": pad_to, "pad_to_multiple": pad_to_multiple}

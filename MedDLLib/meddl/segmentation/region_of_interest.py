"""Region of interest and body mask: where in a volume inference runs and labels are kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from meddl.core.config import SegmentConfig
from meddl.core.errors import GeometryError, InputError
from meddl.models.volume_metadata import padding_of
from meddl.segmentation.imported.score_labels import axis_coordinates
from meddl.segmentation.imported.steps.preprocessing import Image, crop
from meddl.spatial.bspline import apply_along
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import largest_components, set_voxels
from meddl.spatial.normalize import object_threshold
from meddl.spatial.resample import resample, to_tensor
from meddl.spatial.volume import Volume

BODY_HU = -500.0     # in CT, between air and anything of a body
BODY_MARGIN_MM = 10.0
_COARSE_MM = 4.0     # voxel size at which the body is looked for


@dataclass(frozen=True, eq=False)
class Scope:
    """Masks that restrict inference, both (I, J, K) bool or None for all.

    Attributes:
        needed: a patch with none of these is not run; outside of them all is background.
        box: the image is cropped to the box around these.
    """

    needed: np.ndarray | None = None
    box: np.ndarray | None = None


def scope_of(volume: Volume, config: SegmentConfig, inside: np.ndarray | None) -> tuple[Scope, tuple[str, ...]]:
    """The scope of a config and a region of interest (I, J, K), and sentences on what of it changes the result."""
    body = body_mask(volume, config.modality) if config.body_crop or config.skip_empty else None
    needed, changes = inside, []
    if config.skip_empty:
        needed = body if inside is None else inside & body
        changes.append("Patches that hold nothing of the body were skipped; outside of it all is background.")
    if config.body_crop:
        changes.append("The input was cropped to the bounding box of the body.")
    return Scope(needed, body if config.body_crop else None), tuple(changes)


def inside_roi(roi: Volume | np.ndarray, grid: Grid) -> np.ndarray:
    """Which voxels of `grid` have their center in a region of interest, (I, J, K) bool.

    Args:
        roi: a mask (1, I, J, K) on any grid, nonzero counts; or a box in RAS mm: (2, 3) lowest and highest corner, or,
            along any axes, (4, 4) from the cube of -0.5 to 0.5 to RAS mm.

    Raises:
        InputError: none of these.
        GeometryError: no voxel lies inside.
    """
    if isinstance(roi, Volume):
        mask = Volume(np.asarray(set_voxels(roi).any(axis=0, keepdims=True), np.uint8), roi.affine)
        inside = resample(mask, grid, "nearest").data[0] > 0
    else:
        inside = _inside_box(_box_matrix(roi), grid)
    if not inside.any():
        raise GeometryError("The region of interest holds no voxel of the volume. Move it over the volume.")
    return inside


def _box_matrix(box) -> np.ndarray:
    box = np.asarray(box, dtype=np.float64)
    if box.shape == (2, 3) and np.isfinite(box).all() and (box[1] > box[0]).all():
        matrix = np.diag([*(box[1] - box[0]), 1.0])
        matrix[:3, 3] = box.mean(axis=0)
        return matrix
    if box.shape == (4, 4) and np.isfinite(box).all() and abs(np.linalg.det(box)) > 1e-12:
        return box
    raise InputError("A region of interest is a mask volume, the lowest and highest corner of a box as (2, 3) RAS mm, "
                     f"or a (4, 4) matrix of a box that is not flat; got {box.tolist()}.")


def _inside_box(matrix: np.ndarray, grid: Grid) -> np.ndarray:
    to_cube = np.linalg.inv(matrix) @ grid.affine
    inside = np.ones(grid.shape, dtype=bool)
    axes = [np.arange(n).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, n in enumerate(grid.shape)]
    for row in to_cube[:3]:
        place = row[3] + sum(row[a] * axes[a] for a in range(3))
        inside &= np.abs(place) <= 0.5 + 1e-9
    return inside


def body_mask(volume: Volume, modality: str = "auto", margin_mm: float = BODY_MARGIN_MM) -> np.ndarray:
    """The largest connected object of the first channel, what it encloses in some plane, and a margin, (I, J, K) bool.

    In CT it is all above `BODY_HU`, elsewhere all above a fraction of what is brighter than Otsu's threshold, counted
    from the background's level; looked for at about 4 mm. Lungs and other air are inside, as they are enclosed in axial
    planes.
    """
    from scipy import ndimage

    from meddl.segmentation.brain.preprocess import is_ct

    values = volume.data[0]
    steps = np.maximum(np.floor(_COARSE_MM / volume.spacing_mm), 1).astype(int)
    coarse = values[tuple(slice(None, None, s) for s in steps)].astype(np.float32)
    if is_ct(values, modality):
        threshold = BODY_HU
    else:
        padding = padding_of(values)
        if padding is not None:
            coarse = np.maximum(coarse, padding.background)
        threshold = object_threshold(coarse)
    mask = largest_components(ndimage.binary_opening(coarse > threshold))
    if not mask.any():
        return np.ones(volume.shape, dtype=bool)
    mask = np.any([_fill_holes_in_planes(mask, axis) for axis in range(3)], axis=0)
    distance = ndimage.distance_transform_edt(~mask, sampling=volume.spacing_mm * steps)
    mask = distance <= margin_mm
    for axis, (step, n) in enumerate(zip(steps, volume.shape, strict=True)):
        mask = np.take(mask, np.minimum((np.arange(n) + step // 2) // step, mask.shape[axis] - 1), axis=axis)
    return mask


def _fill_holes_in_planes(mask: np.ndarray, axis: int) -> np.ndarray:
    """The mask with the holes that it has in each plane across this axis filled."""
    from scipy.ndimage import binary_fill_holes

    planes = [binary_fill_holes(plane) for plane in np.moveaxis(mask, axis, 0)]
    return np.moveaxis(np.stack(planes), 0, axis)


def reorient_scope(scope: Scope, affine: np.ndarray, codes: str) -> Scope:
    """The scope of a volume with this affine, for the volume reoriented to `codes`."""
    def reorient(mask: np.ndarray | None) -> np.ndarray | None:
        return None if mask is None else Volume(mask[None].view(np.uint8), affine).reorient(codes).data[0].view(bool)
    return Scope(reorient(scope.needed), reorient(scope.box))


def apply_scope(image: Image, scope: Scope, affine: np.ndarray) -> tuple[Image, bool]:
    """The image cropped to the scope's box, and whether a last channel marks where patches are needed (1, else 0).

    Args:
        affine: of the volume whose voxels the scope names.
    """
    if scope.box is not None:
        present = _on_image(scope.box, affine, image)
        ends = [torch.nonzero(present.any(dim=[a for a in range(3) if a != axis])) for axis in range(3)]
        image = crop(image, [(int(e.min()), int(e.max()) + 1) for e in ends])
    if scope.needed is None:
        return image, False
    needed = _on_image(scope.needed, affine, image).to(image.data)
    return replace(image, data=torch.cat((image.data, needed[None]))), True


def _on_image(mask: np.ndarray, affine: np.ndarray, image: Image) -> torch.Tensor:
    """Voxels of the image that a score at a voxel of the mask may be interpolated from, (x, y, z) bool."""
    order, coordinates = axis_coordinates(affine, image.affine, mask.shape)
    found = to_tensor(np.transpose(mask, order), image.data.device)
    for axis, (place, size) in enumerate(zip(coordinates, image.data.shape[1:], strict=True)):
        used = np.abs(np.clip(place, 0, size - 1)[None] - np.arange(size)[:, None]) < 1
        used &= (place >= -0.5 - 1e-6) & (place <= size - 0.5 + 1e-6)
        found = (apply_along(to_tensor(used, found.device), found, axis) > 0).to(found)
    return found > 0


class OnlyWhereNeeded:
    """A network that runs on the patches whose last channel is somewhere 1; for others its output is zero.

    Args:
        network: takes the other channels.
        channels: of its scores.
    """

    def __init__(self, network: torch.nn.Module, channels: int):
        self._network, self._channels = network, channels
        self.one_image = getattr(network, "one_image", False)
        if hasattr(network, "features"):
            self.head = network.head
            self.features = lambda image: _where_needed(network.features, network.head.in_channels, image)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Scores (B, channels, ...) of windows (B, C + 1, ...)."""
        return _where_needed(self._network, self._channels, image)


def _where_needed(network: Callable[[torch.Tensor], torch.Tensor], channels: int, image: torch.Tensor) -> torch.Tensor:
    needed = image[:, -1].flatten(1).any(dim=1)
    if bool(needed.all()):
        return network(image[:, :-1])
    scores = image.new_zeros(len(image), channels, *image.shape[2:])
    if bool(needed.any()):
        scores[needed] = network(image[needed, :-1]).to(scores.dtype)
    return scores

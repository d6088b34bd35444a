"""Boxes, sizes and values of integer label maps, each in one pass over the voxels, however many labels there are."""

from collections.abc import Iterable, Sequence

import numpy as np

from meddl.core.errors import InputError
from meddl.spatial.grid import three
from meddl.spatial.volume import Volume

_MOST_LABELS = 1000  # of a map that is taken for one of labels
_IN_PATCHES = 0.6    # of its voxels equal their neighbor


def check_labels(labels: np.ndarray, name: str = "label map") -> np.ndarray:
    """The label map as a 3D array of whole numbers from 0 to 65535.

    Raises:
        InputError: not three axes, empty, not whole numbers, negative or too large.
    """
    array = np.asarray(labels)
    if array.ndim != 3 or array.size == 0:
        raise InputError(f"A {name} has three axes (i, j, k) of at least one voxel; this one has shape {array.shape}.")
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "ui":
        raise InputError(f"A {name} holds whole numbers; this one has type {array.dtype}.")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        raise InputError(f"The values of a {name} lie between 0 and 65535; these lie between {low} and {high}.")
    return array if array.dtype in (np.uint8, np.uint16) else array.astype(np.uint16)


def set_voxels(mask: Volume) -> np.ndarray:
    """Which voxels of a mask or label map count, (C, I, J, K) bool: those that are nonzero; NaN is not set."""
    return mask.data != 0 if mask.data.dtype.kind != "f" else (mask.data != 0) & ~np.isnan(mask.data)


def check_mask(mask: Volume, name: str = "mask") -> np.ndarray:
    """The voxels of a mask that count, (1, I, J, K) bool.

    Raises:
        InputError: no volume, several channels, or an empty mask; `name` is what the error calls it.
    """
    if not isinstance(mask, Volume):
        raise InputError(f"The {name} is a meddl.Volume; got {type(mask).__name__}.")
    if mask.channels != 1:
        raise InputError(f"The {name} has {mask.channels} channels; a mask has one. Choose one of them.")
    inside = set_voxels(mask)
    if not inside.any():
        raise InputError(f"The {name} is empty: no voxel of it is nonzero. Draw the region that counts, or leave the "
                         "mask out.")
    return inside


def looks_like_labels(data: np.ndarray) -> bool:
    """Whether an array (..., I, J, K) seems to hold labels: few whole numbers, each in patches of many voxels.

    At most 1000 values from 0 to 65535, more than one of them, and 60 % of the voxels above 0 equal the next one along
    each axis.
    """
    array = np.asarray(data)
    if array.dtype.kind == "b":
        return True
    if array.dtype.kind not in "uif" or array.size == 0:
        return False
    low, high = float(array.min()), float(array.max())
    if not 0 <= low < high <= 65535 or array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        return False
    values = array.astype(np.uint16, copy=False)
    if np.count_nonzero(np.bincount(values.ravel(order="K"))) > _MOST_LABELS:
        return False
    for axis in (-3, -2, -1):
        along = np.moveaxis(values, axis, 0)
        lit = np.count_nonzero(along[:-1])
        if np.count_nonzero((along[:-1] == along[1:]) & (along[1:] > 0)) < _IN_PATCHES * lit:
            return False
    return True


def fitting_interpolation(data: np.ndarray, chosen: str | None, name: str) -> tuple[str, list[str]]:
    """The interpolation by which an array (..., I, J, K) is resampled, and warnings of it.

    Args:
        chosen: what the user chose; None: linear, nearest neighbor for what looks like labels.
        name: of the volume, at the beginning of a sentence.
    """
    if chosen:
        return chosen, []
    if not looks_like_labels(data):
        return "linear", []
    return "nearest", [f"{name} seems to be a label map and was resampled by nearest neighbor, so that labels are not "
                       "blended. Choose linear interpolation for an image."]


def blending_warnings(data: np.ndarray) -> list[str]:
    """A warning where a verb is going to mix neighboring values of what looks like a label map."""
    if not looks_like_labels(data):
        return []
    return ["The volume seems to be a label map: between two labels arise values that name other structures, or none. "
            "Resample labels by nearest neighbor instead."]


def present_values(labels: np.ndarray) -> np.ndarray:
    """The values above 0 that occur in an (I, J, K) label map, ascending."""
    labels = check_labels(labels)
    counts = np.bincount(labels.ravel(order="K"), minlength=1)
    return np.flatnonzero(counts[1:]) + 1


def label_boxes(labels: np.ndarray, values: Iterable[int]) -> dict[int, tuple[slice, slice, slice] | None]:
    """The smallest box around each label.

    Args:
        labels: (I, J, K) whole numbers from 0 to 65535.
        values: the label values to look for.

    Returns:
        `{value: (slice along i, along j, along k)}`, None for a value that does not occur.
    """
    labels = check_labels(labels)
    wanted = [int(value) for value in values]
    table = np.zeros(65536 if labels.dtype != np.uint8 else 256, dtype=np.intp)
    for place, value in enumerate(wanted, start=1):
        if 0 <= value < len(table):
            table[value] = place
    occupied = [np.zeros((size, len(wanted) + 1), dtype=bool) for size in labels.shape]
    for i, plane in enumerate(labels):
        present = table[plane]
        j, k = np.nonzero(present)
        codes = present[j, k]
        occupied[0][i, codes] = occupied[1][j, codes] = occupied[2][k, codes] = True
    boxes: dict[int, tuple[slice, slice, slice] | None] = {}
    for place, value in enumerate(wanted, start=1):
        hits = [np.flatnonzero(along[:, place]) for along in occupied]
        boxes[value] = three(slice(int(h[0]), int(h[-1]) + 1) for h in hits) if len(hits[0]) else None
    return boxes


def structure_volumes_ml(labels: np.ndarray, values: Sequence[int], voxel_volume_ml: float) -> np.ndarray:
    """Volume of each structure in ml, shape (L,), in the order of `values`.

    Args:
        labels: (I, J, K) whole numbers from 0 to 65535.
        voxel_volume_ml: `Grid.voxel_volume_ml`, right also for sheared grids.
    """
    counts = np.bincount(check_labels(labels).ravel(order="K"), minlength=65536)
    return counts[np.asarray(values, dtype=np.intp)] * float(voxel_volume_ml)


def largest_components(mask: np.ndarray, count: int = 1, neighbors: int = 1) -> np.ndarray:
    """The largest connected components of a mask (I, J, K) bool; of equally large ones the first in the array.

    Args:
        count: how many components to keep.
        neighbors: 1: voxels that share a face are connected, 2: or an edge, 3: or a corner.
    """
    from scipy import ndimage

    parts, number = ndimage.label(mask, ndimage.generate_binary_structure(mask.ndim, neighbors))
    if number <= count:
        return mask
    sizes = np.bincount(parts.ravel())[1:]
    kept = np.zeros(number + 1, dtype=bool)
    kept[1 + np.argsort(-sizes, kind="stable")[:count]] = True
    return kept[parts]

"""Labels on a volume's own voxels from scores on the networks' grid, whose axes are the volume's, in some order.

The result is that of interpolating every class's scores and taking the best, at a fraction of its cost: see
`exact_labels`. Scores come in pieces along the first axis, and labels are written once, as soon as they are known.
"""

from collections.abc import Iterable

import numpy as np
import torch

from meddl.core.errors import GeometryError
from meddl.models.recipes import Output
from meddl.segmentation.brain.exact_labels import labels_between

_ROWS = 8  # of the networks' grid at once
_SCORES_ON_GPU = 1 << 27  # on a GPU more rows at once: so many scores, as each part waits for it


def labels_of_rows(pieces: Iterable[torch.Tensor], coordinates: list[np.ndarray], shape, output: Output,
                   nearest_axis: int | None = None) -> np.ndarray:
    """Label values (n, m, l), one for each of `coordinates`, uint8 or uint16; 0 outside of the scores.

    Args:
        pieces: scores (C, rows, y, z), which follow one another along the first axis.
        coordinates: for each axis the continuous index into the scores of each voxel.
        shape: voxels (x, y, z) of the scores.
        nearest_axis: along this axis the nearest scores are taken, not interpolated ones.
    """
    dtype = np.uint8 if max(output.values) < 256 else np.uint16
    labels = np.zeros([len(p) for p in coordinates], dtype=dtype)
    values = torch.tensor(output.values, dtype=torch.int32)
    axes = [_Axis(p, n, a == nearest_axis or output.interpolation == "nearest")
            for a, (p, n) in enumerate(zip(coordinates, shape, strict=True))]
    held, first, rows = None, 0, _ROWS
    for piece in pieces:
        piece = piece.movedim(0, -1)  # the channels of a voxel side by side, as `labels_between` wants them
        if piece.device.type == "mps":
            piece = piece.cpu()
        elif piece.device.type != "cpu":
            rows = max(_ROWS, _SCORES_ON_GPU // max(1, piece[0].numel()))
        held = piece if held is None else torch.cat((held, piece))
        known = first + len(held)
        if known < shape[0] and rows > _ROWS and len(held) <= rows:
            continue
        while known - first > (1 if known < shape[0] else 0):
            stop = min(first + rows, known if known == shape[0] else known - 1)
            part = held[:stop - first + (1 if stop < shape[0] else 0)]
            _write(labels, part.movedim(-1, 0), axes, first, stop, output, values, last=stop == shape[0])
            held, first = held[stop - first:], stop
    return labels


class _Axis:
    """For each voxel along one axis: the scores' index below it, how far on it is towards the next, and if inside."""

    def __init__(self, coordinates: np.ndarray, size: int, nearest: bool):
        self.inside = (coordinates >= -0.5 - 1e-6) & (coordinates <= size - 0.5 + 1e-6)
        held = np.clip(np.floor(coordinates + 0.5) if nearest else coordinates, 0, size - 1)
        self.low = np.minimum(np.floor(held), max(size - 2, 0)).astype(np.int64)
        self.weight = (held - self.low).astype(np.float32)


def _write(labels, part, axes, first, stop, output, values, last) -> None:
    """Labels of the voxels whose lower scores are rows `first` to `stop` of all; `part` begins at row `first`."""
    upper = stop if not last else np.inf
    rows = np.flatnonzero((axes[0].low >= first) & (axes[0].low < upper) & axes[0].inside)
    if not len(rows):
        return
    chosen = [rows, *(np.flatnonzero(axis.inside) for axis in axes[1:])]
    if any(not len(c) for c in chosen[1:]):
        return
    low = [torch.from_numpy(axis.low[c]) for axis, c in zip(axes, chosen, strict=True)]
    low[0] = low[0] - first
    weight = [torch.from_numpy(axis.weight[c]) for axis, c in zip(axes, chosen, strict=True)]
    rounding = part.dtype if part.dtype != torch.float32 else None
    box = tuple(slice(int(c[0]), int(c[-1]) + 1) for c in chosen)
    if output.kind == "classes":
        found = values[labels_between(part, low, weight, rounding).long()].numpy()
    else:
        found = np.zeros([len(c) for c in chosen], dtype=np.int32)
        for channel, value in zip(part, output.values, strict=True):
            present = labels_between(torch.stack((torch.zeros_like(channel), channel)), low, weight, rounding)
            found[present.numpy() > 0] = value
    labels[box] = found


def axis_coordinates(affine: np.ndarray, image_affine: np.ndarray,
                     shape) -> tuple[tuple[int, int, int], list[np.ndarray]]:
    """Where the voxels of a volume lie among those of an image made from it without turning.

    Args:
        affine, shape: of the volume.
        image_affine: of the image.

    Returns:
        (order, places): along the image's axis a run the volume's axis order[a], whose voxels have the
        continuous indices places[a].

    Raises:
        GeometryError: the axes are not parallel.
    """
    matrix = np.linalg.inv(image_affine) @ affine
    linear = np.abs(matrix[:3, :3])
    order = tuple(int(a) for a in linear.argmax(axis=1))
    rest = linear.copy()
    rest[range(3), order] = 0
    if sorted(order) != [0, 1, 2] or rest.max() > 1e-6 * linear.max():
        raise GeometryError("The image for the network is turned against the volume; labels cannot be brought back.")
    return order, [matrix[a, 3] + matrix[a, o] * np.arange(shape[o]) for a, o in enumerate(order)]

"""Live preview: labels of the finished patches, shown while the others are still computed.

A preview is {"kind": "labels", "labels": Volume (1, i, j, k) on every n-th voxel of the networks' image, "colors": red,
green, blue, 0 to 255, by label value}; see `meddl.core.progress.preview`.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch

from meddl.core.progress import ProgressCallback, listener_of, preview
from meddl.models.cards import ModelCard
from meddl.models.recipes import Output
from meddl.spatial.volume import Volume

_LARGEST = 128  # voxels of a preview along an axis
_PAUSE_S = 0.3


def with_preview(pieces: Iterator[torch.Tensor], card: ModelCard, output: Output, shape, affine: np.ndarray,
            on_progress: ProgressCallback | None) -> Iterator[torch.Tensor]:
    """Yield the pieces one after the other, with a preview of each where one is requested.

    Args:
        pieces: scores (channels, rows, y, z) that follow one another along the first axis of the networks' image.
        output: what the channels mean.
        shape: (x, y, z) of that image; affine: its 4x4, voxel index to RAS mm.
    """
    if listener_of(on_progress) is None:
        yield from pieces
        return
    step = max(1, -(-max(shape) // _LARGEST))
    sizes = [-(-n // step) for n in shape]
    dtype = np.uint8 if max(output.values) < 256 else np.uint16
    found, row, last = None, 0, 0.0
    for piece in pieces:
        first = -row % step
        thin = piece[:, first::step, ::step, ::step]
        if found is None:  # on the device: it is not waited for before a preview is shown
            found = torch.zeros(sizes, dtype=torch.int32, device=piece.device)
        if thin.shape[1]:
            begin = (row + first) // step
            found[begin:begin + thin.shape[1]] = _best_labels(thin, output)
        row += piece.shape[1]
        if time.monotonic() - last > _PAUSE_S or row >= shape[0]:
            last = time.monotonic()
            show(card, found.cpu().numpy().astype(dtype), affine @ np.diag([step, step, step, 1.0]), on_progress)
        yield piece


def show(card: ModelCard, labels: np.ndarray, affine: np.ndarray, on_progress: ProgressCallback | None) -> None:
    """Show label values (i, j, k)."""
    preview(on_progress, lambda: {"kind": "labels", "labels": Volume.scalar(labels, affine),
                                  "colors": {label.value: tuple(label.color) for label in card.labels}})


def show_classes(card: ModelCard, scores: torch.Tensor, values, affine: np.ndarray,
                 on_progress: ProgressCallback | None) -> None:
    """Show the label values of the largest scores (channels, i, j, k), where a preview is requested."""
    if listener_of(on_progress) is not None:
        show(card, labels_of(scores, Output("classes", tuple(values))), affine, on_progress)


def labels_of(scores: torch.Tensor, output: Output) -> np.ndarray:
    """Label values of scores (channels, ...), without interpolation."""
    return _best_labels(scores, output).cpu().numpy()


def _best_labels(scores: torch.Tensor, output: Output) -> torch.Tensor:
    values = torch.tensor(output.values, device=scores.device)
    if output.kind == "classes":
        return values[scores.argmax(dim=0)]
    labels = torch.zeros(scores.shape[1:], dtype=values.dtype, device=scores.device)
    for channel, value in zip(output.order or range(len(values)), values, strict=True):
        region = scores[channel].sigmoid() if output.activation == "sigmoid" else scores[channel]
        labels.masked_fill_(region > output.threshold, value)
    return labels

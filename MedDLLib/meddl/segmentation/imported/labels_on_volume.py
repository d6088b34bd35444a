"""From scores on the networks' grid to labels on the volume's, as a recipe says."""

from collections.abc import Iterable

import numpy as np
import torch

from meddl.models.recipes import Output, Recipe
from meddl.segmentation.imported.score_labels import axis_coordinates, labels_of_rows
from meddl.segmentation.imported.steps.grid_steps import outside_frames
from meddl.segmentation.imported.steps.label_steps import run_label_steps
from meddl.segmentation.imported.steps.preprocessing import Image


def labels_on_volume(pieces: Iterable[torch.Tensor], image: Image, affine: np.ndarray, shape,
                     recipe: Recipe) -> np.ndarray:
    """Label values on the volume's voxels, (I, J, K) uint8 or uint16; 0 where the image does not reach.

    Args:
        pieces: scores (C, rows, y, z), which follow one another along the image's first axis.
        image: what the networks saw.
        affine, shape: of the volume.

    Raises:
        GeometryError: the image's axes are not the volume's.
        ModelError: a clean-up that this version does not know.
    """
    output, size = recipe.output, image.data.shape[1:]
    on_network = bool(recipe.cleanup) and recipe.cleanup_grid == "network"
    order, coordinates = _coordinates(image, affine, shape, on_network or output.interpolation == "nearest")
    ready = (activate(piece, output) for piece in pieces)
    if on_network:
        labels = labels_of_rows(ready, [np.arange(n) for n in size], size, output)
        labels = _nearest(run_label_steps(labels, recipe.cleanup), coordinates)
        return labels.transpose(np.argsort(order))
    thick = image.thick_axis if output.nearest_axis == "auto" else None
    labels = labels_of_rows(ready, coordinates, size, output, thick).transpose(np.argsort(order))
    return run_label_steps(labels, recipe.cleanup)


def _coordinates(image: Image, affine: np.ndarray, shape,
                 nearest: bool) -> tuple[tuple[int, int, int], list[np.ndarray]]:
    """As `axis_coordinates`; voxels that the image does not reach lie far away, and none in its margins."""
    order, coordinates = axis_coordinates(affine, image.affine, shape)
    if nearest and image.sampling is not None:
        coordinates = _round_alike(coordinates, order, image, affine, shape)
    for inner_affine, inner_shape in image.unpadded:
        _, inner = axis_coordinates(inner_affine, image.affine, inner_shape)
        coordinates = [np.clip(own, along.min(), along.max()) for own, along in zip(coordinates, inner, strict=True)]
    for frame_affine, frame_shape in image.frames:
        frame_order, frame_coordinates = axis_coordinates(affine, frame_affine, shape)
        turn = [frame_order.index(axis) for axis in order]
        coordinates = outside_frames(coordinates, [frame_coordinates[a] for a in turn], [frame_shape[a] for a in turn])
    return order, coordinates


def _round_alike(coordinates: list[np.ndarray], order, image: Image, affine: np.ndarray, shape) -> list[np.ndarray]:
    """The nearest voxels' indices as the change of the grid finds them on the way back, for voxels that it saw."""
    before_affine, before_shape = image.sampling.before
    before_order, before = axis_coordinates(affine, before_affine, shape)
    if before_order != order:
        return coordinates
    _, first = axis_coordinates(image.sampling.after[0], image.affine, (1, 1, 1))
    found = []
    for axis, (place, index) in enumerate(zip(coordinates, before, strict=True)):
        nearest = np.rint(image.sampling.backward_coordinates(axis).numpy()) + np.rint(first[axis][0])
        inside = (index > -0.5) & (index < before_shape[axis] - 0.5)
        seen = np.clip(np.rint(index), 0, before_shape[axis] - 1).astype(int)
        found.append(np.where(inside, nearest[seen], place))
    return found


def activate(scores: torch.Tensor, output: Output) -> torch.Tensor:
    """Scores (C, ...) as they are to be interpolated and compared: the best class, or regions above zero."""
    if output.activation == "softmax":
        scores = scores.softmax(dim=0)
    elif output.activation == "sigmoid":
        scores = scores.sigmoid()
    scores = scores[list(output.order)] if output.order else scores
    return scores - output.threshold if output.threshold else scores


def _nearest(labels: np.ndarray, coordinates: list[np.ndarray]) -> np.ndarray:
    """The labels at the nearest voxels, (len(coordinates[0]), ...); 0 outside."""
    found = labels[np.ix_(*(np.clip(np.floor(p + 0.5), 0, n - 1).astype(int)
                            for p, n in zip(coordinates, labels.shape, strict=True)))]
    for axis, (place, n) in enumerate(zip(coordinates, labels.shape, strict=True)):
        outside = (place < -0.5 - 1e-6) | (place > n - 0.5 + 1e-6)
        found[(slice(None),) * axis + (outside,)] = 0
    return found

"""Label maps on a fine grid from class scores on a coarse one: exact linear interpolation at a fraction of its cost.

Where the eight corners of a cell have the same best class, linear interpolation has it too: only cells whose corners
disagree are interpolated.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback, UnevenProgress
from meddl.segmentation.atlas.likelihood import IntensityModel
from meddl.spatial.grid import Grid

_CHUNK, _CHUNK_ON_GPU = 1 << 14, 1 << 19  # voxels interpolated at once: some 200 bytes each


def labels_on_grid(scores: torch.Tensor, source: Grid, target: Grid,
                   model: IntensityModel | None = None, on_progress: ProgressCallback | None = None) -> torch.Tensor:
    """Index of the best class at each voxel of `target`, (I, J, K) uint8 on the CPU; 0 outside `source`.

    Args:
        scores: (C, i, j, k) on `source`, at most 256 classes.
        source, target: the grids; the target's edge voxels lie at most half a coarse voxel outside, else 0.
        model: likelihoods that decide where corners disagree, with an image on `target`; None: the scores
            alone. Corners with one best class by the scores and one by the model's prior keep the former.
        on_progress: may raise Cancelled.
    """
    progress = UnevenProgress(on_progress, "Writing labels on the volume's grid", 0.1)
    best = best_class(scores).to(torch.uint8)
    same = _uniform_cells(best)
    progress.again()
    if model is not None:
        same &= _uniform_cells(best_class(model.prior))
        progress.again()
        scores = model.channels()
        progress.again()
    table = scores.permute(1, 2, 3, 0).reshape(-1, scores.shape[0]).contiguous()
    if table.device.type == "cpu":
        table = table.float()
    out = torch.zeros(target.shape, dtype=torch.uint8, device=scores.device)
    box = _overlap(source, target)
    if box is None:
        return out.cpu()
    matrix = np.linalg.inv(source.affine) @ target.affine
    dtype = torch.float32 if scores.device.type == "mps" else torch.float64
    slab = max(1, (1 << 21) // ((box[1][1] - box[1][0]) * (box[2][1] - box[2][0])))
    first, end = box[0]
    for start in range(first, end, slab):
        progress.at(0.1 + 0.9 * (start - first) / (end - first))
        stop = min(start + slab, end)
        axes = [torch.arange(a, b, device=scores.device, dtype=dtype) for a, b in ((start, stop), *box[1:])]
        rescore = None
        if model is not None:
            rescore = partial(_rescore, model, model.image[start:stop, slice(*box[1]), slice(*box[2])].reshape(-1))
        labels = _labels_of_slab(best, same, table, matrix, axes, rescore)
        out[start:stop, slice(*box[1]), slice(*box[2])] = labels
    return out.cpu()


def _rescore(model: IntensityModel, intensities: torch.Tensor, rows: torch.Tensor, chunk: torch.Tensor) -> torch.Tensor:
    return model.scores(rows, intensities[chunk])


def _labels_of_slab(best, same, table, matrix, axes, rescore) -> torch.Tensor:
    """Labels at the voxels with these indices along each axis, mapped by `matrix` to coarse indices."""
    size = best.shape
    low, weight, inside = [], [], None
    for row in range(3):
        place = axes[0].new_full((1, 1, 1), float(matrix[row, 3]))
        for column, along in enumerate(axes):
            if abs(matrix[row, column]) > 1e-9:
                place = place + (float(matrix[row, column]) * along).reshape([-1 if a == column else 1
                                                                              for a in range(3)])
        valid = (place >= -0.5) & (place <= size[row] - 0.5)
        inside = valid if inside is None else inside & valid
        place = place.clamp(0, size[row] - 1)
        low.append(place.floor().clamp_max(max(size[row] - 2, 0)))
        weight.append((place - low[-1]).float())
    return _labels_at(best, same, table, [cell.long() for cell in low], weight, inside, rescore)


def labels_between(scores: torch.Tensor, low, weight, rounding: torch.dtype | None = None) -> torch.Tensor:
    """Index of the best class between the voxels of `scores`, (I, J, K) uint8 or int32 on the CPU.

    Args:
        scores: (C, i, j, k).
        low, weight: for each axis the lower voxel (int64) and the weight of the next one, (I,), (J,) and (K,).
        rounding: the type that interpolated scores are rounded to before they are compared; None: not rounded.
    """
    table = scores.permute(1, 2, 3, 0).reshape(-1, scores.shape[0]).contiguous()
    best = best_class(table, dim=1).reshape(scores.shape[1:])
    best = best.to(torch.uint8 if scores.shape[0] <= 256 else torch.int32)
    table = table.float()
    shapes = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
    low = [cell.to(scores.device).reshape(shape) for cell, shape in zip(low, shapes, strict=True)]
    weight = [part.to(scores.device).reshape(shape) for part, shape in zip(weight, shapes, strict=True)]
    inside = torch.ones((), dtype=torch.bool, device=scores.device)
    rescore = None if rounding is None else lambda rows, chunk: rows.to(rounding)
    return _labels_at(best, _uniform_cells(best), table, low, weight, inside, rescore).cpu()


def best_class(scores: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """Index of the largest score along `dim`, int64; of several the first. Many times faster than torch's argmax."""
    return scores.max(dim=dim).indices


def _labels_at(best, same, table, low, weight, inside, rescore=None) -> torch.Tensor:
    """Best classes in the cells `low`, at `weight` between their corners; all three broadcast to one shape.

    `rescore` makes scores (N, C) of interpolated rows of the table and the places of these among all; None: they are.
    """
    size = best.shape
    index = (low[0] * size[1] + low[1]) * size[2] + low[2]
    labels = best.reshape(-1)[index] * inside
    mixed = torch.nonzero((~same.reshape(-1)[index] & inside).reshape(-1))[:, 0]
    shape = labels.shape
    flat_index, flat_labels = index.reshape(-1), labels.reshape(-1)
    weights = [w.expand(shape).reshape(-1) for w in weight]
    steps = [0 if size[a] == 1 else (size[1] * size[2], size[2], 1)[a] for a in range(3)]
    corners = torch.tensor([a * steps[0] + b * steps[1] + c * steps[2]
                            for a in (0, 1) for b in (0, 1) for c in (0, 1)], device=table.device)
    for chunk in mixed.split(_CHUNK if table.device.type == "cpu" else _CHUNK_ON_GPU):
        parts = [torch.stack((1 - w[chunk], w[chunk]), dim=1) for w in weights]
        corner_weights = torch.einsum("na,nb,nc->nabc", *parts).reshape(-1, 8)
        indices = flat_index[chunk][:, None] + corners
        scores = _weighted_rows(table, indices, corner_weights)
        scores = scores if rescore is None else rescore(scores, chunk)
        flat_labels[chunk] = best_class(scores, dim=1).to(flat_labels.dtype)
    return flat_labels.reshape(shape)


def _weighted_rows(table: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sum of rows of `table` (V, C) at `indices` (N, 8) with `weights` (N, 8): (N, C)."""
    return F.embedding_bag(indices, table, mode="sum", per_sample_weights=weights.to(table.dtype))


def _uniform_cells(best: torch.Tensor) -> torch.Tensor:
    """Whether the eight corners of the cell that begins at a voxel share their best class, same shape as `best`."""
    same = torch.ones(best.shape, dtype=torch.bool, device=best.device)
    for corner in range(1, 8):
        shift = [(corner >> axis) & 1 for axis in range(3)]
        to = tuple(slice(0, n - s) for n, s in zip(best.shape, shift, strict=True))
        of = tuple(slice(s, n) for n, s in zip(best.shape, shift, strict=True))
        same[to] &= best[of] == best[to]
    return same


def _overlap(source: Grid, target: Grid) -> list[tuple[int, int]] | None:
    """Index range of the target's box that can touch the source, by axis; None where they do not meet."""
    corners = np.stack(np.meshgrid(*[[-0.5, n - 0.5] for n in source.shape], indexing="ij"), -1).reshape(-1, 3)
    indices = target.indices(source.points_mm(corners))
    low = np.maximum(np.floor(indices.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(indices.max(axis=0)).astype(int) + 1, target.shape)
    return None if (low >= high).any() else [(int(a), int(b)) for a, b in zip(low, high, strict=True)]

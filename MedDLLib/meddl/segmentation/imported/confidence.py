"""How sure a model is of its labels: the mean probability of each structure over the voxels that it is found in."""

from collections.abc import Iterator

import torch

from meddl.models.recipes import Output

_MOST_CHANNELS = 32  # with more, the softmax of each voxel would take a good part of a run


def with_confidence(pieces: Iterator[torch.Tensor], output: Output, confidence: dict[int, float]
                    ) -> Iterator[torch.Tensor]:
    """Yield the pieces, and put the mean probability of each label value into `confidence` after the last one.

    Of classes the softmax, of regions the sigmoid counts, on the networks' voxels and before any clean-up. Nothing is
    measured where the model has many channels.

    Args:
        pieces: scores (channels, rows, y, z), as the networks give them.
        output: what the channels mean.
    """
    if len(output.values) > _MOST_CHANNELS:
        yield from pieces
        return
    sums, counts = (torch.zeros(len(output.values), dtype=torch.float64) for _ in range(2))
    for piece in pieces:
        sums, counts = sums.to(piece.device), counts.to(piece.device)
        if output.kind == "classes":
            probability, best = piece.float().softmax(dim=0).max(dim=0)
            flat = best.flatten()
            sums.index_add_(0, flat, probability.flatten().double())
            counts.index_add_(0, flat, torch.ones_like(flat, dtype=torch.float64))  # bincount waits for a GPU
        else:
            scores = piece[list(output.order)] if output.order else piece
            probability = scores.float().sigmoid().flatten(1)
            inside = probability > 0.5
            sums += (probability * inside).sum(dim=1, dtype=torch.float64)
            counts += inside.sum(dim=1)
        yield piece
    confidence.update({value: total / count for value, (total, count) in
                       zip(output.values, torch.stack((sums, counts), dim=1).tolist(), strict=True) if value and count})

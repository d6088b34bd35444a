"""From the scores of a network to places: the probability that it gives each voxel, and its peak.

The scores of a channel are logits of the voxel in which a landmark lies, with a further one, 0, of its being nowhere in
the image; their softmax is a Gaussian about the landmark (spatial softmax: A. Nibali et al., arXiv:1801.07372, 2018).
The scores come row by row, so that those of a large volume are never held at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Peak:
    """The likeliest place of a landmark.

    Attributes:
        index: (3,) continuous voxel index: the mean of the probability around its highest voxel.
        confidence: the probability that the landmark lies around that voxel, 0 to 1.
        values: (channels,) of what the further channels say there.
    """

    index: torch.Tensor
    confidence: float
    values: torch.Tensor


def read_peaks(pieces: Iterable[torch.Tensor], rows: int, count: int, radius: int) -> list[Peak]:
    """The peak of each of the first `count` channels.

    Args:
        pieces: scores (channels, n, y, z) that follow one another along the first axis, on the CPU.
        rows: of all pieces together.
        radius: voxels about the highest one, along each axis, that count.
    """
    total = torch.zeros(count, dtype=torch.float64)  # logarithm of the summed probability; nowhere counts as 1
    best: list[tuple[float, torch.Tensor, torch.Tensor] | None] = [None] * count
    held, first = None, 0
    for piece in pieces:
        total = torch.logaddexp(total, piece[:count].double().flatten(1).logsumexp(1))
        kept = None if held is None else held[:, -2 * radius:]
        first += 0 if held is None or kept is None else held.shape[1] - kept.shape[1]
        held = piece.clone() if kept is None else torch.cat([kept, piece], dim=1)
        end = held.shape[1] if first + held.shape[1] == rows else held.shape[1] - radius
        begin = 0 if first == 0 else min(radius, end)
        for channel in range(count if end > begin else 0):
            seen = held[channel, begin:end]
            value, earlier = float(seen.max()), best[channel]
            if earlier is None or value > earlier[0]:
                place = torch.tensor(divmod(int(seen.argmax()), seen[0].numel()))
                place = torch.tensor([begin + int(place[0]), *divmod(int(place[1]), seen.shape[2])])
                box = tuple(slice(max(0, int(p) - radius), int(p) + radius + 1) for p in place)
                start = torch.tensor([first + box[0].start, box[1].start, box[2].start])
                best[channel] = value, start, held[(slice(None), *box)].double().clone()
    return [_peak(channel, count, *found[1:], float(total[channel])) for channel, found in enumerate(best) if found]


def _peak(channel: int, count: int, start: torch.Tensor, scores: torch.Tensor, total: float) -> Peak:
    """The mean place in a neighborhood (channels, x, y, z) of a peak that begins at the voxel `start`."""
    chances = (scores[channel] - total).exp()
    mass = float(chances.sum())
    weights = scores[channel].flatten().softmax(0).view_as(chances)
    along = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in weights.shape), indexing="ij")
    index = torch.stack([(weights * one).sum() for one in along]) + start
    return Peak(index, min(mass, 1.0), (scores[count:] * weights).sum(dim=(1, 2, 3)))

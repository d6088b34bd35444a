"""A 3D network over a volume of any size, block by block: bounded memory, and a cancel at any time."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from meddl.core.progress import ProgressCallback, report
from meddl.networks.inference import between_layers
from meddl.spatial.resample import to_tensor

_ALIGNED = 4  # blocks start at multiples of it: networks that work on groups of voxels then group them alike


class Blocking(NamedTuple):
    """How a volume is cut for a network.

    Attributes:
        scale: voxels of the result along an axis for one of the volume.
        reach: voxels around a voxel that the result depends on.
        largest: voxels of a block along an axis, beside the reach.
    """

    scale: int
    reach: int
    largest: int


@torch.inference_mode()
def over_blocks(predict: Callable[[torch.Tensor, tuple[slice, ...]], torch.Tensor], networks: list[nn.Module],
                data: np.ndarray, blocking: Blocking, device: torch.device, message: str,
                on_progress: ProgressCallback | None = None) -> np.ndarray:
    """(I, J, K) float32 to (scale I, scale J, scale K) float32, as if the network had seen the volume whole.

    Args:
        predict: `predict(part (1, 1, i, j, k), where)` gives (1, 1, scale i, scale j, scale k); `where` are the part's
            slices in the volume.
        networks: the networks that it runs: between their layers a cancel is answered.

    Raises:
        Cancelled: from `on_progress`.
    """
    scale = blocking.scale
    # On a GPU the whole volume lies there, so that no block waits for another to be fetched.
    whole = to_tensor(data, device)
    out = torch.empty([scale * n for n in data.shape], device=device)
    blocks = list(cut_blocks(data.shape, blocking))
    done = layer = 0

    def alive(*_) -> None:
        nonlocal layer
        report(on_progress, (done + min(layer / layers, 1.0)) / len(blocks), message)
        layer += 1

    with between_layers(networks, alive) as layers:
        for number, (seen, core) in enumerate(blocks):
            done, layer = number, 0
            made = predict(whole[seen][None, None], seen)[0, 0]
            kept = tuple(slice(scale * (c.start - s.start), scale * (c.stop - s.start))
                         for s, c in zip(seen, core, strict=True))
            out[tuple(slice(scale * c.start, scale * c.stop) for c in core)] = made[kept]
    report(on_progress, 1.0, message)
    return out.cpu().numpy()


def cut_blocks(shape, blocking: Blocking) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Pairs of what is seen and what is kept of it; the kept parts cover the volume once."""
    margin, largest, along = -(-blocking.reach // _ALIGNED) * _ALIGNED, blocking.largest, []
    for size in shape:
        count = -(-size // largest)
        step = -(-size // (count * _ALIGNED)) * _ALIGNED
        along.append([(slice(max(0, start - margin), min(size, start + step + margin)),
                       slice(start, min(size, start + step))) for start in range(0, size, step)])
    for places in product(*along):
        yield tuple(seen for seen, _ in places), tuple(core for _, core in places)

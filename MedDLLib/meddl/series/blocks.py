"""The temporal filter over frames of any size, and the mean of its two passes."""

from typing import Any

import torch
from torch import nn

from meddl.core.progress import ProgressCallback, report
from meddl.networks.recurrent.temporal_filter import Memory, begin, update
from meddl.superres.methods.blocks import Blocking, cut_blocks

BLOCKING = Blocking(1, 12, 160)  # voxels that a gain depends on, and of a block along an axis


@torch.inference_mode()
def update_in_blocks(network: nn.Module, memory: Memory | None, frame: torch.Tensor, noise: torch.Tensor | float,
                     memory_frames: int, sensitivity: float = 1.0, on_progress: ProgressCallback | None = None
                     ) -> Memory:
    """`update` of a frame of any size, (1, 1, I, J, K), block by block, as if it were seen whole.

    Args:
        memory: None: `frame` is the first one.

    Raises:
        Cancelled: from `on_progress`, between blocks.
    """
    if memory is None:
        return begin(frame)
    parts = list(cut_blocks(frame.shape[2:], BLOCKING))
    noise = torch.as_tensor(noise, dtype=frame.dtype, device=frame.device).expand_as(frame)
    mean, variance, gain = (torch.empty_like(frame) for _ in range(3))
    state: torch.Tensor | None = None
    for number, (seen, core) in enumerate(parts):
        report(on_progress, number / len(parts), "Following the series")
        part = Memory(memory.mean[at(seen)], memory.variance[at(seen)], memory.gain[at(seen)],
                      None if memory.state is None else memory.state[at(_halve(seen))])
        found = update(network, part, frame[at(seen)], noise[at(seen)], memory_frames, sensitivity)
        if len(parts) == 1:
            return found
        inside = tuple(slice(c.start - s.start, c.stop - s.start) for s, c in zip(seen, core, strict=True))
        for whole, made in ((mean, found.mean), (variance, found.variance), (gain, found.gain)):
            whole[at(core)] = made[at(inside)]
        if found.state is not None:
            if state is None:
                state = frame.new_empty((1, found.state.shape[1], *(-(-n // 2) for n in frame.shape[2:])))
            state[at(_halve(core))] = found.state[at(_halve(inside))]
    return Memory(mean, variance, gain, state)


def combine(forward: Memory, backward_difference: torch.Tensor, backward_variance: torch.Tensor,
            frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of what both passes know of a frame, which is in both, and its variance, that of a frame being 1.

    D. C. Fraser & J. E. Potter, "The optimum linear smoother as a combination of two optimum linear filters", IEEE
    Trans. Automatic Control 14(4), 1969, doi:10.1109/TAC.1969.1099196.

    Args:
        backward_difference: the mean of the backward pass less the frame.
    """
    before, after = 1 / forward.variance, 1 / backward_variance
    variance = 1 / (before + after - 1)
    return frame + variance * (before * (forward.mean - frame) + after * backward_difference), variance


def at(part: tuple[slice, ...]) -> Any:
    """The index of a block in a tensor (B, C, I, J, K)."""
    return ..., *part


def _halve(part: tuple[slice, ...]) -> tuple[slice, ...]:
    """A block that starts at even voxels, at half resolution."""
    return tuple(slice(one.start // 2, -(-one.stop // 2)) for one in part)

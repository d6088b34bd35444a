"""The temporal filter of a series: a mean of the frames so far, of which a network says where it still holds.

At each voxel it is a Kalman filter of a constant (R. E. Kalman, J. Basic Eng. 82(1), 1960, doi:10.1115/1.3662552): the
memory moves towards a new frame by a gain, which is 1 / n for the n-th frame of what does not change. Where the frame
differs from the memory by more than noise, the memory counts as less sure, and the gain grows up to 1: the frame alone.
What comes out is a weighted mean of measured values, with weights that sum to 1: no value is made up.
"""

from dataclasses import dataclass

import torch
from torch import nn

from meddl.core.progress import ProgressCallback, report
from meddl.superres.methods.blocks import Blocking, cut_blocks

MEMORY_FRAMES = 16  # frames that a gain of the smallest size averages
BLOCKING = Blocking(1, 12, 160)  # voxels that a gain depends on, and of a block along an axis


@dataclass(frozen=True, eq=False)
class Memory:
    """What is known of a series after a frame.

    Attributes:
        mean: (B, 1, I, J, K), the weighted mean of the frames so far.
        variance: of the mean's noise, that of a frame being 1.
        state: of the network; None before it has run.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    state: torch.Tensor | None = None


def begin(frame: torch.Tensor) -> Memory:
    """The memory after the first frame, (B, 1, I, J, K)."""
    return Memory(frame, torch.ones_like(frame))


def update(network: nn.Module, memory: Memory, frame: torch.Tensor, noise: torch.Tensor | float,
           memory_frames: int = MEMORY_FRAMES) -> tuple[Memory, torch.Tensor]:
    """The memory after another frame, and the gain (B, 1, I, J, K) by which it moved towards it.

    Args:
        network: a `RecurrentGain3D`.
        noise: standard deviation of a frame's noise, in its intensities: a number, or a map that broadcasts to it.
        memory_frames: the gain is at least one over it, before the network makes it larger or smaller.
    """
    prior = memory.variance.clamp_min(1 / max(memory_frames - 1, 1))
    factor, state = network((frame - memory.mean) / noise, memory.mean / noise, prior, memory.state)
    gain = (prior.log() + factor).sigmoid()
    variance = (1 - gain).square() * memory.variance + gain.square()
    return Memory(torch.lerp(memory.mean, frame, gain), variance, state), gain


@torch.inference_mode()
def update_in_blocks(network: nn.Module, memory: Memory | None, frame: torch.Tensor, noise: torch.Tensor | float,
                     memory_frames: int, on_progress: ProgressCallback | None = None) -> Memory:
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
    mean, variance, state = torch.empty_like(frame), torch.empty_like(frame), None
    for number, (seen, core) in enumerate(parts):
        report(on_progress, number / len(parts), "Following the series")
        part = Memory(memory.mean[:, :, *seen], memory.variance[:, :, *seen],
                      None if memory.state is None else memory.state[:, :, *_halve(seen)])
        found, _gain = update(network, part, frame[:, :, *seen], noise[:, :, *seen], memory_frames)
        if len(parts) == 1:
            return found
        inside = tuple(slice(c.start - s.start, c.stop - s.start) for s, c in zip(seen, core, strict=True))
        mean[:, :, *core], variance[:, :, *core] = found.mean[:, :, *inside], found.variance[:, :, *inside]
        if state is None:
            state = frame.new_empty((1, found.state.shape[1], *(-(-n // 2) for n in frame.shape[2:])))
        state[:, :, *_halve(core)] = found.state[:, :, *_halve(inside)]
    return Memory(mean, variance, state)


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


def _halve(part: tuple[slice, ...]) -> tuple[slice, ...]:
    """A block that starts at even voxels, at half resolution."""
    return tuple(slice(one.start // 2, -(-one.stop // 2)) for one in part)

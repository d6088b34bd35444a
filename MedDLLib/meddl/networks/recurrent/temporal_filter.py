"""The temporal filter of a series: a mean of the frames so far, of which a network says where it still holds.

At each voxel it is a Kalman filter of a constant (R. E. Kalman, J. Basic Eng. 82(1), 1960, doi:10.1115/1.3662552): the
memory moves towards a new frame by a gain, which is 1 / n for the n-th frame of what does not change. Where the frame
differs from the memory by more than noise, the memory counts as less sure, and the gain grows up to 1: the frame alone.
What comes out is a weighted mean of measured values, with weights that sum to 1: no value is made up.
"""

from dataclasses import dataclass

import torch
from torch import nn

MEMORY_FRAMES = 16  # frames that a gain of the smallest size averages


@dataclass(frozen=True, eq=False)
class Memory:
    """What is known of a series after a frame.

    Attributes:
        mean: (B, 1, I, J, K), the weighted mean of the frames so far.
        variance: of the mean's noise, that of a frame being 1.
        gain: by which the mean moved towards the frame.
        state: of the network; None before it has run.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    gain: torch.Tensor
    state: torch.Tensor | None = None


def begin(frame: torch.Tensor) -> Memory:
    """The memory after the first frame, (B, 1, I, J, K)."""
    ones = torch.ones_like(frame)
    return Memory(frame, ones, ones)


def update(network: nn.Module, memory: Memory, frame: torch.Tensor, noise: torch.Tensor | float,
           memory_frames: int = MEMORY_FRAMES, sensitivity: float = 1.0) -> Memory:
    """The memory after another frame, (B, 1, I, J, K).

    Args:
        network: a `RecurrentGain3D`.
        noise: standard deviation of a frame's noise, in its intensities: a number, or a map that broadcasts to it.
        memory_frames: the gain is at least one over it, before the network makes it larger or smaller.
        sensitivity: exponent of the factor by which the network makes the memory's variance larger.
    """
    prior = memory.variance.clamp_min(1 / max(memory_frames - 1, 1))
    factor, state = network((frame - memory.mean) / noise, memory.mean / noise, prior, memory.state)
    gain = (prior.log() + factor + (sensitivity - 1) * factor.clamp_min(0)).sigmoid()
    variance = (1 - gain).square() * memory.variance + gain.square()
    return Memory(torch.lerp(memory.mean, frame, gain), variance, gain, state)

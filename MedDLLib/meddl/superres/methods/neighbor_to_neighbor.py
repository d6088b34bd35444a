"""A denoiser trained on one noisy volume: two neighbors show the same signal under different noise.

T. Huang et al., "Neighbor2Neighbor: self-supervised denoising from single noisy images", CVPR 2021,
doi:10.1109/CVPR46437.2021.01454, in 3D: of every block of 2 x 2 x 2 voxels two that touch are drawn; one volume is made
of the first ones and one of the second ones, and the network is to tell the second from the first. The noise must be
independent from voxel to voxel.
"""

import copy
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.progress import ProgressCallback, early_stop_of, report
from meddl.networks.architectures.shuffle_unet import unshuffle
from meddl.spatial.resample import to_tensor

_PATCH = 40  # voxels along each axis
_BATCH = 2
_CHECK_STEPS = 20
_PATIENCE = 5  # checks without gain
_LEARNING_RATE = 2e-4
_CONSISTENCY = 1.0  # weight of the term that makes up for the neighbors' different signal, in the end
_RAMP_STEPS = 200  # until then: at first the network does not yet know the signal
_MESSAGE = "Learning the volume's noise"


def neighbors(volume: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two volumes of half the size from (B, 1, I, J, K), I, J, K even, and how to draw the same again.

    Returns:
        `(first, second, choice)`, each (B, 1, I / 2, J / 2, K / 2) and choice (B, 2, I / 2, J / 2, K / 2).
    """
    shape = (volume.shape[0], 1, *(n // 2 for n in volume.shape[2:]))
    first = torch.randint(8, shape, generator=rng, device=volume.device)
    step = 1 << torch.randint(3, shape, generator=rng, device=volume.device)
    choice = torch.cat([first, first ^ step], dim=1)  # a voxel's place in its block, one bit an axis
    return (*pick_voxels(volume, choice), choice)


def pick_voxels(volume: torch.Tensor, choice: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The voxels of each block that a choice names."""
    both = unshuffle(volume).gather(1, choice)
    return both[:, :1], both[:, 1:]


def train_further(network: nn.Module, data: np.ndarray, sigma: float, seconds: float, device: torch.device,
                  figures: dict, on_progress: ProgressCallback | None = None) -> nn.Module:
    """A copy of a denoiser, trained further on (I, J, K) float32 whose noise has the standard deviation `sigma`.

    The middle of the volume along its longest axis is held out; the best network on it is returned, which may be the
    one that was given. `figures` gets self_supervised_steps and self_supervised_gain, the fraction by which the
    held-out loss fell.

    Args:
        network: `network(x, sigma)`.
        seconds: time that it may take; the callback's function `should_stop`, if it has one, ends it earlier.

    Raises:
        Cancelled: from `on_progress`.
    """
    start = time.monotonic()
    should_stop = early_stop_of(on_progress)
    rng = torch.Generator(device).manual_seed(0)
    learner = copy.deepcopy(network).requires_grad_(True).train()
    optimizer = torch.optim.Adam(learner.parameters(), lr=_LEARNING_RATE)
    shape = [min(_PATCH, n - n % 2) for n in data.shape]
    if min(shape) < 8:
        figures |= {"self_supervised_steps": 0, "self_supervised_gain": 0.0}
        return network
    longest = int(np.argmax(data.shape))
    middle = (data.shape[longest] - shape[longest]) // 2
    separate = data.shape[longest] >= 3 * shape[longest]  # else there is no room for a held-out part
    held_out = _patches(data, shape, 4, rng, device, longest, middle)
    pair = neighbors(held_out, rng)
    best = first = _held_out_loss(learner, pair, sigma)
    kept, step, waited = copy.deepcopy(learner.state_dict()), 0, 0
    while waited < _PATIENCE and time.monotonic() - start < seconds and not (should_stop and should_stop()):
        patches = _patches(data, shape, _BATCH, rng, device, longest, middle if separate else None, avoid=True)
        loss = _loss(learner, patches, sigma, _CONSISTENCY * min(1.0, step / _RAMP_STEPS), rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        report(on_progress, min(1.0, (time.monotonic() - start) / max(seconds, 1e-3)), _MESSAGE)
        if step % _CHECK_STEPS == 0:
            score = _held_out_loss(learner, pair, sigma)
            waited += 1
            if score < best:
                best, kept, waited = score, copy.deepcopy(learner.state_dict()), 0
    learner.load_state_dict(kept)
    figures |= {"self_supervised_steps": step, "self_supervised_gain": 1 - best / first if first > 0 else 0.0}
    report(on_progress, 1.0, _MESSAGE)
    return learner.eval().requires_grad_(False)


def _loss(learner: nn.Module, patches: torch.Tensor, sigma: float, weight: float,
          rng: torch.Generator) -> torch.Tensor:
    """Squared error between neighbors, less what their signals differ by as the network itself sees it."""
    first, second, choice = neighbors(patches, rng)
    with torch.no_grad():
        clean_first, clean_second = pick_voxels(learner(patches, sigma), choice)
    error = learner(first, sigma) - second
    return error.square().mean() + weight * (error - (clean_first - clean_second)).square().mean()


@torch.no_grad()
def _held_out_loss(learner: nn.Module, pair, sigma: float) -> float:
    first, second, _ = pair
    return float(F.mse_loss(learner(first, sigma), second))


def _patches(data: np.ndarray, shape, count: int, rng: torch.Generator, device, longest: int, middle: int | None,
             avoid: bool = False) -> torch.Tensor:
    """(B, 1, *shape) from anywhere; along the longest axis at `middle`, or clear of the patch there."""
    cut = []
    for draw in torch.rand((count, 4), generator=rng, device=device).tolist():
        starts = [int(u * (n - m + 1)) for u, n, m in zip(draw, data.shape, shape, strict=False)]
        if middle is not None:
            size, room = shape[longest], data.shape[longest] - shape[longest]
            before = int(draw[longest] * (middle - size + 1))
            after = middle + size + int(draw[longest] * (room - middle - size + 1))
            starts[longest] = (before if draw[3] < 0.5 else after) if avoid else middle
        part = data[tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))]
        cut.append(to_tensor(np.ascontiguousarray(part), device))
    return torch.stack(cut)[:, None]

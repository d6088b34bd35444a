"""Self-supervised fine-tuning of the temporal filter on one series.

The frame after the memory is its noisy target (J. Lehtinen et al., "Noise2Noise", ICML 2018, arXiv:1803.04189): its
noise is independent of the memory's, so that the squared difference is the memory's error plus a constant, as far as
the two frames show the same. The variance of the memory is known; of it counts what the spatial denoiser leaves.
"""

import copy
import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from meddl.core.progress import ProgressCallback, early_stop_of, report
from meddl.models.loaded_networks import read_network
from meddl.models.store.store import ModelStore
from meddl.networks.cpu.fast_training import ready_for_training
from meddl.networks.inference import ready_for_inference
from meddl.networks.recurrent.temporal_filter import begin, update
from meddl.series.blocks import at
from meddl.series.config import DenoiseSeriesConfig
from meddl.series.noise import SeriesNoise
from meddl.spatial.resample import to_tensor
from meddl.superres.acquisition.value_range import ValueRange

_SIZE, _LENGTH, _BATCH, _HELD_OUT = 24, 8, 2, 6  # voxels along an axis, frames, patches of a step and held out
_RATE = 5e-4
_SPATIAL = 0.3  # of the noise's variance, what the spatial denoiser leaves
_CHECK_STEPS, _PATIENCE = 10, 5
_MESSAGE = "Learning from the series"


def fine_tune(model: str, frames: Sequence[np.ndarray], values: ValueRange, noise: SeriesNoise,
              config: DenoiseSeriesConfig, device: torch.device, on_progress: ProgressCallback | None = None
              ) -> tuple[nn.Module, dict]:
    """A copy of an installed model's network, trained on frames (I, J, K) for `config.seconds`; and what was reached.

    The weights that are best on held-out patches count, those of the model included.
    """
    card = ModelStore().card(model)
    network, learner = (read_network(card, next(iter(card.networks))).to(device) for _ in range(2))
    learner = ready_for_training(learner.train())
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        return _patches(frames, values, noise, count, rng, device)

    held_out = draw(_HELD_OUT)
    optimizer = torch.optim.Adam(learner.parameters(), lr=_RATE)
    should_stop = early_stop_of(on_progress)
    with torch.no_grad():
        first = best = float(_loss(learner, *held_out, config))
    kept, waited, steps, begin_s = copy.deepcopy(learner.state_dict()), 0, 0, time.monotonic()
    while (spent := time.monotonic() - begin_s) < config.seconds and waited < _PATIENCE \
            and not (should_stop and should_stop()):
        report(on_progress, spent / config.seconds, _MESSAGE)
        loss = _loss(learner, *draw(_BATCH), config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        steps += 1
        if steps % _CHECK_STEPS == 0:
            with torch.no_grad():
                score = float(_loss(learner, *held_out, config))
            waited += 1
            if score < best and math.isfinite(score):
                best, kept, waited = score, copy.deepcopy(learner.state_dict()), 0
    network.load_state_dict(kept)
    report(on_progress, 1.0, _MESSAGE)
    return ready_for_inference(network, device), {"steps": steps, "loss": {"before": first, "after": best}}


def _loss(network: nn.Module, given: torch.Tensor, noise: torch.Tensor, config: DenoiseSeriesConfig) -> torch.Tensor:
    """Of patches (T, B, 1, I, J, K): squared difference of each memory and the next frame, in units of the noise."""
    memory = begin(given[0])
    total = torch.zeros((), device=given.device)
    for frame, target in zip(given[1:-1], given[2:], strict=True):
        memory = update(network, memory, frame, noise, config.memory_frames, config.sensitivity)
        error = ((memory.mean - target) / noise).square() - 1
        total = total + (error - (1 - _SPATIAL) * memory.variance).mean()
    return total / max(len(given) - 2, 1)


def _patches(frames: Sequence[np.ndarray], values: ValueRange, noise: SeriesNoise, count: int, rng: np.random.Generator,
             device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of consecutive frames (T, B, 1, I, J, K), some of them backwards in time, and their noise."""
    sizes = [min(_SIZE, n) for n in frames[0].shape]
    length = min(_LENGTH, len(frames))
    cut, levels = [], []
    for _ in range(count):
        start = int(rng.integers(0, len(frames) - length + 1))
        corner = [int(rng.integers(0, n - size + 1)) for n, size in zip(frames[0].shape, sizes, strict=True)]
        place = tuple(slice(first, first + size) for first, size in zip(corner, sizes, strict=True))
        chosen = [values.to_unit(frame[place]) for frame in frames[start:start + length]]
        part = to_tensor(np.stack(chosen[::int(rng.choice((1, -1)))]), device)[:, None]
        cut.append(part)
        level = noise.of_frame(part.mean(dim=0)[None]) if isinstance(noise.factor, float) else \
            noise.sigma * noise.factor[at(place)]
        levels.append(torch.as_tensor(level, dtype=part.dtype, device=device).expand(1, 1, *sizes))
    return torch.stack(cut, dim=1), torch.cat(levels)

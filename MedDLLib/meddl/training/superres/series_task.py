"""The recurrent denoiser of series as a training task: patches that move and change their contrast."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks.recurrent.temporal_filter import begin, update
from meddl.superres.acquisition.rician import rician_mean, rician_sigma
from meddl.synthesis.fields.lattice import enlarge
from meddl.synthesis.random import uniform
from meddl.training.superres.tasks import PoolTask
from meddl.training.superres.volume_pool import VolumePool

FRAMES = 10
_MARGIN = 4  # voxels around a patch that motion brings in
_SPATIAL = 0.3  # of the noise's variance, what the spatial denoiser leaves
_LEAST = 0.01  # of the variance of a frame's noise: errors below it hardly count
_MOVED, _CHANGED, _MAGNITUDE, _REMEMBERED = 0.7, 0.5, 0.3, 0.5  # fractions of the series
_NOISE = 0.01, 0.12  # of the robust range
_MISJUDGED = 0.15  # by what share the noise may be misstated
_LONGEST = 16  # frames behind a memory at the start


@dataclass(frozen=True)
class Series:
    """Frames (T, B, 1, I, J, K) with noise and without, and the noise of a frame.

    Attributes:
        noise: (B, 1, I, J, K), as the filter gets it.
        start: (B, 1, 1, 1, 1), variance of a memory that there is before the first frame; 1: the first frame itself.
    """

    given: torch.Tensor
    clean: torch.Tensor
    noise: torch.Tensor
    start: torch.Tensor


class SeriesTask(PoolTask[VolumePool]):
    """Frames that move, that change their contrast, or both, under noise that is independent from frame to frame.

    Args:
        size: voxels of a patch along each axis.
    """

    learning_rate = 3e-3

    def __init__(self, pool: VolumePool, held_out: VolumePool, batch: int = 4, size: int = 20,
                 arguments: dict | None = None):
        super().__init__("RecurrentGain3D", arguments or {}, pool, held_out, batch)
        self.size = size
        self._validation = [_series(held_out, 4, size, held_out.rng) for _ in range(6)]

    def sample(self, done: float) -> Series:
        return _series(self.pool, self.batch, self.size, self.rng)

    def loss(self, network: nn.Module, batch: Series) -> torch.Tensor:
        """The root of squared bias and what the spatial denoiser would leave of the noise, in units of the noise."""
        total = torch.zeros((), device=batch.given.device)
        for bias, noise in _errors(network, batch):
            total = total + (bias.square() + _SPATIAL * noise.square() + _LEAST).sqrt().mean()
        return total / (len(batch.given) - 1)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Gain in PSNR over the noisy frames, dB, mean over held-out series, before the spatial denoiser."""
        gains = []
        for series in self._validation:
            errors = torch.stack([(bias + noise).square().flatten(1).mean(dim=1)
                                  for bias, noise in _errors(network, series)])
            before = ((series.given - series.clean) / series.noise)[1:].square().flatten(2).mean(dim=2)
            gains.append(10 * torch.log10(before.mean(dim=0) / errors.mean(dim=0)).mean())
        return float(torch.stack(gains).mean())


def _errors(network: nn.Module, series: Series):
    """For each frame but the first the filter's bias and noise, (B, 1, I, J, K), in units of the noise.

    The same gains on frames without noise say what of the error is bias.
    """
    noise, clean = series.noise, series.clean[0]
    memory = begin(series.given[0])
    memory = replace(memory, mean=clean + series.start.sqrt() * (memory.mean - clean),
                     variance=memory.variance * series.start)
    for given, wanted in zip(series.given[1:], series.clean[1:], strict=True):
        memory = update(network, memory, given, noise)
        clean = torch.lerp(clean, wanted, memory.gain)
        yield (clean - wanted) / noise, (memory.mean - clean) / noise


def _series(pool: VolumePool, batch: int, size: int, rng: torch.Generator) -> Series:
    sharp = pool.patches(batch, (2 * (size + 2 * _MARGIN),) * 3)[:, None]
    clean = torch.stack([_moving(one, size, rng) for one in sharp], dim=1)
    clean = torch.stack([_changing(one, rng) for one in clean.unbind(1)], dim=1)
    low, high = _NOISE
    sigma = low * (high / low) ** uniform((batch, 1, 1, 1, 1), 0, 1, rng)
    magnitude = uniform((batch, 1, 1, 1, 1), 0, 1, rng) < _MAGNITUDE
    first, second = torch.randn((2, *clean.shape), generator=rng, device=rng.device)
    clean = torch.where(magnitude, clean.abs(), clean)
    given = torch.where(magnitude, torch.hypot(clean + sigma * first, sigma * second), clean + sigma * first)
    believed = torch.where(magnitude, _smooth(rician_sigma(clean.mean(dim=0), sigma)), sigma)
    clean = torch.where(magnitude, rician_mean(clean, sigma), clean)
    believed = believed * (1 + _MISJUDGED * uniform(sigma.shape, -1, 1, rng))
    remembered = uniform((batch, 1, 1, 1, 1), 0, 1, rng)
    frames = 2 + (_LONGEST - 2) * uniform((batch, 1, 1, 1, 1), 0, 1, rng)
    return Series(given, clean, believed, torch.where(remembered < _REMEMBERED, 1 / frames, 1.0))


def _moving(sharp: torch.Tensor, size: int, rng: torch.Generator) -> torch.Tensor:
    """A patch (1, n, n, n) as frames (T, 1, size, size, size) of voxels twice as long, whole or in part in motion."""
    n = sharp.shape[-1]
    line = (torch.arange(2 * size, device=sharp.device) - (2 * size - 1) / 2) / 2  # voxels of the frames
    points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1)
    part = torch.ones((2 * size,) * 3, device=sharp.device)
    if float(uniform((), 0, 1, rng)) < 0.5:
        part = _field(2 * size, rng)
    moved = points + part[..., None] * _displacements(points, rng)
    frames = F.grid_sample(sharp.expand(FRAMES, 1, n, n, n), moved.flip(-1) * (4 / n), mode="bilinear",
                           padding_mode="border", align_corners=False)
    return F.avg_pool3d(frames, 2)


def _displacements(points: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Rigid motion of points (n, n, n, 3) about the middle, for each frame, in voxels: none, drift, jerks or waves."""
    if float(uniform((), 0, 1, rng)) > _MOVED:
        return torch.zeros((FRAMES, 1, 1, 1, 3), device=points.device)
    kind = int(torch.randint(0, 3, (), generator=rng, device=rng.device))
    size = 0.2 * 15 ** float(uniform((), 0, 1, rng))  # 0.2 to 3 voxels
    if kind == 0:
        steps = torch.randn((FRAMES, 6), generator=rng, device=rng.device).cumsum(dim=0) / FRAMES ** 0.5
    elif kind == 1:
        times = torch.randint(1, FRAMES, (1 + int(uniform((), 0, 2, rng)),), generator=rng, device=rng.device)
        jumps = torch.zeros((FRAMES, 6), device=points.device)
        jumps[times] = torch.randn((len(times), 6), generator=rng, device=rng.device)
        steps = jumps.cumsum(dim=0)
    else:
        phase = torch.arange(FRAMES, device=points.device) * float(uniform((), 0.3, 2.5, rng))
        steps = torch.sin(phase)[:, None] * torch.randn((1, 6), generator=rng, device=rng.device)
    shift, turn = size * steps[:, None, None, None, :3], 0.07 * size * steps[:, None, None, None, 3:]
    return shift + torch.linalg.cross(turn.expand(-1, *points.shape), points.expand(FRAMES, *points.shape))


def _changing(frames: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Frames (T, 1, I, J, K) of which a range of intensities, in a region, becomes brighter or darker and back."""
    if float(uniform((), 0, 1, rng)) > _CHANGED:
        return frames
    draw = uniform((7,), 0, 1, rng).tolist()
    time = torch.arange(FRAMES, device=frames.device, dtype=frames.dtype)
    begin_at, length = draw[0] * FRAMES, 0.5 + 2 * FRAMES * draw[1] ** 2
    curve = 1 - torch.exp(-(time - begin_at).clamp_min(0) / length)
    if draw[2] < 0.5:
        after = (time - begin_at).clamp_min(0) / length
        curve = after * torch.exp(1 - after)  # a bolus
    strength = (0.03 * 30 ** draw[3]) * (1 if draw[4] < 0.7 else -1)
    level, width = draw[5], 0.1 + 0.4 * draw[6]
    tissue = torch.exp(-((frames - level) / width).square())
    return frames + strength * curve.reshape(-1, 1, 1, 1, 1) * tissue * _field(frames.shape[-1], rng)


def _field(size: int, rng: torch.Generator) -> torch.Tensor:
    """A smooth field (size, size, size) from 0 to 1, near both in most voxels."""
    points = torch.randn((1, 5, 5, 5), generator=rng, device=rng.device)
    return (4 * enlarge(points, (size,) * 3)[0]).sigmoid()


def _smooth(volume: torch.Tensor) -> torch.Tensor:
    """Mean over 5 x 5 x 5 voxels of (B, 1, I, J, K)."""
    return F.avg_pool3d(F.pad(volume, [2] * 6, mode="replicate"), 5, stride=1)

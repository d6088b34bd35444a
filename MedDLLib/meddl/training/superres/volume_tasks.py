"""The 3D networks as training tasks: voxels half as long along every axis, and denoising."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks.cubic import cubic_twice
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.acquisition.rician import noise_map, rician_mean
from meddl.synthesis.random import uniform
from meddl.training.superres.tasks import NOISE_SD, PoolTask, random_acquisition, thick_and_sharp
from meddl.training.superres.volume_pool import VolumePool

_MARGIN = 4  # sharp voxels around the patch that large voxels still see
VALIDATION_NOISE = 0.05  # of a volume's robust range


@dataclass(frozen=True)
class Example:
    """What a network gets, and what it should give, (B, 1, I, J, K); for a denoiser the noise's map, else None."""

    given: torch.Tensor
    wanted: torch.Tensor
    sigma: torch.Tensor | None = None


class HalvingTask(PoolTask[VolumePool]):
    """Voxels half as long along every axis.

    Args:
        size: voxels of the patch that the network gets, along each axis.
    """

    learning_rate = 1e-3

    def __init__(self, architecture: str, pool: VolumePool, held_out: VolumePool, batch: int = 4, size: int = 14,
                 arguments: dict | None = None):
        super().__init__(architecture, arguments or {}, pool, held_out, batch)
        self.size = size
        parts = held_out.volumes[:, 8:88, 8:88, 8:88]
        given, wanted = _halve_voxels(parts, Acquisition(2.0), (80 - 2 * _MARGIN) // 2)
        noise = torch.randn(given.shape, generator=held_out.rng, device=given.device)
        self._validation = Example((given + 0.01 * noise)[:, None], wanted[:, None])

    def sample(self, done: float) -> Example:
        patches = self.pool.patches(self.batch, (2 * (self.size + _MARGIN),) * 3)
        _, acquisition = random_acquisition(2.0, self.rng, touching_fraction=1.0)
        given, wanted = _halve_voxels(patches, acquisition, self.size)
        noise = torch.randn(given.shape, generator=self.rng, device=given.device)
        level = NOISE_SD * uniform((len(given), 1, 1, 1), 0, 1, self.rng).square()
        return Example((given + noise * level)[:, None], wanted[:, None])

    def loss(self, network: nn.Module, batch: Example) -> torch.Tensor:
        return F.l1_loss(network(batch.given), batch.wanted)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Gain in PSNR over the cubic spline on held-out volumes, dB."""
        errors = []
        for make in (cubic_twice, network):
            made = torch.cat([make(part) for part in self._validation.given.split(1)])
            errors.append(F.mse_loss(made, self._validation.wanted))
        return float(10 * torch.log10(errors[0] / errors[1]))


class DenoisingTask(PoolTask[VolumePool]):
    """Noise that is independent from voxel to voxel, of any strength, Gaussian or of a magnitude image.

    Of a magnitude image, the network is to find the mean of the magnitude; the signal follows from it (`rician`).

    Args:
        with_noise_map: whether the network gets a map of the noise's standard deviation.
        size: voxels of a patch along each axis.
    """

    noise_sd = (0.004, 0.12)
    magnitude_fraction = 0.25
    misjudged = 0.1  # by what share the map may be wrong
    learning_rate = 1e-3

    def __init__(self, architecture: str, pool: VolumePool, held_out: VolumePool, batch: int = 4, size: int = 28,
                 with_noise_map: bool = True, arguments: dict | None = None):
        super().__init__(architecture, arguments or {}, pool, held_out, batch)
        self.size, self.with_noise_map = size, with_noise_map
        parts = held_out.volumes[:, None, 8:72, 8:72, 8:72]
        noise = torch.randn(parts.shape, generator=held_out.rng, device=parts.device)
        sigma = torch.full((1, 1, 1, 1, 1), VALIDATION_NOISE, device=parts.device)
        self._validation = Example(parts + VALIDATION_NOISE * noise, parts, sigma)

    def sample(self, done: float) -> Example:
        rng = self.rng
        clean = self.pool.patches(self.batch, (self.size,) * 3)[:, None]
        low, high = self.noise_sd
        sigma = (low + (high - low) * uniform((self.batch, 1, 1, 1, 1), 0, 1, rng).square()).to(clean)
        noise = torch.randn((2, *clean.shape), generator=rng, device=clean.device)
        believed = sigma * (1 + self.misjudged * uniform(sigma.shape, -1, 1, rng))
        if self.with_noise_map and self.number(0, 1) < self.magnitude_fraction:
            clean = clean.abs()
            given = torch.hypot(clean + sigma * noise[0], sigma * noise[1])
            return Example(given, rician_mean(clean, sigma), noise_map(given, believed))
        return Example(clean + sigma * noise[0], clean, believed)

    def loss(self, network: nn.Module, batch: Example) -> torch.Tensor:
        return F.l1_loss(self._predict(network, batch), batch.wanted)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Gain in PSNR on held-out volumes with 5 % Gaussian noise, dB."""
        cases = [Example(given[None], wanted[None], self._validation.sigma)
                 for given, wanted in zip(self._validation.given, self._validation.wanted, strict=True)]
        made = torch.cat([self._predict(network, case) for case in cases])
        before, after = (F.mse_loss(x, self._validation.wanted) for x in (self._validation.given, made))
        return float(10 * torch.log10(before / after))

    def _predict(self, network: nn.Module, batch: Example) -> torch.Tensor:
        return network(batch.given, batch.sigma) if self.with_noise_map else network(batch.given)


def _halve_voxels(sharp: torch.Tensor, acquisition: Acquisition, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, n, n, n) as large voxels (B, count, count, count), and the sharp voxels over their field of view."""
    large = sharp
    for axis in (1, 2, 3):
        large, _ = thick_and_sharp(large.movedim(axis, -1), acquisition, count)
        large = large.movedim(-1, axis)
        _, sharp = thick_and_sharp(sharp.movedim(axis, -1), acquisition, count)
        sharp = sharp.movedim(-1, axis)
    return large, sharp

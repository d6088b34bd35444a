"""Super-resolution networks as training tasks: sharp patches, what a scanner makes of them, and the way back."""

import inspect
import math
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks import build_network
from meddl.superres.acquisition.degradation import Acquisition
from meddl.synthesis.random import uniform
from meddl.training.superres.volume_pool import VolumePool

NOISE_SD = 0.04  # of the slices, at most, of a volume's robust range of 1
THICKNESS_JITTER = 0.3  # how wrong the stated thickness may be, as a fraction of it


@dataclass(frozen=True)
class Pair:
    """Thick slices (B, 1, H, W), the sharp images (B, 1, H, n) on the network's output grid, and what is known.

    Attributes:
        factor: old over new voxel size.
        thickness: (B,) stated slice thickness over slice distance.
    """

    thick: torch.Tensor
    sharp: torch.Tensor
    factor: float
    thickness: torch.Tensor


class _Pool(Protocol):
    """What patches are cut from."""

    rng: torch.Generator

    def state(self) -> dict:
        """What it needs to go on where it stopped."""

    def resume(self, state: dict) -> None:
        """Go on from such a state."""


Pool = TypeVar("Pool", bound=_Pool)


class PoolTask(Generic[Pool]):
    """A network, a pool to train it on, and one to validate it on.

    Args:
        architecture, arguments: the network; the card holds all its arguments, defaults included.
        pool: what it learns from.
        held_out: what it is measured on.
        batch: patches a step.
    """

    def __init__(self, architecture: str, arguments: dict, pool: Pool, held_out: Pool, batch: int):
        self.architecture = architecture
        self.network = build_network(architecture, arguments)
        defaults = inspect.signature(type(self.network)).parameters
        self.arguments = {name: _as_json(arguments.get(name, value.default)) for name, value in defaults.items()}
        self.pool, self.held_out, self.batch = pool, held_out, batch

    @property
    def rng(self) -> torch.Generator:
        return self.pool.rng

    def number(self, low: float, high: float) -> float:
        """A random number."""
        return float(uniform((), low, high, self.rng))

    def sample(self, done: float):
        """A batch; see `meddl.training.loop.Task`, of this and the next two."""
        raise NotImplementedError

    def loss(self, network: torch.nn.Module, batch) -> torch.Tensor:
        """Of a batch."""
        raise NotImplementedError

    def validate(self, network: torch.nn.Module) -> float:
        """The score."""
        raise NotImplementedError

    def state(self) -> dict:
        return self.pool.state()

    def resume(self, state: dict) -> None:
        self.pool.resume(state)


class ThroughPlaneTask(PoolTask[VolumePool]):
    """Slices thicker than the pixels are wide, by any factor from 1.5 to 4.5."""

    factors = (1.5, 4.5)
    height = 40
    learning_rate = 1e-3
    profiles_per_batch = 4

    def __init__(self, arguments: dict, pool: VolumePool, held_out: VolumePool, batch: int = 8):
        super().__init__("ThroughPlaneNetwork", arguments, pool, held_out, batch)
        self._validation = [self._validation_pair(factor) for factor in (2.0, 3.0, 4.0)]

    def sample(self, done: float) -> Pair:
        whole = self.number(0, 1) < 0.5
        factor = float(round(self.number(*self.factors))) if whole else round(self.number(*self.factors), 1)
        factor = min(max(factor, 2.0 if whole else self.factors[0]), 4.0 if whole else self.factors[1])
        size = self.pool.volumes.shape[-1]
        patches = self.pool.patches(self.batch, (1, self.height, size))[:, 0]
        stated, thick, sharp = [], [], []
        count = int((size - 2 * math.ceil(1.5 * factor)) / factor)
        for part in patches.chunk(self.profiles_per_batch):
            known, acquisition = random_acquisition(factor, self.rng)
            low, high = thick_and_sharp(part, acquisition, count)
            stated.append(torch.full((len(part),), known, device=part.device))
            thick.append(low)
            sharp.append(high)
        clean = torch.cat(thick)
        noise = torch.randn(clean.shape, generator=self.rng, device=clean.device)
        level = NOISE_SD * uniform((len(clean), 1, 1), 0, 1, self.rng).square()
        return Pair((clean + noise * level)[:, None], torch.cat(sharp)[:, None], factor, torch.cat(stated))

    def loss(self, network: nn.Module, batch: Pair) -> torch.Tensor:
        return F.l1_loss(network(batch.thick, batch.factor, batch.thickness), batch.sharp)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Gain in PSNR over the cubic spline, dB, mean over x2, x3 and x4; Gaussian profile, as stated."""
        return sum(self.gains(network).values()) / len(self._validation)

    @torch.no_grad()
    def gains(self, network: nn.Module) -> dict[float, float]:
        """Gain in PSNR over the cubic spline on the held-out slices, dB, by factor."""
        found = {}
        for pair in self._validation:
            cubic = Acquisition(pair.factor).interpolate(pair.thick, pair.sharp.shape[-1])
            errors = [F.mse_loss(made, pair.sharp) for made in (cubic, network(pair.thick, pair.factor, 1.0))]
            found[pair.factor] = float(10 * torch.log10(errors[0] / errors[1]))
        return found

    def _validation_pair(self, factor: float) -> Pair:
        slices = self.held_out.volumes[:, 8::16].flatten(0, 1)
        count = int((slices.shape[-1] - 2 * math.ceil(1.5 * factor)) / factor)
        thick, sharp = thick_and_sharp(slices, Acquisition(factor), count)
        noise = torch.randn(thick.shape, generator=self.held_out.rng, device=thick.device)
        return Pair((thick + 0.01 * noise)[:, None], sharp[:, None], factor, torch.ones(1, device=thick.device))


def _as_json(value):
    """Tuples as lists, as a card holds them."""
    return list(value) if isinstance(value, tuple) else value


def random_acquisition(factor: float, rng: torch.Generator,
                       touching_fraction: float = 0.7) -> tuple[float, Acquisition]:
    """A random profile, and the thickness over the slice distance that is stated for it.

    Args:
        touching_fraction: how often slices of the stated thickness touch; else there are gaps or overlap.
    """
    draw = uniform((5,), 0, 1, rng).tolist()
    stated = 1.0 if draw[0] < touching_fraction else 0.6 + 0.8 * draw[1]
    true = stated * (1 if draw[2] < 0.4 else 1 + THICKNESS_JITTER * (2 * draw[3] - 1))
    if draw[4] < 0.65:
        return stated, Acquisition(factor, thickness=round(true, 2))
    return stated, Acquisition(factor, profile="rect", thickness=round(true, 2), edge=round(draw[4] - 0.6, 1))


def thick_and_sharp(sharp: torch.Tensor, acquisition: Acquisition, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` thick slices about the middle of the last axis, and the sharp voxels over their field of view."""
    wanted = acquisition.fine_count(count)
    sharp = sharp[..., :sharp.shape[-1] - (sharp.shape[-1] - wanted) % 2]  # both centers fall on one place
    margin = (sharp.shape[-1] - wanted) // 2
    return acquisition.forward(sharp, count), sharp[..., margin:margin + wanted]

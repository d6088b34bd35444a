"""Inpainting as a training task: whole heads at 2 mm with random masks, and what the other hemisphere shows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from meddl.inpainting.candidates import Mirror, mirror_fill
from meddl.inpainting.laplace import SmoothFill
from meddl.synthesis import HeadGenerator, LabelMaps, SynthesisConfig
from meddl.synthesis.fields.noise_fields import smooth_field
from meddl.synthesis.random import uniform
from meddl.training.superres.tasks import PoolTask
from meddl.training.superres.volume_pool import SIZE, Source, VolumePool

SPACING_MM = 2.0
_WITHOUT_MIRROR = 0.35  # fraction of the patches
_ASKEW = 0.5            # voxels by which the mirrored head is displaced, standard deviation
_OF_A_VOLUME = 5        # patches that count as one in the exchange of the pool's volumes: whole heads repeat sooner
_KINDS = (0.6, 0.75, 0.9)  # up to which number a mask is a blob, several small ones, a slab; above: a box


@dataclass(frozen=True)
class Masked:
    """Patches as `inpainting.network` gives them to the network, (B, 3, I, J, K); the truth, (B, 1, I, J, K)."""

    given: torch.Tensor
    wanted: torch.Tensor


class InpaintingTask(PoolTask[VolumePool]):
    """The difference between the biharmonic fill and the truth inside random masks.

    Args:
        size: voxels of a patch along each axis.
    """

    learning_rate = 2e-3

    def __init__(self, pool: VolumePool, held_out: VolumePool, batch: int = 2, size: int = 40):
        super().__init__("HalfResolutionUNet", {"in_channels": 3, "out_channels": 1, "widths": [24, 40, 48]}, pool,
                         held_out, batch)
        self.size = size
        self._validation = [_examples(held_out, 2, size) for _ in range(12)]

    def sample(self, done: float) -> Masked:
        return _examples(self.pool, self.batch, self.size)

    def loss(self, network: nn.Module, batch: Masked) -> torch.Tensor:
        """Mean absolute error inside the masks, each patch counting alike."""
        mask = batch.given[:, 1:2]
        error = (batch.given[:, :1] + network(batch.given) - batch.wanted).abs() * mask
        return (error.flatten(1).sum(dim=1) / mask.flatten(1).sum(dim=1)).mean()

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Gain in PSNR over the biharmonic fill inside the masks, dB, mean over held-out patches."""
        return self.gains(network)["network"]

    @torch.no_grad()
    def gains(self, network: nn.Module) -> dict[str, float]:
        """Gain in PSNR over the biharmonic fill, dB, of the network, and of the other hemisphere alone."""
        found: dict[str, list[float]] = {"network": [], "mirror": []}
        for batch in self._validation:
            smooth, mask, other = batch.given.split(1, dim=1)
            errors = [((made - batch.wanted).square() * mask).flatten(1).sum(dim=1).clamp_min(1e-12)
                      for made in (smooth, smooth + network(batch.given), smooth + other)]
            for name, error in zip(found, errors[1:], strict=True):
                found[name] += (10 * torch.log10(errors[0] / error)).tolist()
        return {name: float(np.mean(values)) for name, values in found.items()}


def whole_head_source(maps: LabelMaps) -> Source:
    """Whole heads at 2 mm, upright, about their middle, so that exchanging left and right is exact up to anatomy."""
    config = SynthesisConfig(spacing_mm=SPACING_MM, shape=(SIZE,) * 3, center_jitter_mm=0.0, rotation_degrees=2.0,
                             anisotropic_probability=0.0, isotropic_mm=(1.5, 2.4), noise_sd=(0.0, 0.03),
                             crop_probability=0.0, clip_probability=0.1)
    heads = HeadGenerator(maps, config)

    def make(rng: torch.Generator) -> torch.Tensor:
        heads.rng = rng
        return heads.sample(1).images[0, 0]

    return make


def _examples(pool: VolumePool, count: int, size: int) -> Masked:
    made = [_example(pool.whole(_OF_A_VOLUME), size, pool.rng) for _ in range(count)]
    return Masked(*(torch.stack(parts) for parts in zip(*made, strict=True)))


def _example(volume: torch.Tensor, size: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network is given (3, n, n, n) and the truth (1, n, n, n)."""
    if float(uniform((), 0, 1, rng)) < 0.5:
        volume = volume.flip(0)
    askew = (_ASKEW * torch.randn(3, generator=rng, device=rng.device)).round().int().tolist()
    other = volume.flip(0).roll(askew, dims=(0, 1, 2))
    place = _place(volume, rng)
    mask, low = _mask(place, size, rng)
    cut = tuple(slice(start, start + size) for start in low)
    truth = volume[cut]
    image, inside = truth.cpu().numpy(), mask.cpu().numpy()
    fill = SmoothFill(inside, (1, 1, 1))
    smooth = SmoothFill(inside, (1, 1, 1), order=2).fill(image, start=fill.fill(image)).clip(image.min(), image.max())
    given = np.zeros((3, *image.shape), np.float32)
    given[0], given[1] = image, inside
    given[0][inside] = smooth
    if float(uniform((), 0, 1, rng)) > _WITHOUT_MIRROR:
        whole = torch.zeros_like(volume, dtype=torch.bool)
        whole[cut] = mask
        valid = ~whole.flip(0).roll(askew, dims=(0, 1, 2))[cut]
        mirror = Mirror(other[cut].cpu().numpy(), valid.cpu().numpy())
        given[2][inside] = mirror_fill(image, inside, fill, smooth, mirror) - smooth
    return torch.from_numpy(given).to(volume.device), truth[None]


def _place(volume: torch.Tensor, rng: torch.Generator) -> list[int]:
    """A voxel of the object."""
    for _ in range(20):
        place = [int(u * SIZE) for u in uniform((3,), 0.1, 0.9, rng).tolist()]
        if float(volume[tuple(place)]) > 0.1:
            break
    return place


def _mask(place: list[int], size: int, rng: torch.Generator) -> tuple[torch.Tensor, list[int]]:
    """A random mask (n, n, n) bool about a voxel, and where its patch begins."""
    low = [min(max(p - size // 2, 0), SIZE - size) for p in place]
    draw = uniform((10,), 0, 1, rng).tolist()
    line = torch.arange(size, device=rng.device, dtype=torch.float32)
    axes = torch.meshgrid(*(line - (p - start) for p, start in zip(place, low, strict=True)), indexing="ij")
    field = smooth_field((size,) * 3, 2 + 3 * draw[9], rng)
    radii = [(1.5 + 9 * draw[1] ** 1.5) * (0.7 + 0.6 * u) for u in draw[2:5]]
    distance = sum((axis / radius).square() for axis, radius in zip(axes, radii, strict=True)).sqrt()
    if draw[0] < _KINDS[0]:
        mask = distance + 0.2 * field < 1
    elif draw[0] < _KINDS[1]:
        mask = (smooth_field((size,) * 3, 1.5, rng) > 1.8 + 0.6 * draw[5]) & (distance < 3)
    elif draw[0] < _KINDS[2]:
        axis, half = int(3 * draw[5]), 0.5 + 2 * draw[6]
        mask = axes[axis].abs() <= half
    else:
        mask = torch.stack([axis.abs() <= radius for axis, radius in zip(axes, radii, strict=True)]).all(dim=0)
    mask[tuple(p - start for p, start in zip(place, low, strict=True))] = True
    return mask, low

"""Random fields of any smoothness, and blur: what textures and shapes are made of."""

import math
from functools import lru_cache

import torch

from meddl.synthesis.acquisition import along_axis


def smooth_field(shape: tuple[int, int, int], length: float, rng: torch.Generator) -> torch.Tensor:
    """A Gaussian random field with correlation length `length` in voxels, mean about 0, standard deviation 1."""
    frequencies = _frequencies(tuple(shape), rng.device)
    return _field(shape, torch.exp(-0.5 * (2 * math.pi * length * frequencies) ** 2 / 2), rng)


def texture(shape: tuple[int, int, int], exponent: float, rng: torch.Generator) -> torch.Tensor:
    """A field whose power falls as frequency to the power of -`exponent`: 0 is white noise, 4 is clouds."""
    frequencies = _frequencies(tuple(shape), rng.device)
    return _field(shape, (frequencies + 0.5 / max(shape)) ** (-exponent / 2), rng)


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """An image (I, J, K) under an isotropic Gaussian of standard deviation `sigma` voxels."""
    for axis, size in enumerate(image.shape):
        image = along_axis(image, _gaussian(size, round(sigma, 3)).to(image), axis)
    return image


@lru_cache(maxsize=8)
def _frequencies(shape: tuple[int, int, int], device: torch.device) -> torch.Tensor:
    """Distance from zero frequency, cycles a voxel, on the half spectrum of a real image."""
    along = [torch.fft.fftfreq(n, device=device) for n in shape[:-1]]
    along.append(torch.fft.rfftfreq(shape[-1], device=device))
    return sum(f.square() for f in torch.meshgrid(*along, indexing="ij")).sqrt()


@lru_cache(maxsize=256)
def _gaussian(size: int, sigma: float) -> torch.Tensor:
    coordinates = torch.arange(size, dtype=torch.float64)
    weights = torch.exp(-0.5 * ((coordinates[:, None] - coordinates[None]) / max(sigma, 1e-3)) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


def _field(shape, amplitude: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    spectrum = torch.randn((*amplitude.shape, 2), generator=rng, device=rng.device)
    field = torch.fft.irfftn(torch.view_as_complex(spectrum) * amplitude, s=tuple(shape))
    return (field - field.mean()) / field.std().clamp_min(1e-12)

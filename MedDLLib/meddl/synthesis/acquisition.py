"""Random resolution, slice thickness and noise: what a scanner does to an object."""

import math
from functools import lru_cache

import torch

from meddl.synthesis.config import SynthesisConfig


@lru_cache(maxsize=4096)
def _axis_operators(size: int, spacing_mm: float, acquired_mm: float, device: torch.device
                    ) -> tuple[torch.Tensor, torch.Tensor]:
    """Along one axis: (m, n) blur and sampling at `acquired_mm`, and (n, m) linear interpolation back.

    The slice profile is a Gaussian whose full width at half maximum is the acquired voxel size, less the
    width that the voxels already have.
    """
    count = max(1, round(size * spacing_mm / acquired_mm))
    fine = (torch.arange(size) - (size - 1) / 2) * spacing_mm
    coarse = (torch.arange(count) - (count - 1) / 2) * acquired_mm
    width = math.sqrt(max(acquired_mm**2 - (0.7 * spacing_mm) ** 2, (0.3 * spacing_mm) ** 2)) / 2.355
    down = torch.exp(-0.5 * ((coarse[:, None] - fine[None]) / width) ** 2)
    down /= down.sum(dim=1, keepdim=True)
    up = (1 - (fine[:, None] - coarse[None].clamp(-1e9, 1e9)).abs() / acquired_mm).clamp_min(0)
    missing = up.sum(dim=1) < 1e-6
    nearest = (fine[:, None] - coarse[None]).abs().argmin(dim=1)
    up[missing, nearest[missing]] = 1
    return down.to(device), (up / up.sum(dim=1, keepdim=True)).to(device)


def along_axis(images: torch.Tensor, matrix: torch.Tensor, axis: int) -> torch.Tensor:
    """A matrix (m, n) applied to one axis (of size n) of a tensor."""
    return torch.tensordot(images, matrix, dims=([axis], [1])).movedim(-1, axis)


def random_voxel_sizes(config: SynthesisConfig, rng: torch.Generator) -> list[float]:
    """Voxel size along each axis of one image, mm, in steps of a tenth; never below the image's own.

    `rng` is on the CPU, so that nothing waits for another device.
    """
    draw = torch.rand(3, generator=rng).tolist()
    sizes = [config.isotropic_mm[0] + draw[0] * (config.isotropic_mm[1] - config.isotropic_mm[0])] * 3
    if draw[1] < config.anisotropic_probability:
        thickness = config.thickness_mm[0] + draw[2] * (config.thickness_mm[1] - config.thickness_mm[0])
        sizes[int(draw[0] * 3) % 3] = thickness
    return [max(config.spacing_mm, round(size, 1)) for size in sizes]


def acquire(image: torch.Tensor, voxel_sizes_mm: list[float], noise_sd: float, config: SynthesisConfig,
            rng: torch.Generator) -> torch.Tensor:
    """One image (I, J, K) as acquired with larger voxels and noise, interpolated back to its grid."""
    operators = [_axis_operators(n, config.spacing_mm, size, image.device)
                 for n, size in zip(image.shape, voxel_sizes_mm, strict=True)]
    changed = [axis for axis, size in enumerate(voxel_sizes_mm) if size > config.spacing_mm]
    for axis in changed:
        image = along_axis(image, operators[axis][0], axis)
    image = image + torch.randn(image.shape, generator=rng, device=rng.device) * noise_sd
    for axis in changed:
        image = along_axis(image, operators[axis][1], axis)
    return image

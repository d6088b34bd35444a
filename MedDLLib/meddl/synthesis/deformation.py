"""Random smooth deformations, and label maps warped by them."""

import math

import torch
import torch.nn.functional as F

from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.random import uniform


def random_affine(batch: int, config: SynthesisConfig, rng: torch.Generator) -> torch.Tensor:
    """Rotation, scaling and shear, (B, 3, 3), acting on millimeters about the center."""
    device = rng.device
    angles = uniform((batch, 3), -1, 1, rng) * math.radians(config.rotation_degrees)
    cos, sin = angles.cos(), angles.sin()
    rotation = torch.eye(3, device=device).expand(batch, 3, 3)
    for axis in range(3):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3, device=device).repeat(batch, 1, 1)
        turn[:, a, a] = turn[:, b, b] = cos[:, axis]
        turn[:, a, b], turn[:, b, a] = -sin[:, axis], sin[:, axis]
        rotation = rotation @ turn
    shear = torch.eye(3, device=device) + uniform((batch, 3, 3), -config.shear, config.shear, rng)
    scale = torch.diag_embed(uniform((batch, 3), *config.scale, rng))
    return rotation @ shear @ scale


def random_displacement(batch: int, config: SynthesisConfig, rng: torch.Generator, steps: int = 5) -> torch.Tensor:
    """A smooth invertible displacement in mm, (B, 3, I, J, K) on `config.shape`.

    A stationary velocity field on coarse control points, integrated by scaling and squaring
    (Arsigny et al. 2006, doi:10.1007/11866565_113) at a quarter of the resolution.
    """
    extent = [n * config.spacing_mm for n in config.shape]
    control = [max(4, round(e / config.elastic_spacing_mm)) for e in extent]
    coarse = [max(8, n // 4) for n in config.shape]
    strength = uniform((batch, 1, 1, 1, 1), 0, config.elastic_mm, rng)
    velocity = torch.randn((batch, 3, *control), generator=rng, device=rng.device) * strength
    field = F.interpolate(velocity, size=coarse, mode="trilinear", align_corners=True) / 2**steps
    axes = [torch.linspace(-1, 1, n, device=rng.device) for n in coarse]
    identity = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    to_normalized = torch.tensor([2 / e for e in extent], device=rng.device)
    for _ in range(steps):
        coordinates = identity + field.permute(0, 2, 3, 4, 1) * to_normalized
        field = field + F.grid_sample(field, coordinates.flip(-1), padding_mode="border", align_corners=True)
    return F.interpolate(field, size=config.shape, mode="trilinear", align_corners=True)


def source_coordinates(affine: torch.Tensor, center: torch.Tensor, displacement: torch.Tensor | None,
                       config: SynthesisConfig) -> list[torch.Tensor]:
    """Where each voxel looks in its map, in 1 mm voxels: three tensors (B, I, J, K).

    Args:
        affine: (B, 3, 3); center: (B, 3), the map's voxel at the image's center.
    """
    device = affine.device
    axes = [(torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2) * config.spacing_mm
            for n in config.shape]
    coordinates = []
    for row in range(3):
        terms = [affine[:, row, column].reshape(-1, 1, 1, 1) * axes[column].reshape(
            [-1 if a == column else 1 for a in range(3)]) for column in range(3)]
        sum_of_terms = terms[0] + terms[1] + terms[2] + center[:, row].reshape(-1, 1, 1, 1)
        if displacement is not None:
            for column in range(3):
                sum_of_terms.addcmul_(affine[:, row, column].reshape(-1, 1, 1, 1), displacement[:, column])
        coordinates.append(sum_of_terms)
    return coordinates


def look_up(rows: torch.Tensor, which: torch.Tensor, coordinates: list[torch.Tensor],
            offset: torch.Tensor | None = None) -> torch.Tensor:
    """Nearest label rows (B, I, J, K) uint8 in the maps `which` (B,), background outside.

    Args:
        rows: (M, I, J, K) uint8; offset: (B, 3) in voxels, added to the coordinates.
    """
    index = which.reshape(-1, 1, 1, 1).to(torch.int64)
    inside = None
    for axis, along in enumerate(coordinates):
        size = rows.shape[axis + 1]
        moved = along if offset is None else along + offset[:, axis].reshape(-1, 1, 1, 1)
        nearest = moved.round().to(torch.int64)
        valid = (nearest >= 0) & (nearest < size)
        inside = valid if inside is None else inside & valid
        index = index * size + nearest.clamp_(0, size - 1)
    return rows.reshape(-1)[index] * inside

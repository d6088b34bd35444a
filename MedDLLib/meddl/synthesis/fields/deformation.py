"""Random smooth deformations, and label maps warped by them."""

import math

import torch
import torch.nn.functional as F

from meddl.spatial.grid import three
from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.fields.lattice import enlarge
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
    """A smooth invertible displacement in mm, (B, 3, i, j, k): at a quarter of the resolution, see `lattice.enlarge`.

    A stationary velocity field on coarse control points, integrated by scaling and squaring
    (Arsigny et al. 2006, doi:10.1007/11866565_113).
    """
    extent = [n * config.spacing_mm for n in config.shape]
    control = [max(4, round(e / config.elastic_spacing_mm)) for e in extent]
    coarse = three(max(8, n // 4) for n in config.shape)
    strength = uniform((batch, 1, 1, 1, 1), 0, config.elastic_mm, rng)
    velocity = torch.randn((batch, 3, *control), generator=rng, device=rng.device) * strength
    field = enlarge(velocity, coarse) / 2**steps
    identity = torch.stack(_axes(coarse, [1.0] * 3, rng.device), dim=-1)
    scales = [2 / e for e in extent]
    for _ in range(steps):
        moved = torch.stack([field[:, axis] * scale for axis, scale in enumerate(scales)], dim=-1) + identity
        field = field + F.grid_sample(field, moved.flip(-1), padding_mode="border", align_corners=True)
    return field


def source_coordinates(affine: torch.Tensor, center: torch.Tensor, displacement: torch.Tensor | None,
                       config: SynthesisConfig) -> torch.Tensor:
    """Where each voxel looks in its map, in 1 mm voxels: (B, 3, I, J, K).

    Args:
        affine: (B, 3, 3); center: (B, 3), the map's voxel at the image's center.
        displacement: as of `random_displacement`; None for none.
    """
    lattice = (2, 2, 2) if displacement is None else displacement.shape[2:]
    half = [(n - 1) / 2 * config.spacing_mm for n in config.shape]
    places = torch.stack(_axes(lattice, half, affine.device))[None]
    if displacement is not None:
        places = places + displacement
    moved = torch.matmul(affine, places.flatten(2)) + center[:, :, None]
    return enlarge(moved.reshape(-1, 3, *lattice), config.shape)


def _axes(shape, half, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Coordinates from -half to half along each axis, each (i, j, k)."""
    along = [torch.linspace(-h, h, n, device=device) for n, h in zip(shape, half, strict=True)]
    return torch.meshgrid(*along, indexing="ij")


def look_up(maps: torch.Tensor, which: torch.Tensor, coordinates: torch.Tensor,
            offset: torch.Tensor | None = None) -> torch.Tensor:
    """Nearest values (B, I, J, K) in the maps `which` (B,), their border beyond them.

    Args:
        maps: (M, I + 2, J + 2, K + 2), fewer than 2^31 voxels, with a border of one voxel.
        coordinates: (B, 3, I, J, K) in voxels within the border.
        offset: (B, 3) in voxels, added to the coordinates.
    """
    index = which.reshape(-1, 1, 1, 1).to(torch.int32)
    for axis, size in enumerate(maps.shape[1:]):
        shift = 1.5 if offset is None else (offset[:, axis] + 1.5).reshape(-1, 1, 1, 1)
        nearest = (coordinates[:, axis] + shift).clamp_(0, size - 0.5).to(torch.int32)
        index = nearest.add_(index.mul(size))
    return maps.reshape(-1).index_select(0, index.reshape(-1)).reshape(index.shape)

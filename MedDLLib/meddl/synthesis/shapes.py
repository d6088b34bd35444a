"""Random shapes: volumes that show no anatomy, so that a network trained on them can lean on none.

Regions, sheets and tubes are level sets of smooth random fields: where one field is near zero lies a curved sheet,
where two are lies a tube. Ellipsoids and lesions of one to three voxels are drawn one by one. Over all lies texture.
"""

from dataclasses import dataclass

import torch

from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.fields.deformation import random_affine
from meddl.synthesis.fields.noise_fields import blur, smooth_field, texture
from meddl.synthesis.random import uniform

_SLOPE = 1.6  # mean length of the gradient of a smooth field of correlation length 1


@dataclass(frozen=True)
class ShapesConfig:
    """What the volumes hold. Ranges are (smallest, largest); lengths are in voxels.

    Attributes:
        shape: voxels of a volume.
        region_length: correlation length of the field whose levels are regions.
        regions: how many levels.
        ellipsoids, ellipsoid_radius: how many, and their semi-axes.
        sheets, sheet_thickness: how many systems of curved sheets, and how thick.
        tubes, tube_radius: how many systems of curved tubes, and their radius.
        lesions, lesion_radius: how many small bright or dark balls, and their radius.
        texture_sd: standard deviation of the texture, of a range of about 1.
        texture_exponent: how fast its power falls with frequency.
        blur_sigma: of the imaging system.
    """

    shape: tuple[int, int, int] = (96, 96, 96)
    region_length: tuple[float, float] = (4.0, 20.0)
    regions: tuple[int, int] = (2, 7)
    ellipsoids: tuple[int, int] = (0, 20)
    ellipsoid_radius: tuple[float, float] = (2.0, 16.0)
    sheets: tuple[int, int] = (0, 2)
    sheet_thickness: tuple[float, float] = (1.0, 4.0)
    tubes: tuple[int, int] = (0, 2)
    tube_radius: tuple[float, float] = (0.7, 3.5)
    lesions: tuple[int, int] = (0, 60)
    lesion_radius: tuple[float, float] = (0.5, 1.6)
    texture_sd: tuple[float, float] = (0.0, 0.12)
    texture_exponent: tuple[float, float] = (0.5, 4.0)
    blur_sigma: tuple[float, float] = (0.3, 0.8)


class ShapeGenerator:
    """Makes volumes of random shapes.

    Args:
        config: ranges of everything random.
        seed: the same seed gives the same volumes on the same device.
        device: where they are made.
    """

    def __init__(self, config: ShapesConfig | None = None, seed: int = 0, device: torch.device | str = "cpu"):
        self.config = config or ShapesConfig()
        self.rng = torch.Generator(device).manual_seed(seed)

    @torch.no_grad()
    def sample(self) -> torch.Tensor:
        """A volume (I, J, K), float32; its values spread over about 1, about any middle, often below zero."""
        config = self.config
        image = self._regions()
        for _ in range(self._count(config.sheets)):
            length = self._number((6.0, 20.0))
            distance = smooth_field(config.shape, length, self.rng).abs_() * (length / _SLOPE)
            self._paint(image, 0.5 * self._number(config.sheet_thickness) - distance)
        for _ in range(self._count(config.tubes)):
            length = self._number((6.0, 20.0))
            fields = [smooth_field(config.shape, length, self.rng) for _ in range(2)]
            distance = torch.hypot(*fields) * (length / _SLOPE)
            self._paint(image, self._number(config.tube_radius) - distance)
        for _ in range(self._count(config.ellipsoids)):
            radii = [self._number(config.ellipsoid_radius) for _ in range(3)]
            self._ellipsoid(image, radii, uniform((), -0.5, 1.5, self.rng))
        image = self._add_texture(image)
        for _ in range(self._count(config.lesions)):
            contrast = uniform((), 0.2, 1.0, self.rng) * (1 - 2 * torch.randint(2, (), generator=self.rng,
                                                                                 device=self.rng.device))
            self._ellipsoid(image, [self._number(config.lesion_radius)] * 3, contrast, added=True)
        image = blur(image, self._number(config.blur_sigma))
        sign = 1 - 2 * torch.randint(2, (), generator=self.rng, device=self.rng.device)
        return sign * image + uniform((), -1, 1, self.rng)

    def _number(self, limits: tuple[float, float]) -> float:
        return float(uniform((), *limits, self.rng))

    def _count(self, limits: tuple[int, int]) -> int:
        return int(torch.randint(limits[0], limits[1] + 1, (), generator=self.rng, device=self.rng.device))

    def _regions(self) -> torch.Tensor:
        """Levels of a smooth field, each with an intensity; the edges are about a voxel wide where it is steep."""
        config, rng = self.config, self.rng
        length = self._number(config.region_length)
        distance = smooth_field(config.shape, length, rng) * (length / _SLOPE)
        image = torch.full_like(distance, self._number((0, 1)))
        for threshold in sorted(self._number((-1.5, 1.5)) for _ in range(self._count(config.regions))):
            self._paint(image, distance - threshold * length / _SLOPE)
        return image

    def _paint(self, image: torch.Tensor, depth: torch.Tensor) -> None:
        """A new intensity where `depth`, the distance inwards from an edge, is above zero."""
        image.lerp_(uniform((), 0, 1, self.rng).expand_as(image), (depth + 0.5).clamp_(0, 1))

    def _ellipsoid(self, image: torch.Tensor, radii: list[float], value: torch.Tensor, added: bool = False) -> None:
        """An ellipsoid anywhere, in any direction, its edge a voxel wide."""
        rng = self.rng
        center = [self._number((0, n - 1)) for n in image.shape]
        reach = max(radii) + 1
        box = [slice(max(0, int(c - reach)), int(c + reach) + 2) for c in center]
        axes = [torch.arange(n, device=rng.device)[where] - c
                for n, where, c in zip(image.shape, box, center, strict=True)]
        rotation = random_affine(1, _ANY_ROTATION, rng)[0]
        scaled = rotation / torch.tensor(radii, device=rng.device)[:, None]
        place = sum(row.square() for row in (
            sum(weight * axis.reshape([-1 if a == n else 1 for a in range(3)]) for n, (weight, axis) in
                enumerate(zip(weights, axes, strict=True))) for weights in scaled)).sqrt_()
        inside = ((1 - place) * min(radii) + 0.5).clamp_(0, 1)
        part = image[tuple(box)]
        if added:
            part.add_(inside * value)
        else:
            part.lerp_(value.expand_as(part), inside)

    def _add_texture(self, image: torch.Tensor) -> torch.Tensor:
        """Texture, stronger where the volume is bright or where it is dark."""
        config, rng = self.config, self.rng
        strength = self._number(config.texture_sd) * (1 + self._number((-1, 1)) * (image - 0.5))
        return image + strength * texture(config.shape, self._number(config.texture_exponent), rng)


_ANY_ROTATION = SynthesisConfig(rotation_degrees=180.0, scale=(1.0, 1.0), shear=0.0)

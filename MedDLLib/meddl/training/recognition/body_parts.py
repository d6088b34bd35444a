"""Volumes that are no heads, coarse and made of simple solids: limbs, trunks, necks, phantoms and random shapes."""

import torch

from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.contrasts import CONTRASTS, means_of
from meddl.synthesis.fields.deformation import random_affine
from meddl.synthesis.fields.noise_fields import blur, smooth_field
from meddl.synthesis.random import decide, uniform
from meddl.synthesis.shapes import ShapeGenerator, ShapesConfig

_TISSUES = ("soft tissue", "skin and fat", "bone", "marrow", "csf", "vessel")
_SOFT, _FAT, _BONE, _MARROW, _FLUID, _VESSEL = range(len(_TISSUES))
_KNOWN_CONTRAST = 0.6   # probability that the tissues have the means of a known contrast, about
_OBLIQUE = SynthesisConfig(rotation_degrees=30.0, scale=(1.0, 1.0), shear=0.1)


class BodyPartGenerator:
    """Makes such volumes.

    Args:
        size: voxels along each axis.
        spacing_mm: voxel size.
        seed: the same seed gives the same volumes.
    """

    def __init__(self, size: int, spacing_mm: float, seed: int = 0):
        self.size, self.spacing_mm = size, spacing_mm
        self._shape = (size, size, size)
        self.rng = torch.Generator().manual_seed(seed)
        self._shapes = ShapeGenerator(ShapesConfig(shape=(size,) * 3, region_length=(2.0, 10.0), sheet_thickness=(
            1.0, 2.0), ellipsoid_radius=(1.0, 10.0), lesions=(0, 6)), seed + 1)
        self._kinds = (self._limbs, self._limbs, self._trunk, self._trunk, self._neck, self._phantom, self._random)

    @torch.no_grad()
    def sample(self) -> torch.Tensor:
        """A volume (N, N, N), float32 in [0, 1]."""
        self._means = self._tissues()
        along = (torch.arange(self.size) - (self.size - 1) / 2) * self.spacing_mm
        grid = torch.stack(torch.meshgrid(along, along, along, indexing="ij"))
        matrix = random_affine(1, _OBLIQUE, self.rng)[0]
        self._x, self._y, self._z = torch.einsum("ab,bijk->aijk", matrix, grid)
        image = self._kinds[int(torch.randint(len(self._kinds), (), generator=self.rng))]()
        image = image * (1 + self._number(0, 0.15) * smooth_field(self._shape, self._number(1, 6), self.rng))
        image = blur(image, self._number(0.3, 0.8) if decide(0.85, self.rng) else self._number(1, 2.5))
        return ((image - image.min()) / (image.max() - image.min()).clamp_min(1e-6)).clamp_(0, 1)

    def _limbs(self) -> torch.Tensor:
        image = self._empty()
        apart = self._number(70, 110)
        radius, length = self._number(28, 95), self._number(150, 600)
        for side in ((-1, 1) if decide(0.5, self.rng) else (0,)):
            self._limb(image, side * max(apart, radius * 0.95), radius, length)
        return image

    def _limb(self, image: torch.Tensor, x: float, radius: float, length: float) -> None:
        """A tapered limb: fat, muscle, one bone or two, thicker at a joint, now and then with an end."""
        taper, joint = self._number(-0.5, 0.5), self._number(-200, 200)
        width = radius * (1 + taper * self._z / 300)
        end = self._number(0, 140) + length / 2 - self._z if decide(0.3, self.rng) else None
        place = torch.hypot(self._x - x, (self._y - self._number(-20, 20)) * self._number(0.8, 1.25))
        depth = width - place if end is None else torch.minimum(width - place, end)
        fat = self._number(0.04, 0.4) * radius
        self._paint(image, depth, _FAT)
        self._paint(image, depth - fat, _SOFT)
        if decide(0.4, self.rng):
            self._muscles(image, depth - fat)
        swelling = 1 + self._number(0, 1.2) * torch.exp(-((self._z - joint) / 40) ** 2)
        inner = max(8.0, radius - fat)
        for _ in range(2 if decide(0.4, self.rng) else 1):
            bone = self._number(0.14, 0.3) * inner * swelling
            a, b = self._number(-0.45, 0.45) * inner, self._number(-0.45, 0.45) * inner
            reach = bone - torch.hypot(self._x - x - a, self._y - b)
            self._paint(image, torch.minimum(reach, depth), _BONE)
            self._paint(image, torch.minimum(reach - self._number(3, 7), depth), _MARROW)

    def _muscles(self, image: torch.Tensor, depth: torch.Tensor) -> None:
        """Dark or bright sheets between the muscles."""
        field = smooth_field(self._shape, self._number(3, 8), self.rng).abs_()
        self._paint(image, torch.minimum((0.15 - field) * 4 * self.spacing_mm, depth), _FAT)

    def _trunk(self) -> torch.Tensor:
        image = self._empty()
        wide, deep = self._number(110, 200), self._number(80, 135)
        depth = self._inside((0, 0), (wide, deep))
        fat = self._number(4, 40)
        self._paint(image, depth, _FAT)
        self._paint(image, depth - fat, _SOFT)
        cavity = depth - fat - self._number(8, 25)
        base = self._number(-200, 200)
        for side in (-1, 1):
            lung = self._ball((side * wide * 0.42, 0, base + self._number(90, 130)), (wide * 0.34, deep * 0.6, 130))
            self._paint(image, torch.minimum(lung, cavity), None)
            hip = self._ball((side * wide * 0.5, self._number(-30, 30), base - 260), (40, 25, 60))
            self._paint(image, torch.minimum(hip, cavity), _BONE)
            self._paint(image, torch.minimum(hip - 6, cavity), _MARROW)
        for _ in range(int(torch.randint(3, 12, (), generator=self.rng))):
            center = [self._number(-0.7, 0.7) * wide, self._number(-0.6, 0.6) * deep, self._number(-200, 200)]
            organ = torch.minimum(self._ball(center, [self._number(12, 80) for _ in range(3)]), cavity)
            value = self._number(0, 1) if decide(0.5, self.rng) else float(self._means[_SOFT]) + self._number(-.15, .15)
            self._paint(image, organ, value)
        spine = self._number(14, 26) - torch.hypot(self._x, self._y + deep * 0.62)
        self._paint(image, spine, _BONE)
        self._paint(image, spine - 4, _MARROW)
        self._paint(image, self._number(6, 11) - torch.hypot(self._x, self._y + deep * 0.62 + 24), _FLUID)
        self._paint(image, self._number(8, 15) - torch.hypot(self._x - 12, self._y + deep * 0.35), _VESSEL)
        return image

    def _neck(self) -> torch.Tensor:
        image = self._empty()
        depth = self._inside((0, 0), (self._number(50, 75), self._number(50, 75)))
        if decide(0.5, self.rng):  # shoulders
            below = self._number(-120, -40) - self._z
            shoulders = torch.minimum(self._inside((0, 0), (230, 100)), below)
            depth = torch.maximum(depth, shoulders)
        self._paint(image, depth, _FAT)
        self._paint(image, depth - self._number(3, 14), _SOFT)
        vertebra = self._number(10, 18) - torch.hypot(self._x, self._y + 18)
        self._paint(image, vertebra, _MARROW)
        self._paint(image, self._number(6, 10) - torch.hypot(self._x, self._y + 38), _FLUID)
        self._paint(image, self._number(5, 11) - torch.hypot(self._x, self._y - 22), None)
        return image

    def _phantom(self) -> torch.Tensor:
        """A ball, cylinder or box of any shape with a shell and inserts."""
        image = self._empty()
        radii = [self._number(25, 130) for _ in range(3)]
        kind = int(torch.randint(3, (), generator=self.rng))
        if kind == 0:
            depth = self._ball((0, 0, 0), radii)
        elif kind == 1:
            depth = torch.minimum(self._inside((0, 0), (radii[0], radii[1])), radii[2] - self._z.abs())
        else:
            depth = torch.stack([r - c.abs() for r, c in zip(radii, (self._x, self._y, self._z), strict=True)]).amin(0)
        self._paint(image, depth, self._number(0.1, 1))
        self._paint(image, depth - self._number(0, 15), self._number(0.1, 1))
        for _ in range(int(torch.randint(0, 10, (), generator=self.rng))):
            ball = self._ball([self._number(-0.6, 0.6) * r for r in radii], [self._number(6, 50)] * 3)
            self._paint(image, torch.minimum(ball, depth), self._number(0, 1))
        return image

    def _random(self) -> torch.Tensor:
        """Random shapes, in a ball or everywhere."""
        image = self._shapes.sample()
        if decide(0.5, self.rng):
            return image
        depth = self._ball((0, 0, 0), [self._number(40, 150) for _ in range(3)])
        return (image - image.min()) * self._edge(depth)

    # --- drawing ---

    def _tissues(self) -> torch.Tensor:
        free = uniform((len(_TISSUES),), 0, 1, self.rng)
        if not decide(_KNOWN_CONTRAST, self.rng):
            return free
        column = int(torch.randint(len(CONTRASTS), (), generator=self.rng))
        known = torch.tensor([float(means_of(tissue)[column]) for tissue in _TISSUES])
        return (known + 0.07 * torch.randn(len(_TISSUES), generator=self.rng)).clamp_(0, 1)

    def _number(self, low: float, high: float) -> float:
        return float(uniform((), low, high, self.rng))

    def _empty(self) -> torch.Tensor:
        return torch.zeros(self._shape)

    def _inside(self, center: tuple[float, float], radii: tuple[float, float]) -> torch.Tensor:
        """About how deep inside of an elliptic cylinder along the third axis, mm."""
        place = torch.hypot((self._x - center[0]) / radii[0], (self._y - center[1]) / radii[1])
        return (1 - place) * min(radii)

    def _ball(self, center, radii) -> torch.Tensor:
        """The same for an ellipsoid."""
        axes = zip((self._x, self._y, self._z), center, radii, strict=True)
        place = torch.stack([((along - middle) / radius).square() for along, middle, radius in axes]).sum(dim=0)
        return (1 - place.sqrt()) * min(radii)

    def _edge(self, depth: torch.Tensor) -> torch.Tensor:
        return (depth / self.spacing_mm + 0.5).clamp(0, 1)

    def _paint(self, image: torch.Tensor, depth: torch.Tensor, value: int | float | None) -> None:
        """A tissue (its number), an intensity, or air (None) where `depth` in mm is above zero."""
        level = 0.02 if value is None else float(self._means[value]) if isinstance(value, int) else value
        image.lerp_(torch.full_like(image, level), self._edge(depth))

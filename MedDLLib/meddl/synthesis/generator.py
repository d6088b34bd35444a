"""Random heads for training: images with their labels."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from meddl.spatial.normalize import to_unit_range
from meddl.synthesis.acquisition import acquire, random_voxel_sizes
from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.contrasts import CONTRASTS, tissue_means
from meddl.synthesis.deformation import look_up, random_affine, random_displacement, source_coordinates
from meddl.synthesis.intensity import random_bias, random_gamma, random_saturation, random_tissues
from meddl.synthesis.labels import LabelMaps
from meddl.synthesis.random import chance, uniform

_TETRAHEDRON = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))  # where a voxel is probed for partial volume


@dataclass(frozen=True)
class Batch:
    """Images and what is in them.

    Attributes:
        images: (B, 1, I, J, K) float32 in [0, 1].
        rows: (B, I, J, K) uint8, row of the label table at each voxel.
        seen: (B, I, J, K) bool, false outside a partial field of view.
    """

    images: torch.Tensor
    rows: torch.Tensor
    seen: torch.Tensor


class HeadGenerator:
    """Makes random images of the heads in some label maps, on the device where the maps are.

    Args:
        maps: the heads.
        config: ranges of everything random.
        seed: the same seed gives the same images on the same device.
        contrasts: the known contrasts that a fraction of the images has (`SynthesisConfig.prior_probability`).
    """

    def __init__(self, maps: LabelMaps, config: SynthesisConfig | None = None, seed: int = 0,
                 contrasts: tuple[str, ...] = CONTRASTS):
        self.maps = maps
        self.config = config or SynthesisConfig()
        device = maps.rows.device
        self.rng = torch.Generator(device).manual_seed(seed)
        table = maps.table
        self._mirrors = torch.as_tensor(table.mirrors, device=device, dtype=torch.uint8)
        tissues = torch.as_tensor(table.tissues, device=device)
        # A label outside the brain may look like one of two tissues, in patches: its second row is N further.
        self._outside = torch.as_tensor((table.targets == 0), device=device)
        self._tissue_count = int(tissues.max()) + 1
        self._tissues = torch.cat([tissues, tissues + self._tissue_count])
        priors = tissue_means(table)[[CONTRASTS.index(contrast) for contrast in contrasts]]
        self._priors = torch.as_tensor(priors, device=device)
        self._brain = torch.as_tensor((table.targets > 0) & (table.targets != 24), device=device)
        self._fluid = torch.as_tensor(table.targets == 24, device=device)

    @torch.no_grad()
    def sample(self, batch: int) -> Batch:
        """Draw a batch."""
        rng, config, maps = self.rng, self.config, self.maps
        which = torch.randint(maps.rows.shape[0], (batch,), generator=rng, device=rng.device)
        affine = random_affine(batch, config, rng)
        mirrored = chance(batch, config.mirror_probability, rng)
        affine[:, 0] *= torch.where(mirrored, -1.0, 1.0)[:, None]
        center = maps.centers[which] + uniform((batch, 3), -1, 1, rng) * config.center_jitter_mm
        coordinates = source_coordinates(affine, center, random_displacement(batch, config, rng), config)
        rows = look_up(maps.rows, which, coordinates)
        images = self._intensities(rows, which, coordinates, affine)
        images *= random_bias(batch, config, rng)[:, 0]
        rows = torch.where(mirrored.reshape(-1, 1, 1, 1), self._mirrors[rows.int()], rows)
        images, rows = self._background(images, rows)
        images = to_unit_range(images[:, None], 0.0, 0.998)
        images = random_saturation(random_gamma(images, config, rng), config, rng)
        noise = uniform((batch,), *config.noise_sd, rng).tolist()
        images = torch.stack([
            acquire(image, random_voxel_sizes(config, rng), sd, config, rng)
            for image, sd in zip(images[:, 0], noise, strict=True)])
        seen = self._field_of_view(batch)
        images = to_unit_range((images.clamp_min_(0) * seen)[:, None])
        return Batch(images, rows, seen)

    def _intensities(self, rows, which, coordinates, affine) -> torch.Tensor:
        """Gaussian mixture with partial volume: the mean of four probes within each voxel, plus texture."""
        batch, config, rng = rows.shape[0], self.config, self.rng
        priors = torch.cat([self._priors, self._priors], dim=1)
        means, deviations = random_tissues(batch, priors, config, rng)
        first_row = torch.arange(batch, device=rows.device).reshape(-1, 1, 1, 1) * len(self._tissues)
        mean_of_row = means[:, self._tissues].reshape(-1)
        # Patches in which tissues outside the brain take their second appearance.
        patches = F.interpolate(torch.randn((batch, 1, 8, 8, 8), generator=rng, device=rng.device),
                                size=config.shape, mode="trilinear", align_corners=True)[:, 0] > 0.3
        second = patches * len(self._outside)

        def appearance(labels):
            labels = labels.int()
            return first_row + labels + second * self._outside[labels]

        center = appearance(rows)
        noise = torch.randn(rows.shape, generator=rng, device=rng.device)
        image = noise.mul_(deviations[:, self._tissues].reshape(-1)[center])
        for corner in _TETRAHEDRON:
            offset = affine @ torch.tensor(corner, device=rows.device, dtype=torch.float32) * (config.spacing_mm / 4)
            image.add_(mean_of_row[appearance(look_up(self.maps.rows, which, coordinates, offset))], alpha=0.25)
        return image.clamp_min_(0)

    def _background(self, images, rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Some heads on black, some without skull: what was stripped away is background in the labels too."""
        batch, config, rng = rows.shape[0], self.config, self.rng
        labels = rows.int()
        stripped = chance(batch, config.stripped_probability, rng)
        dark = chance(batch, config.dark_background_probability, rng)
        keep = ~((labels == 0) & dark.reshape(-1, 1, 1, 1))
        if bool(stripped.any()):
            brain = self._brain[labels[stripped]].float()[:, None]
            reach = torch.randint(0, 4, (brain.shape[0],), generator=rng, device=rng.device).tolist()
            masks = []
            for mask, steps in zip(brain, reach, strict=True):
                if steps:
                    size = 2 * steps + 1 if config.spacing_mm < 3 else 3
                    mask = F.avg_pool3d(mask[None], size, stride=1, padding=size // 2)[0] > 0.25
                masks.append(mask[0] > 0)
            fluid = self._fluid[labels[stripped]] & chance(brain.shape[0], 0.3, rng).reshape(-1, 1, 1, 1)
            left = torch.stack(masks) | (fluid & self._near_brain(brain))
            keep[stripped] = left
            rows[stripped] = rows[stripped] * left
        return images * keep, rows

    def _near_brain(self, brain: torch.Tensor) -> torch.Tensor:
        """Within about 8 mm of the brain, (B, I, J, K) bool."""
        size = 2 * max(1, round(8 / self.config.spacing_mm)) + 1
        for axis in range(3):
            kernel = [size if a == axis else 1 for a in range(3)]
            brain = F.max_pool3d(brain, kernel, stride=1, padding=[k // 2 for k in kernel])
        return brain[:, 0] > 0

    def _field_of_view(self, batch: int) -> torch.Tensor:
        """Which voxels a partial field of view shows, (B, I, J, K) bool."""
        config, rng = self.config, self.rng
        seen = torch.ones((batch, *config.shape), dtype=torch.bool, device=rng.device)
        cropped = chance(batch, config.crop_probability, rng)
        for axis, size in enumerate(config.shape):
            along = torch.arange(size, device=rng.device)[None] + 0.5
            kept = uniform((batch, 1), config.crop_fraction, 1, rng) * size
            kept = torch.where(chance(batch, 0.5, rng)[:, None] & cropped[:, None], kept, size)
            start = uniform((batch, 1), 0, 1, rng) * (size - kept)
            shown = (along > start) & (along < start + kept)
            seen &= shown.reshape(batch, *[size if a == axis else 1 for a in range(3)])
        return seen

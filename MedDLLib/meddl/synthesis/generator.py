"""Random heads for training: images with their labels.

Nothing waits for the device: what an image needs is decided by random numbers on the CPU, and what the voxels are by
tables that are looked up.
"""

from dataclasses import dataclass

import torch

from meddl.spatial.normalize import to_unit_range
from meddl.synthesis.acquisition import acquire, random_voxel_sizes
from meddl.synthesis.boundaries import LESION, WHITE_MATTER, Boundaries
from meddl.synthesis.config import SynthesisConfig
from meddl.synthesis.contrasts import CONTRASTS, tissue_means
from meddl.synthesis.fields.deformation import look_up, random_affine, random_displacement, source_coordinates
from meddl.synthesis.fields.lattice import box_sums, enlarge
from meddl.synthesis.intensity import random_bias, random_gamma, random_saturation, random_tissues
from meddl.synthesis.labels import LabelMaps
from meddl.synthesis.random import chance, decide, uniform

_TETRAHEDRON = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))  # where a voxel is probed for partial volume
_CSF = (24, 4, 5, 14, 15, 43, 44, 72)  # alike in a known contrast
_LESION_LEVELS = (1.2, 2.4)  # standard deviations of the field above which a lesion is: many large ones to none


@dataclass(frozen=True)
class Batch:
    """Images and what is in them.

    Attributes:
        images: (B, 1, I, J, K) float32 in [0, 1].
        rows: (B, I, J, K) uint8, row of the label table at each voxel.
        seen: (B, I, J, K) bool, false outside a partial field of view.
        targets: (B, C, I, J, K) float32, the same heads in known contrasts, about 0 to 1, without noise, on black; no
            channel where none were asked for.
    """

    images: torch.Tensor
    rows: torch.Tensor
    seen: torch.Tensor
    targets: torch.Tensor


class HeadGenerator:
    """Makes random images of the heads in some label maps, on the device where the maps are.

    Args:
        maps: the heads.
        config: ranges of everything random.
        seed: the same seed gives the same images on the same device.
        contrasts: the known contrasts that a fraction of the images has (`SynthesisConfig.prior_probability`).
        targets: known contrasts in which each head is rendered besides.
    """

    def __init__(self, maps: LabelMaps, config: SynthesisConfig | None = None, seed: int = 0,
                 contrasts: tuple[str, ...] = CONTRASTS, targets: tuple[str, ...] = ()):
        self.maps = maps
        self.config = config or SynthesisConfig()
        device = maps.rows.device
        self.rng = torch.Generator(device).manual_seed(seed)
        self._on_cpu = torch.Generator().manual_seed(seed)
        table = maps.table
        self._boundaries = Boundaries(table, device)
        self._mirrors = torch.as_tensor(table.mirrors, device=device, dtype=torch.uint8)
        self._tissues = torch.as_tensor(table.tissues, device=device)
        self._tissue_count = int(self._tissues.max()) + 1
        # A label outside the brain may look like one of two tissues, in patches; white matter has lesions in others.
        labels = torch.as_tensor(table.labels, device=device)
        second = torch.where(torch.as_tensor(table.targets == 0, device=device), self._tissue_count, 0) + self._tissues
        lesion = self._tissues.clone()
        if bool((found := torch.isin(labels, torch.tensor(LESION, device=device))).any()):
            lesion[torch.isin(labels, torch.tensor(WHITE_MATTER, device=device))] = self._tissues[found][0]
        self._appearances = torch.stack([self._tissues, second, lesion, torch.where(
            second != self._tissues, second, lesion)])
        means = torch.as_tensor(tissue_means(table), device=device).repeat(1, 2)
        self._priors, self._targets = (means[[CONTRASTS.index(contrast) for contrast in names]]
                                       for names in (contrasts, targets))
        self._alike = torch.arange(2 * self._tissue_count, device=device)
        csf = [int(table.tissues[row]) for value in _CSF for row in (table.labels == value).nonzero()[0]]
        self._alike[csf] = csf[0] if csf else 0
        self._brain = torch.as_tensor((table.targets > 0) & (table.targets != 24), device=device)
        self._csf = torch.as_tensor(table.targets == 24, device=device)
        self._corners = torch.tensor(_TETRAHEDRON, device=device, dtype=torch.float32) * (self.config.spacing_mm / 4)

    @property
    def decisions(self) -> torch.Generator:
        """What decides, on the CPU, which images get what: `rng` itself where that is there."""
        return self.rng if self.rng.device.type == "cpu" else self._on_cpu

    def draw_from(self, other: "HeadGenerator") -> None:
        """Draw from another generator's sources."""
        self.rng, self._on_cpu = other.rng, other._on_cpu

    def state(self) -> dict:
        """Tensors to go on from."""
        return {"rng": self.rng.get_state().cpu(), "decisions": self.decisions.get_state()}

    def resume(self, state: dict) -> None:
        """Go on from such a state."""
        self.decisions.set_state(state.get("decisions", self.decisions.get_state()).cpu())  # not in version 0.1.0
        self.rng.set_state(state["rng"].cpu())

    @torch.no_grad()
    def sample(self, batch: int) -> Batch:
        """Draw a batch."""
        rng, config, maps = self.rng, self.config, self.maps
        which = torch.randint(maps.rows.shape[0], (batch,), generator=rng, device=rng.device)
        affine = random_affine(batch, config, rng)
        mirrored = chance(batch, config.mirror_probability, rng)
        affine[:, 0] *= torch.where(mirrored, -1.0, 1.0)[:, None]
        center = maps.centers.index_select(0, which) + uniform((batch, 3), -1, 1, rng) * config.center_jitter_mm
        coordinates = source_coordinates(affine, center, random_displacement(batch, config, rng), config)
        row_of_code = self._boundaries.row_of_code(batch, config, rng)
        codes = maps.boundary_codes if config.shape_probability > 0 else maps.plain_codes
        first_code = torch.arange(batch, device=rng.device, dtype=torch.int32).reshape(-1, 1, 1, 1)
        first_code = first_code * row_of_code.shape[1]

        def codes_at(offset: torch.Tensor | None = None) -> torch.Tensor:
            return look_up(codes, which, coordinates, offset) + first_code

        images, rows, targets = self._intensities(codes_at, row_of_code, affine)
        images *= random_bias(batch, config, rng)
        rows = torch.where(mirrored.reshape(-1, 1, 1, 1), _take(self._mirrors, rows.int()), rows)
        self._background(images, rows)
        images = to_unit_range(images[:, None], 0.0, 0.998)
        images = random_saturation(random_gamma(images, config, rng), config, rng)
        images = torch.stack([
            acquire(image, random_voxel_sizes(config, self.decisions),
                    float(uniform((), *config.noise_sd, self.decisions)), config, rng) for image in images[:, 0]])
        seen = self._field_of_view(batch)
        images = to_unit_range((images.clamp_min_(0) * seen)[:, None])
        return Batch(images, rows, seen, targets.mul_((rows > 0)[:, None]))

    def _intensities(self, codes_at, row_of_code, affine) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gaussian mixture with partial volume: the mean of four probes within each voxel, plus texture; rows; and
        targets (B, C, I, J, K), without texture.

        Args:
            codes_at: gives the codes (B, I, J, K) of all voxels, moved by an offset (B, 3) in their maps.
            row_of_code: as of `Boundaries.row_of_code`.
            affine: (B, 3, 3) of voxels to maps.
        """
        batch, config, rng = len(affine), self.config, self.rng
        tissues = random_tissues(batch, self._priors, self._alike, config, rng)
        kinds = self._appearances[:, row_of_code.int()].reshape(len(self._appearances) * batch, -1)
        size = row_of_code.numel()
        # By appearance, image and code.
        mean_of_code, deviation_of_code = (of_tissue.repeat(len(self._appearances), 1).gather(1, kinds).reshape(-1)
                                           for of_tissue in tissues)
        target_means = [one.expand(len(kinds), -1).gather(1, kinds).reshape(-1) for one in self._targets]
        points = torch.randn((batch, 8, 8, 8), generator=rng, device=rng.device)
        appearance = enlarge(points, config.shape).gt_(0.3)
        if decide(config.lesion_probability, self.decisions):
            appearance += 2 * self._lesions(batch)
        appearance = appearance.to(torch.int32).mul_(size)
        center = codes_at()
        rows = _take(row_of_code.reshape(-1), center)
        noise = torch.randn(rows.shape, generator=rng, device=rng.device)
        image = noise.mul_(_take(deviation_of_code, center.add_(appearance)))
        targets = image.new_zeros((batch, len(target_means), *config.shape))
        for corner in self._corners:
            codes = codes_at(affine @ corner).add_(appearance)
            image.add_(_take(mean_of_code, codes), alpha=0.25)
            for channel, means in enumerate(target_means):
                targets[:, channel].add_(_take(means, codes), alpha=0.25)
        return image.clamp_min_(0), rows, targets

    def _lesions(self, batch: int) -> torch.Tensor:
        """Where white matter would be a lesion, (B, I, J, K) float, 0 or 1."""
        config, rng = self.config, self.rng
        control = [max(4, round(n * config.spacing_mm / config.lesion_spacing_mm)) for n in config.shape]
        field = enlarge(torch.randn((batch, *control), generator=rng, device=rng.device), config.shape)
        return field.gt(uniform((batch, 1, 1, 1), *_LESION_LEVELS, rng)).float()

    def _background(self, images, rows) -> None:
        """Some heads on black, some without skull: what was stripped away is background in the labels too."""
        config, rng = self.config, self.rng
        dark = chance(len(rows), config.dark_background_probability, rng)
        images *= (rows > 0) | ~dark.reshape(-1, 1, 1, 1)
        for image, row in zip(images, rows, strict=True):
            if decide(config.stripped_probability, self.decisions):
                left = self._strip_skull(row.int())
                image *= left
                row *= left

    def _strip_skull(self, row: torch.Tensor) -> torch.Tensor:
        """What skull stripping leaves of a head, (I, J, K) bool: the brain, a margin, now and then the CSF near it."""
        brain = _take(self._brain, row).float()
        reach = int(torch.randint(0, 4, (), generator=self.decisions))
        reach = min(reach, 1) if self.config.spacing_mm >= 3 else reach
        left = box_sums(brain, reach) > 0.25 * (2 * reach + 1) ** 3 if reach else brain > 0
        if decide(0.3, self.decisions):
            near = box_sums(brain, max(1, round(8 / self.config.spacing_mm))) > 0.5
            left |= near & _take(self._csf, row)
        return left

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


def _take(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Entries of a table (N,) at each of the indices, of their shape."""
    return table.index_select(0, index.reshape(-1)).reshape(index.shape)

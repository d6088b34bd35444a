"""Sharp volumes to learn super-resolution and denoising from: a pool that is slowly renewed.

Making a volume takes longer than a step of training, cutting a patch takes nothing: so the pool holds some, of which
many patches are cut, and one is exchanged every few batches.
"""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from meddl.core.errors import InputError
from meddl.spatial.normalize import percentiles
from meddl.synthesis import HeadGenerator, LabelMaps, SynthesisConfig
from meddl.synthesis.fields.noise_fields import blur, texture
from meddl.synthesis.random import uniform
from meddl.synthesis.shapes import ShapeGenerator, ShapesConfig

SIZE = 96  # voxels along each axis of a volume of the pool
LARGEST_ANISOTROPY = 1.3

Source = Callable[[torch.Generator], torch.Tensor]


class VolumePool:
    """A pool of volumes (SIZE, SIZE, SIZE), float32, their robust range scaled to 1.

    Args:
        sources: what makes a volume from a random generator.
        weights: how often each source is asked.
        count: volumes in the pool.
        patches_per_volume: patches cut between two exchanges of a volume; 0 for a pool that stays.
        rng: the source of all that is random; its state is the pool's.
    """

    def __init__(self, sources: list[Source], weights: list[float], count: int, patches_per_volume: int,
                 rng: torch.Generator):
        self.sources, self.rng = sources, rng
        self.weights = torch.tensor(weights, device=rng.device)
        self.patches_per_volume = patches_per_volume
        self._cut, self._next = 0, 0
        self._states: list[torch.Tensor] = [rng.get_state()] * count  # of `rng`, from which each volume was made
        self.volumes = torch.empty((count, SIZE, SIZE, SIZE), device=rng.device)
        for place in range(count):
            self._make(place)

    def state(self) -> dict:
        """What it needs to go on where it stopped: the volumes are made anew."""
        return {"rng": self.rng.get_state().cpu(), "cut": self._cut, "next": self._next,
                "volumes": torch.stack(self._states).cpu()}

    def resume(self, state: dict) -> None:
        """Go on from such a state."""
        for place, made_from in enumerate(state.get("volumes", ())):  # not in version 0.1.0
            if not torch.equal(made_from.cpu(), self._states[place].cpu()):
                self.rng.set_state(made_from.cpu().clone())  # a part of a tensor is none
                self._make(place)
        self.rng.set_state(state["rng"].cpu())
        self._cut, self._next = state.get("cut", 0), state.get("next", 0)

    def patches(self, count: int, shape: tuple[int, int, int]) -> torch.Tensor:
        """Patches (B, *shape) from anywhere, their axes exchanged and mirrored at random, some as negatives."""
        if self.patches_per_volume and self._cut >= self.patches_per_volume:
            self._make(self._next)
            self._cut, self._next = 0, (self._next + 1) % len(self.volumes)
        self._cut += count
        draws = torch.rand((count, 12), generator=self.rng, device=self.rng.device).tolist()
        cut = []
        for draw in draws:
            volume = self.volumes[int(draw[0] * len(self.volumes))]
            volume = volume.permute(sorted(range(3), key=lambda axis: draw[1 + axis]))
            starts = [int(draw[4 + axis] * (SIZE - size + 1)) for axis, size in enumerate(shape)]
            patch = volume[tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))]
            patch = patch.flip([axis for axis in range(3) if draw[7 + axis] < 0.5])
            cut.append(-patch if draw[10] < 0.3 else patch)
        return torch.stack(cut)

    def _make(self, place: int) -> None:
        """Make a volume in the place of another."""
        self._states[place] = self.rng.get_state()
        source = self.sources[int(torch.multinomial(self.weights, 1, generator=self.rng))]
        volume = source(self.rng)
        low, high = percentiles(volume[None], (0.005, 0.995))[0]
        self.volumes[place] = (volume - low) / (high - low).clamp_min(1e-3)


def head_source(maps: LabelMaps) -> Source:
    """Parts of random heads at about 1 mm or finer, with texture, under a slight blur."""
    config = SynthesisConfig(spacing_mm=1.0, shape=(SIZE,) * 3, center_jitter_mm=45.0, rotation_degrees=180.0,
                             scale=(0.8, 1.6), isotropic_mm=(0.5, 0.5), anisotropic_probability=0.0,
                             noise_sd=(0.0, 0.0), crop_probability=0.0, clip_probability=0.2)
    heads = HeadGenerator(maps, config)

    def make(rng: torch.Generator) -> torch.Tensor:
        heads.rng = rng
        image = heads.sample(1).images[0, 0]
        strength, exponent, sigma = uniform((3,), 0, 1, rng).tolist()
        image = image + 0.1 * strength * texture(image.shape, 0.5 + 3.5 * exponent, rng) * (image > 0)
        return blur(image, 0.45 + 0.45 * sigma)

    return make


def shape_source() -> Source:
    """Random shapes."""
    shapes: list[ShapeGenerator] = []

    def make(rng: torch.Generator) -> torch.Tensor:
        if not shapes:
            shapes.append(ShapeGenerator(ShapesConfig(shape=(SIZE,) * 3), device=rng.device))
        shapes[0].rng = rng
        return shapes[0].sample()

    return make


def folder_sources(folder: Path, device: torch.device, hold_out: bool) -> tuple[Source, Source]:
    """Parts of the volumes in a folder, whose voxels are about as long along every axis: to train on, to validate on.

    Args:
        hold_out: whether the last fifth of the volumes, at least one, is for validation alone; else both are all.

    Raises:
        InputError: there are too few such volumes.
    """
    from meddl.io import load

    volumes, others = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".mha")):
            continue
        volume = load(path)
        if volume.spacing_mm.max() > LARGEST_ANISOTROPY * volume.spacing_mm.min():
            others.append(path.name)
            continue
        volumes += [torch.from_numpy(channel.astype("float32")).to(device) for channel in volume.data]
    if len(volumes) < 1 + hold_out:
        why = f" {', '.join(others)} have longer voxels along one axis than along another." if others else ""
        raise InputError(f"{folder} was expected to hold at least {1 + hold_out} volumes (.nii, .nii.gz, .nrrd, .mha) "
                         f"whose voxels are about as long along every axis: what sharp volumes look like.{why}")
    measured = max(1, len(volumes) // 5) if hold_out else 0
    return _part_of(volumes[:len(volumes) - measured]), _part_of(volumes[-measured:])


def _part_of(volumes: list[torch.Tensor]) -> Source:
    """Any part of any of some volumes (I, J, K)."""
    def make(rng: torch.Generator) -> torch.Tensor:
        draw = torch.rand(4, generator=rng, device=rng.device).tolist()
        volume = volumes[int(draw[0] * len(volumes))]
        missing = [max(0, SIZE - n) for n in volume.shape]
        if any(missing):
            padding = [side for n in reversed(missing) for side in (n // 2, n - n // 2)]
            volume = F.pad(volume[None, None], padding, mode="replicate")[0, 0]
        starts = [int(u * (n - SIZE + 1)) for u, n in zip(draw[1:], volume.shape, strict=True)]
        return volume[tuple(slice(start, start + SIZE) for start in starts)].clone()

    return make

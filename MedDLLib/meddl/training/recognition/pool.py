"""Volumes that are made once and seen many times: coarse heads of label maps, and volumes that are no heads."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback, report
from meddl.recognition.coarse import SPACING_MM
from meddl.synthesis import HeadGenerator, LabelMaps, SynthesisConfig
from meddl.synthesis.contrasts import CONTRASTS, contrast_of_image
from meddl.training.recognition.body_parts import BodyPartGenerator
from meddl.training.recognition.pitch import pitch_deg

ANY = -1           # contrast of a head that has none of the known ones
SIZE = 48          # voxels along each axis
_MORE_RANDOM = 2   # heads of random means, against those of each contrast
_FINER = 2         # heads are made with voxels so many times smaller
_HEADS = SynthesisConfig(
    spacing_mm=SPACING_MM / _FINER, shape=(SIZE * _FINER,) * 3, crop_probability=0.0, gamma_sd=0.15,
    dark_background_probability=0.85, clip_probability=0.2, shape_probability=0.5)


@dataclass(frozen=True)
class Pool:
    """Volumes and what they are.

    Attributes:
        images: (N, 48, 48, 48) uint8, 6 mm, axes R, A, S, upright.
        head: (N,) bool.
        contrast: (N,) int64, row of `CONTRASTS`; `ANY` where it is none of them or no head. Those of MR by what is
            seen (`contrast_of_image`), also of heads whose tissues have random means.
        stripped: (N,) bool, of heads.
        pitch: (N,) float32, degrees, of heads: see `pitch_deg`.
    """

    images: torch.Tensor
    head: torch.Tensor
    contrast: torch.Tensor
    stripped: torch.Tensor
    pitch: torch.Tensor

    def __len__(self) -> int:
        return len(self.head)

    def save(self, file: Path) -> None:
        """Write it as a file of tensors."""
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({field.name: getattr(self, field.name) for field in fields(self)}, file)

    @classmethod
    def read(cls, file: Path) -> "Pool":
        """Read such a file."""
        return cls(**torch.load(file, weights_only=True))


def make_pool(maps: LabelMaps, each: int, others: int, seed: int,
              on_progress: ProgressCallback | None = None) -> Pool:
    """Make a pool.

    Args:
        maps: the heads.
        each: heads of every contrast (random ones included), whole and stripped each.
        others: volumes that are no heads.
        seed: the same seed gives the same pool.
    """
    images: list[torch.Tensor] = []
    labels: list[tuple[bool, int, bool, float]] = []
    kinds = [(contrast, stripped) for contrast in (*range(len(CONTRASTS)), ANY) for stripped in (False, True)]
    for number, (contrast, stripped) in enumerate(kinds):
        generator = _generator(maps, contrast, stripped, seed + number)
        for made in range(_MORE_RANDOM * each if contrast == ANY else each):
            report(on_progress, (number + made / each) / (len(kinds) + 3), "Making heads")
            image, seen, pitch = _head(generator, contrast)
            images.append(image)
            labels.append((True, seen, stripped, pitch))
    parts = BodyPartGenerator(SIZE, SPACING_MM, seed + len(kinds))
    for _ in range(others):
        report(on_progress, (len(kinds) + 2) / (len(kinds) + 3), "Making volumes that are no heads")
        images.append((parts.sample() * 255).round().to(torch.uint8))
        labels.append((False, ANY, False, 0.0))
    return Pool(torch.stack(images), *(torch.tensor(column) for column in zip(*labels, strict=True)))


def _head(generator: HeadGenerator, contrast: int) -> tuple[torch.Tensor, int, float]:
    """A head, the contrast that it shows, and its pitch."""
    batch = generator.sample(1)
    table, rows = generator.maps.table, batch.rows[0].numpy()
    if contrast == ANY or CONTRASTS[contrast] != "CT":
        seen = contrast_of_image(batch.images[0, 0].numpy(), table.labels[rows])
        contrast = ANY if seen is None else CONTRASTS.index(seen)
    return _coarse(batch.images[0]), contrast, pitch_deg(table.targets[rows])


def _generator(maps: LabelMaps, contrast: int, stripped: bool, seed: int) -> HeadGenerator:
    known = contrast != ANY
    config = replace(_HEADS, prior_probability=1.0 if known else 0.0, stripped_probability=1.0 if stripped else 0.0,
                     gamma_sd=_HEADS.gamma_sd if known else 0.35)
    return HeadGenerator(maps, config, seed, contrasts=(CONTRASTS[contrast],) if known else CONTRASTS)


def _coarse(image: torch.Tensor) -> torch.Tensor:
    """A head (1, I, J, K) in [0, 1] with voxels of 6 mm, uint8."""
    return (F.avg_pool3d(image, _FINER)[0].clamp(0, 1) * 255).round().to(torch.uint8)

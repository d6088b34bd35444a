"""Random patches of cases, augmented by MONAI's transforms. A patch depends on the seed and its numbers alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from meddl.training.supervised.data.augmentation import augmentation, plain_tensors, random_contrast
from meddl.training.supervised.data.cases import IGNORED
from meddl.training.supervised.prepared import PreparedCase

_ON_STRUCTURES = 1 / 3  # of the patches of a batch, rounded up, as nnU-Net does
_AFFINE_PROBABILITY = 0.4
_AROUND = 1.3  # a patch that is turned is cut from one so much longer


class PatchSampler:
    """Batches of patches.

    Args:
        cases: to draw from.
        patch: voxels (x, y, z).
        batch: patches at once.
        spacing_mm: of the voxels; patches are not turned across thick slices.
        seed: of all that is random.
        augment: how patches are changed at random: "all", "spatial" (turned and scaled alone) or "none".
        part: (n, m): of each batch only every m-th patch is drawn, from the n-th on.
        any_contrast: whether patches get another contrast.
    """

    def __init__(self, cases: Sequence[PreparedCase], patch: Sequence[int], batch: int,
                 spacing_mm: Sequence[float] = (1.0, 1.0, 1.0), seed: int = 0, augment: str = "all",
                 part: tuple[int, int] = (0, 1), any_contrast: bool = False):
        self.cases, self.patch, self.batch, self.seed, self.part = list(cases), tuple(patch), batch, seed, part
        self.any_contrast = any_contrast
        self._affine: Any = None
        self._intensity: Any = None
        if augment != "none":
            self._affine, intensity = augmentation(self.patch, spacing_mm)
            self._intensity = intensity if augment == "all" else None

    def draw(self, number: int, whole: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """Batch of this number, the sampler's part of it or the whole: images (B, C, x, y, z) float32 and classes
        (B, x, y, z) int64, -1 where a voxel does not count."""
        first = self.batch - int(np.ceil(self.batch * _ON_STRUCTURES))
        pairs = [self._one(np.random.default_rng([self.seed, number, n]), n >= first)
                 for n in range(0 if whole else self.part[0], self.batch, 1 if whole else self.part[1])]
        images, classes = zip(*pairs, strict=True)
        return torch.stack(images), torch.stack(classes)

    def _one(self, rng: np.random.Generator, on_structure: bool) -> tuple[torch.Tensor, torch.Tensor]:
        case = self.cases[rng.integers(len(self.cases))]
        turned = self._affine is not None and rng.random() < _AFFINE_PROBABILITY
        size = tuple(int(np.ceil(n * _AROUND)) if turned else n for n in self.patch)
        begin = self._begin(rng, case, size, on_structure)
        image, classes = cut(case, begin, size)
        if self.any_contrast:
            image = random_contrast(image, classes, rng)
        pair: dict[str, Any] = {"image": torch.from_numpy(image),
                                "classes": torch.from_numpy(classes - IGNORED)[None].float()}
        if turned:
            pair = self._affine.set_random_state(int(rng.integers(1 << 31)))(pair)
        if self._intensity is not None:
            pair = self._intensity.set_random_state(int(rng.integers(1 << 31)))(pair)
        augmented, moved_up = plain_tensors(pair)
        return augmented, moved_up[0].round().long() + IGNORED

    def _begin(self, rng: np.random.Generator, case: PreparedCase, size: Sequence[int],
               on_structure: bool) -> list[int]:
        """The first voxel of a patch: about a voxel of some structure, or anywhere within the image."""
        shape = case.classes.shape
        if on_structure and case.positions:
            values = sorted(case.positions)
            positions = case.positions[values[rng.integers(len(values))]]
            center = positions[rng.integers(len(positions))]
            begin = [int(c) - n // 2 for c, n in zip(center, size, strict=True)]
            return [_move_inside(b, n, whole) for b, n, whole in zip(begin, size, shape, strict=True)]
        ranges = [sorted((0, whole - n)) for n, whole in zip(size, shape, strict=True)]
        return [int(rng.integers(low, high + 1)) for low, high in ranges]


def _move_inside(begin: int, size: int, whole: int) -> int:
    """Moved so that the patch lies within the image, or the image within the patch."""
    low, high = sorted((0, whole - size))
    return min(max(begin, low), high)


def cut(case: PreparedCase, begin: Sequence[int], size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """A patch (C, x, y, z) float32 and its classes (x, y, z) int16; outside of the image 0, and nothing that counts."""
    image = np.zeros((len(case.image), *size), dtype=np.float32)
    classes = np.full(tuple(size), IGNORED, dtype=np.int16)
    inside = tuple(slice(max(0, b), min(b + n, whole))
                   for b, n, whole in zip(begin, size, case.classes.shape, strict=True))
    place = tuple(slice(part.start - b, part.stop - b) for part, b in zip(inside, begin, strict=True))
    image[(slice(None), *place)] = case.image[(slice(None), *inside)]
    classes[place] = case.classes[inside]
    return image, classes

"""Generated cases to train on beside those of the user: label maps of these, turned, rendered by a conditional GAN."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback, report, span
from meddl.training.supervised.data.cases import IGNORED
from meddl.training.supervised.data.spade import DIVISOR, SpadeRenderer, render, train_renderer
from meddl.training.supervised.patches import PatchSampler
from meddl.training.supervised.prepared import PreparedCase, read_case, write_case

_BATCH = 2
_STAMP = "generated.txt"


@dataclass(frozen=True)
class Generation:
    """What is generated.

    Attributes:
        images: how many.
        steps: of the GAN's training.
        seed: of everything random.
    """

    images: int
    steps: int
    seed: int


def generate_cases(cases: Sequence[PreparedCase], patch: Sequence[int], spacing_mm: Sequence[float],
                   generation: Generation, folder: Path, device: torch.device,
                   on_progress: ProgressCallback | None = None) -> list[PreparedCase]:
    """Train the GAN on cases, and write generated ones of one patch each to a folder; read those that lie there.

    Args:
        cases: to learn from.
        patch: voxels (x, y, z) of a generated case.
        folder: their place; a finished earlier run of the same values is taken.

    Raises:
        Cancelled: from `on_progress`; nothing is kept.
    """
    stamp = folder / _STAMP
    words = f"{generation} {tuple(patch)} {sorted(case.name for case in cases)}"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != words:
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        _write_all(cases, patch, spacing_mm, generation, folder, device, on_progress)
        stamp.write_text(words, encoding="utf-8")
    return [read_case(folder, number, f"generated {number}") for number in range(generation.images)]


def _write_all(cases, patch, spacing_mm, generation: Generation, folder: Path, device: torch.device,
               on_progress: ProgressCallback | None) -> None:
    classes = 1 + max(int(case.classes.max()) for case in cases)
    shape = [-(-n // DIVISOR) * DIVISOR for n in patch]
    torch.manual_seed(generation.seed)
    renderer = SpadeRenderer(classes, len(cases[0].image), shape).to(device)
    real = _batches(PatchSampler(cases, patch, _BATCH, spacing_mm, generation.seed + 1, augment="none"), classes, shape,
                    device)
    train_renderer(renderer, ((images, one_hot) for images, one_hot, _ in real), generation.steps,
                   span(on_progress, 0.0, 0.9))
    turned = PatchSampler(cases, patch, 1, spacing_mm, generation.seed + 2, augment="spatial")
    rng = torch.Generator().manual_seed(generation.seed + 3)
    for number, (_, one_hot, found) in enumerate(_batches(turned, classes, shape, device, generation.images)):
        report(on_progress, 0.9 + 0.1 * number / generation.images, "Generating images")
        made = render(renderer, one_hot, lambda: next(real)[0][:1], rng)
        inside = (slice(None), *(slice(n) for n in patch))
        write_case(folder, number, made[0].cpu()[inside].contiguous().numpy(), found[0].numpy().astype(np.int16))


def _batches(sampler: PatchSampler, classes: int, shape: Sequence[int], device: torch.device, count: int | None = None
             ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Images and labels (B, classes, ...) of patches, filled up to a shape by their last voxels, and their classes."""
    number = 0
    while count is None or number < count:
        images, found = sampler.draw(number)
        number += 1
        more = [n - m for n, m in zip(shape, found.shape[1:], strict=True)]
        widths = [value for after in reversed(more) for value in (0, after)]
        known = torch.where(found == IGNORED, 0, found)
        one_hot = F.one_hot(known, classes).movedim(-1, 1).float()
        yield (F.pad(images, widths, mode="replicate").to(device), F.pad(one_hot, widths, mode="replicate").to(device),
               found)

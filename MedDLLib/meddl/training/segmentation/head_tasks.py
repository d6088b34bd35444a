"""The two networks of a brain model as training tasks: the locator and the segmenter."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.device import in_fast_precision
from meddl.networks import build_network
from meddl.networks.architectures.shuffle_unet import voxels_of_blocks
from meddl.segmentation.brain.inference import BALANCE
from meddl.synthesis import HeadGenerator, LabelMaps, SynthesisConfig
from meddl.synthesis.fields.lattice import box_sums
from meddl.synthesis.generator import Batch
from meddl.training.losses import dice_cross_entropy, sum_of_dice_cross_entropies

VALIDATION_SEED = 20_000
BACKGROUND_FRACTION = 0.05  # of what is not near the brain, that the segmenter's loss counts
_VALIDATION_IMAGES = 8


class CoarseStart(NamedTuple):
    """Cheaper images for the first part of a schedule: what they are, and the fraction of the schedule, 0 to 1."""

    synthesis: SynthesisConfig
    fraction: float


class HeadTask:
    """Random heads in, a loss out."""

    architecture: str

    def __init__(self, training: LabelMaps, held_out: LabelMaps, synthesis: SynthesisConfig, batch: int,
                 arguments: dict, seed: int, coarse: CoarseStart | None = None):
        self.arguments = arguments
        self.synthesis = synthesis
        self.batch = batch
        self.network = build_network(self.architecture, arguments)
        self.generator = HeadGenerator(training, synthesis, seed)
        self.coarse_generator = None
        if coarse is not None:  # the first part of the schedule, cheaper images: Howard's progressive resizing
            self.coarse_generator = HeadGenerator(training, coarse.synthesis, seed)
            self.coarse_generator.draw_from(self.generator)
        self.coarse_fraction = 0.0 if coarse is None else coarse.fraction
        held_out_generator = HeadGenerator(held_out, synthesis, VALIDATION_SEED)
        self.held_out = [held_out_generator.sample(1) for _ in range(_VALIDATION_IMAGES)]

    def sample(self, done: float) -> Batch:
        coarse = self.coarse_generator is not None and done < self.coarse_fraction
        return (self.coarse_generator if coarse else self.generator).sample(self.batch)

    def state(self) -> dict:
        return self.generator.state()

    def resume(self, state: dict) -> None:
        self.generator.resume(state)

    def classes(self, batch: Batch) -> torch.Tensor:
        """Class at each voxel, (B, I, J, K) int64; -1 where the field of view does not reach."""
        return torch.where(batch.seen, self._class_of_row[batch.rows.int()], -1)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Mean Dice over fixed held-out images and the classes, without background, that are in them."""
        scores = []
        network.eval()
        for batch in self.held_out:
            with in_fast_precision(batch.images.device):
                found = network(_channels_last(batch.images)).argmax(dim=1)
            truth = self.classes(batch)
            seen = truth >= 0
            scores.append(_dice(found[seen], truth[seen], self.class_count))
        network.train()
        return float(np.nanmean(np.stack(scores)[:, 1:]))


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    return images.contiguous(memory_format=torch.channels_last_3d)


def _dice(found: torch.Tensor, truth: torch.Tensor, classes: int) -> np.ndarray:
    """Dice by class, (classes,), NaN for a class that is not in the truth."""
    table = torch.bincount(found * classes + truth, minlength=classes**2).reshape(classes, classes).double().cpu()
    overlap, size = table.diagonal(), table.sum(0)
    return torch.where(size > 0, 2 * overlap / (table.sum(1) + size), torch.nan).numpy()


class LocatorTask(HeadTask):
    """Brain or not, at a coarse resolution, in any field of view."""

    architecture = "ShuffleUNet"
    class_count = 2

    def __init__(self, training, held_out, synthesis, batch, widths, refine_channels=8, seed=0):
        arguments = {"in_channels": 1, "out_channels": 2, "widths": list(widths), "refine_channels": refine_channels}
        super().__init__(training, held_out, synthesis, batch, arguments, seed)
        targets = training.table.targets
        self._class_of_row = torch.as_tensor((targets > 0) & (targets != 24)).long().to(training.rows.device)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        return dice_cross_entropy(network(_channels_last(batch.images)), self.classes(batch), balance=BALANCE)


class SegmenterTask(HeadTask):
    """Every structure, in the field of view around the brain."""

    architecture = "SidedUNet"

    def __init__(self, training, held_out, synthesis, batch, widths, refine_channels=16, seed=0, coarse=None):
        table = training.table
        values = [0, *table.structures.tolist()]
        tissue_of_class, side_of_class = class_factors(table)
        arguments = {"in_channels": 1, "tissue_of_class": tissue_of_class, "side_of_class": side_of_class,
                     "widths": list(widths), "refine_channels": refine_channels}
        super().__init__(training, held_out, synthesis, batch, arguments, seed, coarse)
        self.class_count = len(values)
        device = training.rows.device
        self._class_of_row = torch.tensor([values.index(t) for t in table.targets.tolist()], device=device)
        tissues, sides = (torch.tensor(factor, device=device) for factor in (tissue_of_class, side_of_class))
        self._tissue_of_row = tissues[self._class_of_row]
        self._side_of_row = torch.where(sides == 2, -1, sides)[self._class_of_row]

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Of the voxels near the brain, and of a few others."""
        blocks = self._blocks_that_count(batch)
        scores = network.body.scores_of_blocks(_channels_last(batch.images), blocks)
        voxels = voxels_of_blocks(blocks, batch.rows.shape)
        rows, seen = (values.flatten().index_select(0, voxels) for values in (batch.rows, batch.seen))
        tissues, sides = (torch.where(seen, factor.index_select(0, rows.int()), -1)
                          for factor in (self._tissue_of_row, self._side_of_row))
        return sum_of_dice_cross_entropies(scores, [(scores.shape[1] - 2, 1.0, tissues), (2, 0.5, sides)],
                                           balance=BALANCE)

    def _blocks_that_count(self, batch: Batch) -> torch.Tensor:
        """Blocks of 2x2x2 voxels, (N,): those with structures, those next to them, and a fraction of the others."""
        structure = self._class_of_row.gt(0).float().index_select(0, batch.rows.flatten().int())
        near = F.max_pool3d(structure.view_as(batch.rows)[:, None], 2)
        near = box_sums(near, 1).gt_(0.5).flatten()
        rng = self.generator.rng
        drawn = torch.rand(len(near), generator=rng, device=rng.device) < BACKGROUND_FRACTION
        return torch.nonzero(drawn.logical_or_(near > 0))[:, 0]


def class_factors(table) -> tuple[list[int], list[int]]:
    """For background and each structure of a `LabelTable`: its tissue, and its side (0 left, 1 right, 2 middle).

    Left and right of a pair share a tissue; FreeSurfer numbers the left one lower.
    """
    values = [0, *table.structures.tolist()]
    mirrors = [0, *(table.mirror_of_structure(v) for v in values[1:])]
    pairs = [min(v, m) for v, m in zip(values, mirrors, strict=True)]
    tissues = sorted(set(pairs))
    sides = [2 if v == m else int(v > m) for v, m in zip(values, mirrors, strict=True)]
    return [tissues.index(p) for p in pairs], sides

"""Segmentation of volumes with known labels as a training task."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from meddl.measures.overlap import dice
from meddl.models.recipes import Recipe, parse_recipe
from meddl.networks import build_network
from meddl.segmentation.imported.labels_on_volume import activate
from meddl.segmentation.imported.sliding_window import score_rows
from meddl.training.losses import dice_cross_entropy, sum_of_dice_cross_entropies
from meddl.training.supervised.data.cases import IGNORED, Structures
from meddl.training.supervised.patches import PatchSampler
from meddl.training.supervised.plan import Plan
from meddl.training.supervised.prepared import PreparedCase

_BALANCE, _BALANCED = 0.5, 0.5  # of the cross-entropy at the beginning, and the part of the schedule until it is 0
_COARSER = 0.5  # weight of a stage's loss over that of the finer one


class SegmentationTask:
    """Patches of cases in, a loss out; validated on whole cases.

    Args:
        plan: network and patch.
        structures: what the labels mean.
        sampler: of the cases to train on.
        held_out: the cases to validate with.
        network: with weights to start from; a new one where None.
    """

    def __init__(self, plan: Plan, structures: Structures, sampler: PatchSampler, held_out: Sequence[PreparedCase],
                 device: torch.device, network: nn.Module | None = None):
        self.architecture, self.arguments = plan.architecture, plan.arguments
        self.recipe: Recipe = parse_recipe(plan.recipe)
        self.structures, self.sampler, self.held_out, self.device = structures, sampler, tuple(held_out), device
        self.network = network or build_network(plan.architecture, training_arguments(plan))
        self.regions = torch.from_numpy(structures.regions).to(device) if structures.overlapping else None
        self.drawn = 0
        self.balance = 0.0

    def sample(self, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Patches. Classes are balanced at the beginning, so that small structures are found, and not at the end, so
        that they get their size."""
        self.balance = _BALANCE * max(0.0, 1 - done / _BALANCED)
        self.drawn += 1
        return self.patches(self.drawn - 1)

    def patches(self, number: int, whole: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """This process' part of the batch of a number, or the whole: images (B, C, x, y, z), classes (B, x, y, z)."""
        images, classes = self.sampler.draw(number, whole)
        images = images.to(self.device).contiguous(memory_format=torch.channels_last_3d)
        return images, classes.to(self.device)

    def state(self) -> dict:
        return {"drawn": self.drawn}

    def resume(self, state: dict) -> None:
        self.drawn = state["drawn"]

    def loss(self, network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        images, classes = batch
        scores = scores_of_stages(network, images)
        total, weights = torch.zeros((), device=self.device), 0.0
        with torch.autocast(self.device.type, enabled=False):
            for stage, found in enumerate(scores):
                weight = _COARSER**stage
                total = total + weight * self.loss_of_scores(found.float(), coarser(classes, found.shape[2:]))
                weights += weight
        return total / weights

    def loss_of_scores(self, scores: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Of scores (B, C, x, y, z) of one stage."""
        if self.regions is None:
            return dice_cross_entropy(scores, classes, balance=self.balance)
        absent = classes < 0
        parts = [(2, 1.0, torch.where(absent, IGNORED, row[classes.clamp_min(0)].long())) for row in self.regions]
        pairs = torch.stack((-scores / 2, scores / 2), dim=2).flatten(1, 2)  # whose softmax is the scores' sigmoid
        return sum_of_dice_cross_entropies(pairs, parts, balance=self.balance) / len(parts)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Mean Dice over held-out cases and the structures that are in them, after preprocessing."""
        network.eval()
        rows = [self._dice(network, case) for case in self.held_out]
        network.train()
        by_structure = np.array(rows, dtype=np.float64)
        return 0.0 if np.isnan(by_structure).all() else float(np.nanmean(by_structure))

    def _dice(self, network: nn.Module, case: PreparedCase) -> list[float]:
        """Of each structure, NaN where the case does not have it."""
        image = torch.from_numpy(np.array(case.image)).to(self.device)
        output = self.recipe.output
        pieces = [activate(piece, output).cpu() for piece in
                  score_rows(network, image, self.recipe.windows, len(output.values))]
        scores = torch.cat(pieces, dim=1).numpy()
        counted = case.classes != IGNORED
        if output.kind == "regions":
            table = self.structures.regions
            return [_dice_of((scores[n] > 0)[counted], table[n][case.classes[counted]]) for n in range(len(table))]
        found, true = scores.argmax(axis=0)[counted], case.classes[counted]
        return [_dice_of(found == n, true == n) for n in range(1, len(output.values))]


def _dice_of(found: np.ndarray, true: np.ndarray) -> float:
    if not true.any():
        return float("nan")
    shape = (-1, 1, 1)
    return float(dice(found.astype(np.uint8).reshape(shape), true.astype(np.uint8).reshape(shape), [1])[0])


def training_arguments(plan: Plan) -> dict:
    """The network's arguments for training: with scores of coarser stages."""
    if not plan.deep_supervision:
        return dict(plan.arguments)
    return plan.arguments | {"deep_supervision": True, "deep_supr_num": plan.deep_supervision}


def scores_of_stages(network: Any, images: torch.Tensor) -> list[torch.Tensor]:
    """Scores (B, C, x, y, z), and those of coarser stages at their own resolution."""
    if not getattr(network, "deep_supervision", False):
        return [network(images)]
    # MONAI's own forward interpolates them to full resolution, where nearly all of a step's time goes
    finest = network.output_block(network.skip_layers(images))
    return [finest, *network.heads]


def coarser(classes: torch.Tensor, shape) -> torch.Tensor:
    """Classes (B, x, y, z) at the middle voxel of each block."""
    steps = [n // m for n, m in zip(classes.shape[1:], shape, strict=True)]
    return classes[(slice(None), *(slice(step // 2, None, step) for step in steps))]

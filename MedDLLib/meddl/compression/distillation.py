"""Knowledge distillation as a training task: a small network learns the scores of a large one (G. Hinton et al. 2015,
arXiv:1503.02531) on patches of volumes without labels."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.device import in_fast_precision
from meddl.measures.overlap import dice
from meddl.models.recipes import Recipe
from meddl.segmentation.imported.labels_on_volume import activate
from meddl.segmentation.imported.sliding_window import score_rows
from meddl.training.losses import dice_cross_entropy
from meddl.training.supervised.patches import PatchSampler
from meddl.training.supervised.prepared import PreparedCase

Scorer = Callable[[torch.Tensor], torch.Tensor]


class DistillationTask:
    """Patches in, the distance from the large network's scores out; validated by the agreement of labels.

    Args:
        student: the network that learns.
        teacher: gives scores (B, N, x, y, z) of images (B, C, x, y, z).
        recipe: of the model.
        sampler: of the cases to learn from.
        validation: cases whose `classes` are the teacher's labels.
    """

    def __init__(self, student: nn.Module, teacher: Scorer, recipe: Recipe, sampler: PatchSampler,
                 validation: Sequence[PreparedCase], device: torch.device):
        self.network, self.teacher, self.recipe = student, teacher, recipe
        self.sampler, self.validation, self.device, self.drawn = sampler, tuple(validation), device, 0

    def sample(self, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        images, classes = self.sampler.draw(self.drawn)
        self.drawn += 1
        images = images.to(self.device).contiguous(memory_format=torch.channels_last_3d)
        with torch.no_grad(), in_fast_precision(self.device):
            scores = self.teacher(images).float()
        return images, torch.where((classes >= 0).to(self.device)[:, None], scores, torch.nan)

    def loss(self, network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        images, target = batch
        found = network(images)
        with torch.autocast(self.device.type, enabled=False):
            return self._distance(found.float(), target)

    def _distance(self, found: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        counted = target.isfinite().all(dim=1)
        target = target.nan_to_num()
        weight = counted / counted.sum().clamp_min(1)
        if self.recipe.output.kind == "regions":
            return (F.binary_cross_entropy_with_logits(found, target.sigmoid(), reduction="none").mean(1)
                    * weight).sum()
        entropy = F.cross_entropy(found, target.softmax(dim=1), reduction="none")
        labels = torch.where(counted, target.argmax(dim=1), -1)
        return (entropy * weight).sum() + dice_cross_entropy(found, labels)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Mean Dice with the teacher's labels on the network's grid."""
        network.eval()
        figures = [agreement(classes_of(network, case, self.recipe, self.device), case.classes)
                   for case in self.validation]
        network.train()
        return float(np.mean(figures))

    def state(self) -> dict:
        return {"drawn": self.drawn}

    def resume(self, state: dict) -> None:
        self.drawn = state["drawn"]


def classes_of(network: Scorer, case: PreparedCase, recipe: Recipe, device: torch.device) -> np.ndarray:
    """Classes (x, y, z) int16 on a case's grid; of regions the last one that is there, counted from 1."""
    image = torch.from_numpy(np.array(case.image)).to(device)
    pieces = [activate(piece, recipe.output).cpu() for piece in
              score_rows(network, image, recipe.windows, len(recipe.output.values))]
    scores = torch.cat(pieces, dim=1)
    if recipe.output.kind == "classes":
        return scores.argmax(dim=0).numpy().astype(np.int16)
    found = np.zeros(scores.shape[1:], dtype=np.int16)
    for number, region in enumerate(scores.numpy(), start=1):
        found[region > 0] = number
    return found


def agreement(found: np.ndarray, reference: np.ndarray) -> float:
    """Mean Dice of the structures of two label maps, over those that are in any of both; 1 where there are none."""
    values = sorted((set(np.unique(found).tolist()) | set(np.unique(reference).tolist())) - {0})
    return float(np.mean(dice(found, reference, values))) if values else 1.0

"""Classification of volumes as a training task."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from meddl.training.supervised.classification.network import ClassifierPlan
from meddl.training.supervised.classification.prepared import margin_voxels
from meddl.training.supervised.data.augmentation import augmentation, plain_tensors

_TURNED = 0.5       # probability that a cube is turned and scaled
_SHIFT = 0.06       # of the cube: how far it is moved at most
_AT_ONCE = 16       # cubes that are validated


class ClassificationTask:
    """Cubes in, a loss out. The score is the probability that the held-out cases' own classes get: the geometric mean
    over the cases of a class, then over the classes.

    Args:
        plan: of the network.
        network: with weights to start from.
        cubes: (cases, 2, M, M, M) uint8, as `prepared.prepare_cubes` gives them.
        labels: (cases,) number of the class.
        parts: rows of the cases to train on, and of those to validate with.
        batch: cubes a step.
    """

    def __init__(self, plan: ClassifierPlan, network: nn.Module, cubes: np.ndarray, labels: np.ndarray,
                 parts: tuple[Sequence[int], Sequence[int]], batch: int, device: torch.device, seed: int = 0):
        self.network, self.cubes, self.labels, self.device = network, cubes, labels, device
        self.size, self.batch, self.seed, self.drawn = plan.size, batch, seed, 0
        training, self.held_out = np.asarray(parts[0]), np.asarray(parts[1])
        self._of_class = [training[labels[training] == number] for number in range(int(labels.max()) + 1)]
        self._affine: Any
        self._intensity: Any
        self._affine, self._intensity = augmentation((plan.size,) * 3, (1.0,) * 3)

    def sample(self, _done: float) -> tuple[torch.Tensor, torch.Tensor]:
        draws = [np.random.default_rng([self.seed, self.drawn, n]) for n in range(self.batch)]
        self.drawn += 1
        numbers = [int(rng.integers(len(self._of_class))) for rng in draws]
        cubes = [self._augment(rng, int(rng.choice(self._of_class[number])))
                 for rng, number in zip(draws, numbers, strict=True)]
        return torch.stack(cubes).to(self.device), torch.tensor(numbers, device=self.device)

    def loss(self, network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        cubes, classes = batch
        return F.cross_entropy(network(cubes), classes)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        network.eval()
        logs = torch.cat([F.log_softmax(network(self._cut_middle(rows).to(self.device)).double(), dim=1).cpu()
                          for rows in np.array_split(self.held_out, -(-len(self.held_out) // _AT_ONCE))])
        network.train()
        truth = torch.from_numpy(self.labels[self.held_out])
        of_truth = logs.gather(1, truth[:, None])[:, 0]
        return float(torch.stack([of_truth[truth == number].mean() for number in truth.unique()]).mean().exp())

    def state(self) -> dict:
        return {"drawn": self.drawn}

    def resume(self, state: dict) -> None:
        self.drawn = state["drawn"]

    def _cut_middle(self, rows: np.ndarray) -> torch.Tensor:
        """(B, 2, N, N, N) of these rows as the network sees them without augmentation."""
        margin = margin_voxels(self.size)
        inner = (slice(None), slice(None), *(slice(margin, margin + self.size),) * 3)
        return torch.from_numpy(np.asarray(self.cubes[rows][inner], dtype=np.float32) / 255)

    def _augment(self, rng: np.random.Generator, row: int) -> torch.Tensor:
        cube = np.asarray(self.cubes[row], dtype=np.float32) / 255
        turned = rng.random() < _TURNED
        if not turned:
            margin, most = margin_voxels(self.size), int(_SHIFT * self.size)
            starts = margin + rng.integers(-most, most + 1, size=3)
            cube = cube[(slice(None), *(slice(start, start + self.size) for start in starts))]
        cube = np.ascontiguousarray(cube)
        pair: dict[str, Any] = {"image": torch.from_numpy(cube[:1]), "classes": torch.from_numpy(cube[1:])}
        if turned:
            pair = self._affine.set_random_state(int(rng.integers(1 << 31)))(pair)
        pair = self._intensity.set_random_state(int(rng.integers(1 << 31)))(pair)
        image, inside = plain_tensors(pair)
        return torch.cat([image * inside, inside])

"""The classifier as a task of the training loop."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from meddl.networks import build_network
from meddl.recognition.outputs import OUTPUTS, split_outputs
from meddl.synthesis.contrasts import CONTRASTS
from meddl.training.recognition.augmentation import augment
from meddl.training.recognition.pool import ANY, Pool

ARCHITECTURE = "monai.ResNet"
ARGUMENTS: dict = {
    "block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [16, 32, 64, 80], "spatial_dims": 3,
    "n_input_channels": 2, "conv1_t_size": 3, "conv1_t_stride": 2, "no_max_pool": True,
    "num_classes": sum(OUTPUTS.values()), "norm": ["group", {"num_groups": 8}]}  # MONAI: of the stem alone, else batch
_HEAD_PROBABILITY = 0.6
_VALIDATION_SEED, _VALIDATION_VOLUMES = 20_000, 256


class Batch(NamedTuple):
    """Cubes (B, 2, N, N, N); of each (B,) whether it is a head, its contrast, whether it is stripped, its turn."""

    cubes: torch.Tensor
    head: torch.Tensor
    contrast: torch.Tensor
    stripped: torch.Tensor
    turn: torch.Tensor


class RecognitionTask:
    """Volumes of a pool in, a loss out; the score is the mean accuracy of the four outputs on a held-out pool."""

    def __init__(self, pool: Pool, held_out: Pool, batch: int, device: torch.device, seed: int = 0):
        self.pool, self.batch, self.device = pool, batch, device
        self.rng = torch.Generator().manual_seed(seed)
        self.network = build_network(ARCHITECTURE, ARGUMENTS)
        self._of_kind = [torch.nonzero(pool.head == head)[:, 0] for head in (False, True)]
        rng = torch.Generator().manual_seed(_VALIDATION_SEED)
        chosen = torch.randperm(len(held_out), generator=rng)[:_VALIDATION_VOLUMES]
        self.held_out = make_batch(held_out, chosen, rng, device)

    def sample(self, _done: float) -> Batch:
        heads = torch.rand(self.batch, generator=self.rng) < _HEAD_PROBABILITY
        chosen = torch.stack([rows[torch.randint(len(rows), (), generator=self.rng)]
                              for rows in (self._of_kind[int(head)] for head in heads)])
        return make_batch(self.pool, chosen, self.rng, self.device)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross-entropies: head or not of all; the other three of heads. Contrasts that are none of the known ones are
        to be uncertain (D. Hendrycks et al., Deep anomaly detection with outlier exposure, ICLR 2019,
        arXiv:1812.04606)."""
        found = split_outputs(network(batch.cubes))
        head = batch.head
        total = F.cross_entropy(found["head"], head.long())
        if not head.any():
            return total
        total = total + F.cross_entropy(found["turn"][head], batch.turn[head])
        total = total + F.cross_entropy(found["stripped"][head], batch.stripped[head].long())
        known = (batch.contrast != ANY)[:, None]
        wanted = torch.where(known, F.one_hot(batch.contrast.clamp_min(0), len(CONTRASTS)).float(), 1 / len(CONTRASTS))
        return total + F.cross_entropy(found["contrast"][head], wanted[head])

    @torch.no_grad()
    def validate(self, network: nn.Module) -> float:
        """Mean accuracy of the four outputs on fixed held-out volumes."""
        network.eval()
        parts = [split_outputs(network(cubes)) for cubes in self.held_out.cubes.split(32)]
        network.train()
        best = {name: torch.cat([part[name] for part in parts]).argmax(dim=1) for name in OUTPUTS}
        truth, head = self.held_out, self.held_out.head
        known = head & (truth.contrast != ANY)
        scores = [(best["head"] == head.long()).float().mean(), (best["turn"] == truth.turn)[head].float().mean(),
                  (best["stripped"] == truth.stripped.long())[head].float().mean(),
                  (best["contrast"] == truth.contrast)[known].float().mean()]
        return float(torch.stack(scores).mean())

    def state(self) -> dict:
        return {"rng": self.rng.get_state()}

    def resume(self, state: dict) -> None:
        self.rng.set_state(state["rng"].cpu())


def make_batch(pool: Pool, chosen: torch.Tensor, rng: torch.Generator, device: torch.device) -> Batch:
    """Augmented volumes of the rows `chosen` (B,) of a pool."""
    made = [augment(pool.images[row], rng, float(pool.pitch[row]) if pool.head[row] else None) for row in chosen]
    cubes = torch.stack([cube for cube, _ in made])
    turns = torch.tensor([turn for _, turn in made])
    return Batch(*(tensor.to(device) for tensor in (cubes, pool.head[chosen], pool.contrast[chosen],
                                                    pool.stripped[chosen], turns)))

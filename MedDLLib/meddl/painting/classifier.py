"""A voxel classifier trained on what is painted: a small network on the features and on the shape between the slices.

In half of what it learns from, the shape features of a painted slice come from the other painted slices alone: else it
would learn to trust the shape as if every slice were painted. Its logits are added to those of the shape itself.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.progress import ProgressCallback, report
from meddl.painting.config import PaintConfig
from meddl.painting.paint import Paint
from meddl.painting.shapes import SliceShapes

_HIDDEN = 64
_BATCH = 1024
_RATE, _DECAY, _NOISE = 1e-2, 1e-2, 0.1
_NETWORK_WEIGHT = 0.5   # the rest is the shape's
_ROWS_AT_ONCE = 1 << 15


@dataclass(frozen=True, eq=False)
class _Samples:
    """Voxels of known class: number in the region, shape features, class."""

    indices: torch.Tensor
    shape: torch.Tensor
    classes: torch.Tensor


class PaintClassifier:
    """Fits what is painted and gives the probabilities of all voxels.

    Args:
        rows: (voxels, features) of the region, i slowest.
        paint, shapes: what is painted.
        config: steps and seed.
    """

    def __init__(self, rows: torch.Tensor, paint: Paint, shapes: SliceShapes, config: PaintConfig):
        self.rows, self.paint, self.shapes, self.config = rows, paint, shapes, config
        self.classes = len(paint.values) + 1
        self.index = torch.arange(paint.known.size).reshape(paint.known.shape).movedim(paint.axis, 0)
        painted = shapes.between(paint.slices, paint.slices)[:, :self.classes - 1]
        self.unit_mm = max(shapes.step_mm, float(painted.abs().mean()) / 2)
        self.network = _make_network(self.rows.shape[1] + self.shapes.features, self.classes)

    def fit(self, on_progress: ProgressCallback | None = None) -> None:
        """Train the network."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            samples = self._samples()
            _initialize(self.network)
            optimizer = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=_DECAY, fused=True)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, self.config.steps)
            drawn = _draw(samples, self.classes, _BATCH * self.config.steps)
            inputs = self._inputs(self.rows[samples.indices[drawn]], samples.shape[drawn])
            inputs += _NOISE * torch.randn_like(inputs)
            batches = zip(inputs.split(_BATCH), samples.classes[drawn].split(_BATCH), strict=True)
            for step, (x, classes) in enumerate(batches, start=1):
                loss = F.cross_entropy(self.network(x), classes)
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                report(on_progress, step / self.config.steps, "Learning from the paint")
        self.network.eval()

    @torch.no_grad()
    def probabilities(self) -> torch.Tensor:
        """(classes, I, J, K): background, then the structures."""
        depth = len(self.index)
        result = torch.empty((self.classes, *self.index.shape))
        together = max(1, _ROWS_AT_ONCE // self.index[0].numel())
        rows = self.rows.reshape(*self.paint.known.shape, -1).movedim(self.paint.axis, 0)
        for first in range(0, depth, together):
            targets = range(first, min(first + together, depth))
            shape = _as_rows(self.shapes.between(self.paint.slices, targets))
            logits = self.network(self._inputs(rows[first:first + together].reshape(len(shape), -1), shape))
            prior = F.pad(shape[:, :self.classes - 1] / self.unit_mm, (1, 0))
            found = (_NETWORK_WEIGHT * logits + (1 - _NETWORK_WEIGHT) * prior).softmax(dim=1)
            result[:, first:first + together] = found.T.reshape(self.classes, len(targets), *self.index.shape[1:])
        return result.movedim(1, self.paint.axis + 1)

    def _samples(self) -> _Samples:
        """Each painted slice as itself and as the others alone imply it, and the paint outside of these slices."""
        known = torch.from_numpy(self.paint.known).movedim(self.paint.axis, 0)
        classes = torch.from_numpy(self.paint.classes).movedim(self.paint.axis, 0).long()
        slices, indices, shape, truth = self.paint.slices, [], [], []
        for k in [k for k in range(len(known)) if bool(known[k].any())]:
            others = tuple(q for q in slices if q != k)
            for sources in (slices, others) if k in slices and others else (slices,):
                mask = known[k].reshape(-1)
                indices.append(self.index[k].reshape(-1)[mask])
                shape.append(_as_rows(self.shapes.between(sources, [k]))[mask])
                truth.append(classes[k].reshape(-1)[mask])
        return _Samples(torch.cat(indices), torch.cat(shape), torch.cat(truth))

    def _inputs(self, rows: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        return torch.cat([rows, (shape / self.unit_mm).clamp_(-4, 4)], dim=1)


def _make_network(inputs: int, classes: int) -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(),
                         nn.Linear(_HIDDEN, classes))


def _initialize(network: nn.Module) -> None:
    """Random weights."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)


def _as_rows(shape: torch.Tensor) -> torch.Tensor:
    """(slices, features, height, width) as (voxels, features)."""
    return shape.movedim(1, -1).reshape(-1, shape.shape[1])


def _draw(samples: _Samples, classes: int, count: int) -> torch.Tensor:
    """Numbers of samples, drawn so that rare classes come more often than their share."""
    counts = torch.bincount(samples.classes, minlength=classes).clamp_min(1).double()
    ends = counts.rsqrt()[samples.classes].cumsum(0)
    drawn = torch.searchsorted(ends, torch.rand(count, dtype=torch.float64) * ends[-1])
    return drawn.clamp_max(len(ends) - 1)

"""A voxel classifier trained on what is painted: a small network on the features and on the shape between the slices.

In half of what it learns from, the shape features of a painted slice come from the other painted slices alone: else it
would learn to trust the shape as if every slice were painted. Its logits are added to those of the shape itself.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from meddl.core.progress import ProgressCallback, report
from meddl.painting.config import PaintConfig
from meddl.painting.paint import Paint
from meddl.painting.shapes import SliceShapes

_HIDDEN = 64
_BATCH = 1024
_RATE, _DECAY, _DROPOUT, _NOISE = 1e-2, 1e-2, 0.1, 0.1
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
        self._parameters: list[torch.Tensor] = []

    def fit(self, on_progress: ProgressCallback | None = None) -> None:
        """Train the network."""
        generator = torch.Generator().manual_seed(self.config.seed)
        samples = self._samples()
        sizes = (self.rows.shape[1] + self.shapes.features, _HIDDEN, _HIDDEN, self.classes)
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
            weight = torch.randn((inputs, outputs), generator=generator) * (2 / inputs) ** 0.5
            self._parameters += [weight.requires_grad_(), torch.zeros(outputs).requires_grad_()]
        optimizer = torch.optim.AdamW(self._parameters, lr=_RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, self.config.steps)
        drawn = _draw(samples, self.classes, _BATCH * self.config.steps, generator)
        for step, chosen in enumerate(drawn.split(_BATCH), start=1):
            x = self._inputs(samples.indices[chosen], samples.shape[chosen])
            x = x + _NOISE * torch.randn(x.shape, generator=generator)
            loss = F.cross_entropy(self._forward(x, generator), samples.classes[chosen])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            report(on_progress, step / self.config.steps, "Learning from the paint")

    @torch.no_grad()
    def probabilities(self) -> torch.Tensor:
        """(classes, I, J, K): background, then the structures."""
        depth = len(self.index)
        result = torch.empty((self.classes, *self.index.shape))
        together = max(1, _ROWS_AT_ONCE // self.index[0].numel())
        for first in range(0, depth, together):
            targets = range(first, min(first + together, depth))
            shape = _as_rows(self.shapes.between(self.paint.slices, targets))
            logits = self._forward(self._inputs(self.index[first:first + together].reshape(-1), shape))
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

    def _inputs(self, indices: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.rows[indices], (shape / self.unit_mm).clamp(-4, 4)], dim=1)

    def _forward(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Logits (rows, classes); with a generator as in training."""
        for layer in range(0, len(self._parameters), 2):
            if layer:
                x = x.relu()
                if generator is not None:
                    x = x * (torch.rand(x.shape, generator=generator) >= _DROPOUT) / (1 - _DROPOUT)
            x = x @ self._parameters[layer] + self._parameters[layer + 1]
        return x


def _as_rows(shape: torch.Tensor) -> torch.Tensor:
    """(slices, features, height, width) as (voxels, features)."""
    return shape.movedim(1, -1).reshape(-1, shape.shape[1])


def _draw(samples: _Samples, classes: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers of samples, drawn so that rare classes come more often than their share."""
    counts = torch.bincount(samples.classes, minlength=classes).clamp_min(1).double()
    ends = counts.rsqrt()[samples.classes].cumsum(0)
    drawn = torch.searchsorted(ends, torch.rand(count, generator=generator, dtype=torch.float64) * ends[-1])
    return drawn.clamp_max(len(ends) - 1)

"""The shape that painted slices imply between them: their signed distances, propagated from slice to slice."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from meddl.painting.paint import Paint
from meddl.painting.slice_registration import Warps, warp

_REACH = 3  # a painted slice is propagated past so many others


class SliceShapes:
    """Shape features of the slices of a region, from all of its painted slices or some of them.

    Args:
        paint: what is known.
        spacing_mm: (3,) of the region.
        warps: between the slices across `paint.axis`.
    """

    def __init__(self, paint: Paint, spacing_mm: np.ndarray, warps: Warps):
        self.slices = paint.slices
        self.count = paint.known.shape[paint.axis]
        self.step_mm = float(spacing_mm[paint.axis])
        self.voxel_mm = float(np.mean([spacing_mm[a] for a in range(3) if a != paint.axis]))
        self._distances = torch.from_numpy(_signed_distances(paint, spacing_mm))
        self._propagated = [self._propagate(place, warps) for place in range(len(self.slices))]

    @property
    def features(self) -> int:
        """How many features `between` gives."""
        return 2 * self._distances.shape[1] + 2

    def between(self, sources: Sequence[int], targets: Sequence[int]) -> torch.Tensor:
        """Features (targets, features, height, width) of the slices `targets`, from the painted slices `sources` alone.

        Of each structure the signed distance in mm, positive inside, of the nearest painted slice on both sides,
        propagated by the registration of the slices and blended by distance; the same without registration; at last the
        distance in mm to the nearest painted slice, and how far beyond the last one.

        Args:
            sources: painted slices, ascending, one at least.
        """
        result = torch.empty((len(targets), self.features, *self._distances.shape[2:]))
        classes = self._distances.shape[1]
        for row, target in zip(result, targets, strict=True):
            below = max((k for k in sources if k <= target), default=None)
            above = min((k for k in sources if k >= target), default=None)
            ends = [k for k in (below, above) if k is not None]
            beyond = self.step_mm * abs(target - ends[0]) if len(ends) == 1 else 0.0
            gap = sum(abs(target - k) for k in ends)
            weights = [1 - abs(target - k) / gap if len(ends) == 2 and gap else 1 / len(ends) for k in ends]
            row[:classes] = sum(w * self._at(k, target) for k, w in zip(ends, weights, strict=True)) - beyond
            row[classes:2 * classes] = sum(w * self._distances[self.slices.index(k)]
                                           for k, w in zip(ends, weights, strict=True)) - beyond
            row[-2], row[-1] = self.step_mm * min(abs(target - k) for k in ends), beyond
        return result

    def _at(self, painted: int, target: int) -> torch.Tensor:
        """The signed distances of a painted slice, propagated to another: as far as it was."""
        first, propagated = self._propagated[self.slices.index(painted)]
        return propagated[min(max(target - first, 0), len(propagated) - 1)]

    def _propagate(self, place: int, warps: Warps) -> tuple[int, torch.Tensor]:
        """(first slice, (slices, classes, height, width)) of one painted slice."""
        start, last = self.slices[place], len(self.slices) - 1
        low = self.slices[place - _REACH] if place >= _REACH else 0
        high = self.slices[place + _REACH] if place + _REACH <= last else self.count - 1
        above, below = [self._distances[place]], []
        for k in range(start, high):
            above.append(warp(above[-1][None], warps.up[k][None])[0])
        current = self._distances[place]
        for k in range(start - 1, low - 1, -1):
            current = warp(current[None], warps.down[k][None])[0]
            below.append(current)
        return low, torch.stack(below[::-1] + above)


def _signed_distances(paint: Paint, spacing_mm: np.ndarray) -> np.ndarray:
    """(painted slices, classes, height, width) in mm, positive inside; between what is known to be in and out.

    Where a structure is not in a slice, as far outside as it reaches inside in others.
    """
    spacing = [float(spacing_mm[a]) for a in range(3) if a != paint.axis]
    known, classes = np.moveaxis(paint.known, paint.axis, 0), np.moveaxis(paint.classes, paint.axis, 0)
    shape = (len(paint.slices), len(paint.values), *known.shape[1:])
    result = np.zeros(shape, dtype=np.float32)
    there = np.zeros(shape[:2], dtype=bool)
    for n, k in enumerate(paint.slices):
        for c in range(len(paint.values)):
            inside, outside = known[k] & (classes[k] == c + 1), known[k] & (classes[k] != c + 1)
            there[n, c] = inside.any()
            if there[n, c]:
                to_inside = distance_transform_edt(~inside, spacing)
                result[n, c] = (distance_transform_edt(~outside, spacing) if outside.any() else to_inside) - to_inside
    for c in range(len(paint.values)):
        result[~there[:, c], c] = -max(float(result[there[:, c], c].max(initial=0.0)), float(np.mean(spacing)))
    return result

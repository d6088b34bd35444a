"""Discrete search for large displacements, beyond the capture range of gradient-based registration.

Method: H. Siebert, C. Grossbroehmer, L. Hansen, M. P. Heinrich, "ConvexAdam: Self-Configuring Dual-Optimisation-Based
3D Multitask Medical Image Registration", 2021/2024, doi:10.48550/arXiv.2112.03053; the coupled convex search within is
that of M. P. Heinrich et al., "Non-parametric Discrete Registration with Convex Optimisation", WBIR 2014,
doi:10.1007/978-3-319-08554-8_6. Here cells are equally large in mm, the best displacement is refined between its
neighbors, and the cost volume has a bound.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.registration.images.smoothing import AxisFilter, box_matrix

_COUPLINGS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)  # of the mean cost, for one cell squared; each is one pass
_CONSISTENCY_STEPS = 15
_MOST_COSTS = 48_000_000  # entries of the cost volume; cells grow until they suffice
_COSTS_AT_ONCE = 1 << 19
_LARGE_MM = 12.0


def is_large(displacement: torch.Tensor, spacing_mm, where: torch.Tensor) -> bool:
    """Whether a displacement is so long that a search over large distances may find a better one.

    Where a coarse level of the refinement, which costs little, has moved a part of the object by 12 mm or more, what
    is thinner than that may have been passed by. Below, the search was measured to change nothing.

    Args:
        displacement: (3, I, J, K) in voxels.
        where: (I, J, K) bool, the object.
    """
    lengths = (displacement * displacement.new_tensor(spacing_mm)[:, None, None, None]).square().sum(dim=0).sqrt()
    inside = lengths[where].flatten()
    return bool(len(inside)) and float(inside.sort().values[int(0.95 * (len(inside) - 1))]) > _LARGE_MM


def search_displacements(fixed_features: torch.Tensor, moving_features: torch.Tensor, spacing_mm, *,
                         cell_mm: float = 6.0, reach_mm: float = 24.0, weights: torch.Tensor | None = None,
                  on_progress: ProgressCallback | None = None) -> torch.Tensor:
    """A smooth displacement that brings the fixed features onto similar moving ones, over large distances.

    Features are averaged over cells of about `cell_mm`; for each cell all displacements by whole cells up to
    `reach_mm` along each axis are compared. The choice of each cell is drawn ever closer to its neighbors' (coupled
    convex optimization). Fixed to moving and moving to fixed are searched alike and made inverse to each other.

    Args:
        fixed_features, moving_features: (C, I, J, K) on one grid, such as `mind_ssc`'s.
        spacing_mm: (3,) voxel sizes along the axes. An axis with larger voxels than `cell_mm` keeps its voxels.
        cell_mm: size of a cell; more for volumes so large that the costs would take more than about 200 MB.
        weights: (I, J, K), how much a fixed voxel counts; 1 everywhere if not given.

    Returns:
        (3, I, J, K) float32, in voxels along the grid's own axes: the fixed voxel p is found at p + displacement(p).

    Raises:
        InputError: features of different shapes, or a size that is not positive.
        Cancelled: by on_progress.
    """
    _check(fixed_features, moving_features, spacing_mm, cell_mm, reach_mm)
    shape = tuple(fixed_features.shape[1:])
    cells = Cells.over(shape, spacing_mm, cell_mm, reach_mm)
    report(on_progress, 0.0, "Averaging features over cells")
    fixed, moving = cells.averages(fixed_features), cells.averages(moving_features)
    weights = None if weights is None else cells.averages(weights[None])[0]
    forward = _search(fixed, moving, cells, weights, span(on_progress, 0.05, 0.5))
    backward = _search(moving, fixed, cells, None, span(on_progress, 0.5, 0.95))
    forward, _ = _make_inverse(forward, backward)
    report(on_progress, 0.97, "Spreading the displacements over the voxels")
    return cells.spread(forward)


@dataclass(frozen=True)
class Cells:
    """The cells that share the center of a grid, and how far the search goes.

    Attributes:
        shape: voxels of the grid.
        counts: cells along each axis.
        factors: voxels of a cell along each axis, not always whole.
        reach: cells to search on either side along each axis.
    """

    shape: tuple[int, int, int]
    counts: tuple[int, int, int]
    factors: tuple[float, float, float]
    reach: tuple[int, int, int]

    @staticmethod
    def over(shape, spacing_mm, cell_mm: float, reach_mm: float) -> "Cells":
        """Cells of `cell_mm`, or more where the cost volume would not fit otherwise."""
        spacing = np.asarray(spacing_mm, dtype=np.float64)
        while True:
            factors = np.maximum(cell_mm / spacing, 1.0)
            counts = np.ceil(np.array(shape) / factors - 1e-6).astype(int)
            reach = np.minimum(np.rint(reach_mm / (factors * spacing)).astype(int), counts - 1)
            if np.prod(counts) * np.prod(2 * reach + 1) <= _MOST_COSTS:
                return Cells(tuple(shape), tuple(map(int, counts)), tuple(map(float, factors)),
                             tuple(map(int, reach)))
            cell_mm *= 1.1

    @property
    def displacements(self) -> np.ndarray:
        """All displacements of the search in cells, (D, 3)."""
        return np.array(list(itertools.product(*(range(-n, n + 1) for n in self.reach))))

    def averages(self, values: torch.Tensor) -> torch.Tensor:
        """Means over the cells of `values` (C, I, J, K), float32."""
        matrices = [_overlaps(n, m, f) for n, m, f in zip(self.shape, self.counts, self.factors, strict=True)]
        return torch.stack([_along_axes(channel.float(), matrices) for channel in values])

    def spread(self, displacement: torch.Tensor) -> torch.Tensor:
        """A displacement of the cells, in cells, as a smooth one of the voxels, in voxels (cubic B-splines)."""
        matrices = [_splines(n, m, f) for n, m, f in zip(self.shape, self.counts, self.factors, strict=True)]
        return torch.stack([_along_axes(channel, matrices) * factor
                            for channel, factor in zip(displacement, self.factors, strict=True)])


def _check(fixed, moving, spacing_mm, cell_mm, reach_mm) -> None:
    if fixed.ndim != 4 or fixed.shape != moving.shape:
        raise InputError("The search takes two sets of features (C, I, J, K) on one grid, "
                         f"not {tuple(fixed.shape)} and {tuple(moving.shape)}.")
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    if spacing.shape != (3,) or not (spacing > 0).all() or not cell_mm > 0 or not reach_mm > 0:
        raise InputError("Voxel sizes (three), cell_mm and reach_mm are positive lengths in mm, "
                         f"not {spacing_mm}, {cell_mm} and {reach_mm}.")


def _overlaps(count: int, cells: int, factor: float) -> np.ndarray:
    """Matrix (cells, count) that averages voxels over cells of `factor` voxels; both share one center."""
    middle = (np.arange(cells) - (cells - 1) / 2) * factor + (count - 1) / 2
    voxels = np.arange(count)
    shared = (np.minimum(middle[:, None] + factor / 2, voxels + 0.5)
              - np.maximum(middle[:, None] - factor / 2, voxels - 0.5)).clip(0)
    return shared / shared.sum(axis=1, keepdims=True)


def _splines(count: int, cells: int, factor: float) -> np.ndarray:
    """Matrix (count, cells) of cubic B-splines about the cells' centers; the outermost go on beyond the edge."""
    coordinates = (np.arange(count) - (count - 1) / 2) / factor + (cells - 1) / 2
    matrix = np.zeros((count, cells))
    first = np.floor(coordinates).astype(int)
    for offset in range(-1, 3):
        distance = np.abs(coordinates - (first + offset))
        weight = np.where(distance < 1, 2 / 3 - distance ** 2 + distance ** 3 / 2, (2 - distance).clip(0) ** 3 / 6)
        np.add.at(matrix, (np.arange(count), np.clip(first + offset, 0, cells - 1)), weight)
    return matrix


def _along_axes(values: torch.Tensor, matrices) -> torch.Tensor:
    """`values` (I, J, K) multiplied along each axis with its matrix (new, old)."""
    for axis, matrix in enumerate(matrices):
        weights = torch.from_numpy(matrix).to(values)
        values = torch.tensordot(weights, values, dims=([1], [axis])).movedim(0, axis)
    return values


def _search(fixed, moving, cells: Cells, weights, on_progress) -> torch.Tensor:
    """The displacement of each cell of `fixed` into `moving`, (3, *counts), in cells."""
    near_mean = _near_mean(cells.counts, fixed)
    costs = _costs(fixed, moving, cells, weights, near_mean, span(on_progress, 0.0, 0.6))
    steps = torch.from_numpy(cells.displacements).to(fixed)
    unit = float(costs.mean())
    near = fixed.new_zeros((3, *cells.counts))  # where nothing is to be seen, nothing moves
    for number, coupling in enumerate(_COUPLINGS):
        report(on_progress, 0.6 + 0.4 * number / len(_COUPLINGS), "Coupling neighboring displacements")
        near = near_mean(_couple(costs, steps, near, coupling * unit, cells))
    return near


def _near_mean(counts, like: torch.Tensor) -> AxisFilter:
    """Means over 3 x 3 x 3 cells, fewer at the grid's edge."""
    boxes = [box_matrix(count, 1) for count in counts]
    return AxisFilter([box / box.sum(axis=1, keepdims=True) for box in boxes], like)


def _costs(fixed, moving, cells: Cells, weights, near_mean, on_progress) -> torch.Tensor:
    """Mean squared differences of the features under each displacement, averaged over near cells: (D, cells)."""
    pad = [n for n in reversed(cells.reach) for _ in range(2)]
    beyond = F.pad(moving[None], pad, mode="replicate")[0]
    steps = cells.displacements
    costs = fixed.new_zeros((len(steps), *cells.counts))
    for number, step in enumerate(steps):
        if number % 8 == 0:
            report(on_progress, number / len(steps), "Comparing displacements")
        window = tuple(slice(int(n + d), int(n + d) + size) for n, d, size in zip(
            cells.reach, step, cells.counts, strict=True))
        for one, other in zip(fixed, beyond, strict=True):
            difference = one - other[window]
            costs[number].addcmul_(difference, difference)
        if weights is not None:
            costs[number] *= weights
        near_mean(costs[number])
    return costs.div_(len(fixed)).flatten(1)


def _couple(costs, steps, near, coupling: float, cells: Cells) -> torch.Tensor:
    """For each cell the displacement with the least cost + coupling * squared distance to `near` (3, *counts)."""
    left = torch.cat([coupling * steps.square().sum(dim=1, keepdim=True), -2 * coupling * steps], dim=1)
    flat = near.reshape(3, -1)
    right = torch.cat([torch.ones_like(flat[:1]), flat])
    found = torch.empty_like(flat)
    chunk = max(1, _COSTS_AT_ONCE // len(steps))
    for first in range(0, flat.shape[1], chunk):
        part = slice(first, first + chunk)
        totals = torch.addmm(costs[:, part], left, right[:, part])
        best = totals.argmin(dim=0)
        found[:, part] = steps[best].T + _between(totals, best, cells)
    return found.reshape(near.shape)


def _between(totals, best, cells: Cells) -> torch.Tensor:
    """How far the least of the parabola through the best of `totals` (D, cells) and its neighbors lies from it.

    (3, cells), half a step at most; 0 along axes on which the best is the farthest.
    """
    widths = [2 * n + 1 for n in cells.reach]
    strides = (widths[1] * widths[2], widths[2], 1)
    at_best = totals.gather(0, best[None])[0]
    shift = totals.new_zeros((3, len(best)))
    for axis, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        place = best // stride % width
        inner = (place > 0) & (place < width - 1)
        if not inner.any():
            continue
        step = torch.where(inner, stride, 0)
        rise = totals.gather(0, (best + step)[None])[0] - at_best
        fall = totals.gather(0, (best - step)[None])[0] - at_best
        shift[axis] = torch.where(inner, (fall - rise) / (2 * (fall + rise)).clamp_min(1e-12), 0).clamp(-0.5, 0.5)
    return shift


def _make_inverse(forward: torch.Tensor, backward: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two displacements (3, I, J, K) in cells, drawn together until each undoes the other."""
    for _ in range(_CONSISTENCY_STEPS):
        forward, backward = ((forward - _look_up(backward, forward)) / 2,
                             (backward - _look_up(forward, backward)) / 2)
    return forward, backward


def _look_up(field: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """`field` (3, I, J, K) at x + displacement(x), linear, the edge value beyond the grid."""
    coordinates = []
    for axis, count in enumerate(field.shape[1:]):
        along = torch.arange(count, dtype=field.dtype, device=field.device)
        along = along.reshape([-1 if at == axis else 1 for at in range(3)])
        coordinates.append((2 * (along + displacement[axis]) + 1) / count - 1)
    grid = torch.stack(coordinates[::-1], dim=-1)[None]
    return F.grid_sample(field[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]

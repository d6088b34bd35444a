"""Diffeomorphic registration: a smooth displacement that maximizes a similarity, from coarse to fine.

Compositional greedy Adam after R. Jena, P. Chaudhari, J. C. Gee, "FireANTs: Adaptive Riemannian Optimization
for Multi-Scale Diffeomorphic Matching", 2024, arXiv:2404.01249, written from the paper. Differences: lengths
are millimeters on grids with thick slices too; the gradient is that of the warped image, so nothing is
differentiated automatically; the second moment is one number a voxel, so that the direction of a step does
not depend on the directions of the axes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch

from meddl.registration.deformable.landmark_term import LandmarkTerm
from meddl.registration.deformable.significance import Significance
from meddl.registration.images.pyramid import triangle_weights
from meddl.registration.images.smoothing import AxisFilter, gaussian_filter
from meddl.registration.images.warped_image import SLAB_VOXELS, Similarity, WarpedImage, linear_coordinates, sample
from meddl.spatial.grid import Grid

_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.99   # Adam's, as published
_TINY = 1e-30
_REFRESH = 20           # steps between two renewals of weights
_SHORT_VOXELS = 0.5     # a flow this short is its velocity
_INVERSE_STEPS = 6
PART = 0.25             # of a step, between two calls of `on_step`
_LOOK = 5               # steps between two looks at the values: each look waits for the device


@dataclass(eq=False)
class Stage:
    """One level of a refinement.

    Attributes:
        similarity: the metric to maximize.
        warped: the moving image on this level's fixed grid.
        spacing_mm: the spacing that lengths in voxels refer to; thick slices are thicker.
        iterations: largest number of steps.
        refresh: called at the start and every 20 steps, as the displacement changes: to renew weights.
        landmark_term: or None.
        backward: the same with the roles exchanged, on the same grid, for a velocity field that drives both
            directions; None for a displacement.
        significance: what the result of the level is kept by; None: all of it is.
    """

    similarity: Similarity
    warped: WarpedImage
    spacing_mm: float
    iterations: int
    refresh: Callable[[], None] = lambda: None
    landmark_term: LandmarkTerm | None = None
    backward: "Stage | None" = None
    significance: Significance | None = None

    def refresh_weights(self) -> None:
        """Renew the weights for the field that is applied."""
        self.refresh()
        if self.backward is not None:
            self.backward.refresh()

    def contrast(self) -> torch.Tensor:
        """How much each voxel's difference counts (I, J, K): see `Similarity`."""
        return self.similarity.contrast()

    def difference(self, blur: AxisFilter | None = None, side: str = "") -> torch.Tensor | None:
        """What differs under the field that is applied (I, J, K): see `Similarity`."""
        here = self.similarity.difference(self.warped, blur, side)
        if self.backward is None or here is None:
            return here
        other = {"fixed": "moving", "moving": "fixed"}.get(side, "")
        there = self.backward.similarity.difference(self.backward.warped, blur, other)
        return here.add_(there).div_(2)

    def apply_field(self, field: torch.Tensor | None, longest_voxels: float | None = None) -> None:
        """Warp the moving image by `field`: the displacement, or the velocity whose flow warps both images; or None.

        `longest_voxels`: no vector of a velocity is longer; None: measured.
        """
        if self.backward is None:
            self.warped.displacement = field
        elif field is None:
            self.warped.displacement = self.backward.warped.displacement = None
        else:
            self.warped.displacement = self.backward.warped.displacement = None
            self.warped.displacement = flow(field, self.warped.pause, longest_voxels)
            self.backward.warped.displacement = flow(-field, self.warped.pause, longest_voxels)


@dataclass
class Steps:
    """Step size and regularization of the optimization.

    Lengths in voxels are multiples of a level's `spacing_mm`, alike along all axes.

    Attributes:
        gradient_smoothing_voxels: sigma of the smoothing of the similarity's slope.
        field_smoothing_voxels: sigma of the smoothing of the displacement after each step.
        step_voxels: no voxel moves further in a step.
        convergence_threshold: a level ends when the value has grown by less than this fraction over the last steps; 0:
            never.
    """

    gradient_smoothing_voxels: float
    field_smoothing_voxels: float
    step_voxels: float
    convergence_threshold: float = 0.0


@dataclass
class LevelReport:
    """What happened on a level: its spacing, steps taken, value at each."""

    spacing_mm: float
    steps: int = 0
    values: list[float] = field(default_factory=list)


def refine(stages: Iterable[Stage], steps: Steps, displacement: torch.Tensor | None = None,
           grid: Grid | None = None, *, on_step: Callable[[int, float, int], None] = lambda *_: None,
           on_level: Callable[[torch.Tensor, Grid], None] = lambda *_: None
           ) -> tuple[torch.Tensor, Grid, list[LevelReport]]:
    """Maximize the similarity of each stage in turn.

    Args:
        stages: coarse to fine; taken one at a time, so that a generator keeps one level in memory.
        steps: step size and regularization.
        displacement: initial, (3, I, J, K) in voxels of `grid` along its axes; None starts at zero.
        grid: of the initial displacement, with the same center and directions as the stages'.
        on_step: called with level, steps done and the most steps, after each quarter of one; may raise Cancelled.
        on_level: called with displacement and grid at the end of each level.

    Returns:
        (displacement, grid, reports): the displacement (3, I, J, K) in voxels of the last stage's grid along
        its axes, the grid, and what happened on each level. A fixed voxel x maps to x + displacement(x). Where the
        stages have a `backward`, `displacement` stands for the velocity, here and above; see `flow`.
    """
    reports = []
    for number, stage in enumerate(stages):
        displacement, level = _refine_level(stage, steps, displacement, grid, lambda *at, n=number: on_step(n, *at))
        if stage.significance is not None and level.steps:  # by now the optimizer's memory is free again
            displacement = stage.significance.keep(stage, displacement)
        grid = stage.warped.grid
        reports.append(level)
        on_level(displacement if stage.backward is None else flow(displacement), grid)
    return displacement, grid, reports


def _refine_level(stage: Stage, steps: Steps, start: torch.Tensor | None, start_grid: Grid | None, on_step
                  ) -> tuple[torch.Tensor, LevelReport]:
    grid, report = stage.warped.grid, LevelReport(stage.spacing_mm)
    displacement = (stage.warped.moving.new_zeros((3, *grid.shape)) if start is None
                    else on_grid(start, start_grid, grid))
    del start
    spacing = displacement.new_tensor(grid.spacing_mm / stage.spacing_mm)[:, None, None, None]
    smooth_slope = gaussian_filter(grid.shape, grid.spacing_mm, steps.gradient_smoothing_voxels * stage.spacing_mm,
                                   displacement, stage.warped.pause)
    smooth_field = gaussian_filter(grid.shape, grid.spacing_mm, steps.field_smoothing_voxels * stage.spacing_mm,
                                   displacement, stage.warped.pause)
    adam = _Adam(displacement)
    values, reach = [], 0.0
    for step in range(stage.iterations):
        if stage.backward is not None and step % _LOOK == 0:
            reach = float(longest(displacement))
        stage.apply_field(displacement, reach)
        reach += 2 * steps.step_voxels if stage.landmark_term is not None else steps.step_voxels
        if step % _REFRESH == 0:
            stage.refresh_weights()
        on_step(step, stage.iterations)
        value, slope = stage.similarity(stage.warped)
        if stage.backward is not None:
            there, back = stage.backward.similarity(stage.backward.warped)
            value, slope = (value + there) / 2, slope.sub_(back).div_(2)
            del back
        values.append(value)
        on_step(step + PART, stage.iterations)
        smooth_slope(slope.div_(spacing))
        move = adam(slope, stage.similarity.flat_slope / slope[0].numel())
        on_step(step + 2 * PART, stage.iterations)
        move.mul_(steps.step_voxels / longest(move).clamp(min=1.0)).div_(spacing)
        if stage.landmark_term is not None:
            move = stage.landmark_term(stage.warped.displacement, move, steps.step_voxels * stage.spacing_mm)
        displacement = (move.add_(displacement) if stage.backward is not None
                        else compose(displacement, move, stage.warped.pause, out=move))
        on_step(step + 3 * PART, stage.iterations)
        smooth_field(displacement)
        report.steps += 1
        alike = step % _REFRESH + 1  # values with the same weights
        threshold = steps.convergence_threshold
        if threshold and alike % _LOOK == 0 and alike >= 2 * _LOOK and _has_converged(values, threshold):
            break
    report.values = torch.stack(values).tolist() if values else []
    return displacement, report


class _Adam:
    """D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", 2015, arXiv:1412.6980, voxel by voxel."""

    def __init__(self, like: torch.Tensor):
        self.first, self.second = torch.zeros_like(like), torch.zeros_like(like[0])
        self.count = 0

    def __call__(self, slope: torch.Tensor, flat: float | torch.Tensor) -> torch.Tensor:
        """The step for this slope (3, I, J, K), which is overwritten by it.

        About as long as 1 where slopes agree from step to step, and shorter where they are less than `flat`.
        """
        self.count += 1
        self.first.lerp_(slope, 1 - _FIRST_DECAY)
        squares = slope.square_().sum(dim=0)
        self.second.lerp_(squares, 1 - _SECOND_DECAY)
        length = (self.second / (1 - _SECOND_DECAY ** self.count)).sqrt_().add_(flat + _TINY)
        length *= 1 - _FIRST_DECAY ** self.count
        return torch.div(self.first, length, out=slope)


def _has_converged(values: list[torch.Tensor], threshold: float) -> bool:
    recent, before = torch.stack(values[-2 * _LOOK:]).view(2, _LOOK).mean(dim=1).flip(0).tolist()
    return abs(recent - before) < threshold * abs(before)  # Adam overshoots: a value that falls will rise again


def longest(field: torch.Tensor) -> torch.Tensor:
    """The length of the longest vector of a field (3, I, J, K), a tensor without axes."""
    squares = field[0].square()
    return squares.addcmul_(field[1], field[1]).addcmul_(field[2], field[2]).max().sqrt_()


def compose(displacement: torch.Tensor, move: torch.Tensor, pause: Callable[[], None] = lambda: None,
            out: torch.Tensor | None = None) -> torch.Tensor:
    """The displacement of first moving by `move`, then by `displacement`: move + displacement at x + move.

    Both (3, I, J, K) in voxels; beyond the grid the displacement at its edge holds. The result is written to `out`,
    which may be `move` but not `displacement`; a new tensor if there is none.
    """
    shape = displacement.shape[1:]
    scale = 2 / np.array(shape, dtype=np.float64)
    out = torch.empty_like(displacement) if out is None else out
    slab = max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    for start in range(0, shape[0], slab):
        pause()
        stop = min(start + slab, shape[0])
        coordinates = linear_coordinates(np.diag(scale), scale / 2 - 1, move, start, stop, shape, displacement)
        torch.add(move[:, start:stop], sample(displacement, coordinates), out=out[:, start:stop])
    return out


def flow(velocity: torch.Tensor, pause: Callable[[], None] = lambda: None,
         longest_voxels: float | None = None) -> torch.Tensor:
    """The displacement (3, I, J, K) in voxels after flowing along a constant velocity for a unit of time.

    By scaling and squaring: V. Arsigny et al., "A log-Euclidean framework for statistics on diffeomorphisms", MICCAI
    2006, doi:10.1007/11866565_113. The flow along the reversed velocity leads back.

    `longest_voxels`: no vector of the velocity is longer; None: measured, for which the program waits for the device.
    """
    most = float(longest(velocity)) if longest_voxels is None else longest_voxels
    squarings = max(0, int(np.ceil(np.log2(max(most, 1e-12) / _SHORT_VOXELS))))
    displacement = velocity / 2 ** squarings
    del velocity
    for _ in range(squarings):
        displacement = compose(displacement, displacement, pause)
    return displacement


def inverse_near(displacement: torch.Tensor, guess: torch.Tensor, pause: Callable[[], None] = lambda: None
                 ) -> torch.Tensor:
    """The inverse of a displacement, both (3, I, J, K) in voxels, from a guess that is nearly right.

    By fixed-point iteration, see `meddl.spatial.displacement.invert`: what a flow there and back misses by
    interpolation.
    """
    for _ in range(_INVERSE_STEPS):
        guess = guess - compose(displacement, guess, pause)
    return guess


def on_grid(displacement: torch.Tensor, grid: Grid, new: Grid) -> torch.Tensor:
    """A displacement (3, I, J, K) in voxels of `grid` on the grid `new`, in its voxels; centers and axes agree.

    Linear; beyond the outermost voxel centers the displacement at the edge holds.
    """
    if grid.same_as(new):
        return displacement
    ratio = new.spacing_mm / grid.spacing_mm
    for axis in range(3):
        weights = triangle_weights(grid.shape[axis], new.shape[axis], ratio[axis])
        matrix = torch.from_numpy(weights).to(displacement)
        displacement = torch.tensordot(displacement, matrix, dims=([axis + 1], [1])).movedim(3, axis + 1)
    return displacement.contiguous() / displacement.new_tensor(ratio)[:, None, None, None]

"""The deformable stage of a registration: from two volumes and an affine map to a smooth displacement."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from meddl.config import DEFORMATION_STEPS, RegisterConfig
from meddl.device import free_memory_bytes, is_out_of_memory
from meddl.errors import InputError
from meddl.geometry import Grid, centered_grid
from meddl.progress import ProgressCallback, preview, report, span
from meddl.registration.capture import capture_field, is_large
from meddl.registration.diffeomorphic import Stage, Steps, compose, flow, inverse_near, on_grid, refine
from meddl.registration.feature_difference import FeatureDifference
from meddl.registration.landmark_pull import LandmarkPull
from meddl.registration.local_correlation import LocalCorrelation, window_radius
from meddl.registration.metric_choice import first_choice, holds_after_coarsest
from meddl.registration.mind import mind_ssc, mind_steps
from meddl.registration.pyramid import Level, reduce_to, spacing_grid
from meddl.registration.sides import Side
from meddl.registration.warped_image import WarpedImage, voxels_between
from meddl.resample import to_tensor
from meddl.volume import Volume

_LEVELS = (4, 2, 1)         # times the finest spacing, where no levels were given
_MOST_VOXELS = {"lncc": 1 << 24, "mind": 1 << 22}  # of the finest level, where no levels were given
_MIND_RADIUS, _MIND_DILATION = 0, 1  # voxels
_LEAST_VOXELS = 8           # along the middle extent of a level
_CROP_MARGIN_MM = 16.0      # around the fixed object: what moves into it is seen
_BYTES_A_VOXEL = {"lncc": 130, "mind": 220}  # measured peak of a level
_RANGE = (0.001, 0.999)     # percentiles: of the intensities between them the contrast is kept
_PERCENTILE_VOXELS = 1_000_000  # looked at for them
_PREVIEW_VOXELS = 64        # along the longest axis


@dataclass(frozen=True, eq=False)
class Scale:
    """One side at one spacing.

    Attributes:
        image: (I, J, K) float32 tensor, 0 to 1, in proportion to the intensities but for a few extreme ones.
        region: (I, J, K) float32 tensor, 1 where the volume counts; None: everywhere.
        grid: where the voxels lie, RAS mm.
        spacing_mm: the spacing that was asked for; thicker slices stay thicker.
    """

    image: torch.Tensor
    region: torch.Tensor | None
    grid: Grid
    spacing_mm: float


@dataclass(frozen=True, eq=False)
class Deformation:
    """What the deformable stage found.

    Attributes:
        displacement: Volume (3, I, J, K), mm along R, A, S, on a grid of the finest level, around the fixed object.
        facts: deformable_metric (name, before and after on the finest level), captured (whether large displacements
            were searched first), deformable_levels_mm, deformable_steps by level.
        inverse: what undoes the displacement, on the same grid; None but for a symmetric deformation.
        warnings: what a person should know.
    """

    displacement: Volume
    facts: dict
    inverse: Volume | None
    warnings: list[str] = field(default_factory=list)


def deform(fixed: Side, moving: Side, coarse: tuple[Level, Level], affine: np.ndarray, config: RegisterConfig,
           device: torch.device, landmarks: tuple[np.ndarray, np.ndarray] | None = None,
           on_progress: ProgressCallback | None = None) -> Deformation:
    """The displacement u with which p -> affine @ (p + u(p)) takes fixed points to the same places of `moving`.

    Args:
        coarse: both sides at one spacing of about 4 mm, from which the metric is chosen.
        affine: 4x4, fixed to moving, RAS mm.
        config: metric, capture, deformable_levels_mm and what follows it.
        landmarks: pairs of points, fixed and moving (N, 3), RAS mm, that pull the deformation.

    Where the memory does not suffice the finest level is left out, and a warning says so.
    """
    report(on_progress, 0.0, "Preparing the levels")
    fixed = cropped(fixed)
    report(on_progress, 0.0, "Preparing the levels")
    given = config.metric in _MOST_VOXELS
    metric = config.metric if given else first_choice(*coarse, affine, _Progress(on_progress).again)
    sides = fixed, moving
    found = _within_memory(sides, affine, config, metric, not given, device, landmarks, on_progress)
    return found or _within_memory(sides, affine, config, "mind", False, device, landmarks, on_progress)


def _within_memory(sides, affine, config, metric, doubtful, device, landmarks, on_progress) -> Deformation | None:
    grid = sides[0].volume.grid
    levels_mm = deformation_levels_mm(grid, config.deformable_levels_mm, _MOST_VOXELS[metric])
    iterations = _iterations(config.deformable_iterations, len(levels_mm))
    warnings = []
    while True:
        try:
            _check_memory(grid, levels_mm, metric, device)
            return _deform(*sides, affine, config, metric, doubtful, levels_mm, iterations, device, landmarks,
                           warnings, on_progress)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(levels_mm) == 1:
                raise
        warnings.append(f"The memory of {device} was not enough for a deformation at {levels_mm[-1]:.3g} mm; "
                        f"{levels_mm[-2]:.3g} mm is the finest level.")
        levels_mm, iterations = levels_mm[:-1], iterations[:-1]


def _deform(fixed, moving, affine, config, metric, doubtful, levels_mm, iterations, device, landmarks, warnings,
            on_progress) -> Deformation | None:
    """None where the metric is `doubtful` and, after the coarsest level, lncc proves to be the wrong one."""
    progress = _Progress(on_progress)
    pyramids = list(zip(*(_scales(side, levels_mm, device, progress.again) for side in (fixed, moving)), strict=True))
    features = _Features(*pyramids[-1], affine, progress.again) if metric == "mind" else None
    costs = np.array([n * float(np.prod(level.image.shape)) for n, (level, _) in zip(iterations, pyramids)])
    ends = np.concatenate([[0], np.cumsum(costs / costs.sum())])

    def on_step(level: int, step: int, most: int) -> None:
        progress.at(ends[level] + (ends[level + 1] - ends[level]) * step / most,
                    f"Deforming at {levels_mm[level]:.2g} mm")

    def on_level(displacement: torch.Tensor, grid: Grid) -> None:
        preview(on_progress, lambda: _preview(displacement, grid, affine))

    steps = Steps(**{name: suited if getattr(config, name) is None else getattr(config, name)
                     for name, suited in DEFORMATION_STEPS[metric].items()}, stall=config.stall)
    stages = _stages(pyramids, affine, features, iterations, config, progress.again)
    if landmarks is not None and config.landmark_weight > 0:
        stages = _pulled(stages, landmarks, affine, config)
    if config.symmetric:
        stages = _both_ways(stages, pyramids, affine, config, progress.again)
    stages, displacement, grid, levels = iter(stages), None, None, []
    if len(pyramids) > 1:
        displacement, grid, levels = refine([next(stages)], steps, on_step=on_step, on_level=on_level)
        if doubtful and metric == "lncc" and not holds_after_coarsest(
                pyramids, affine, progress.again, flow(displacement) if config.symmetric else displacement, on_grid):
            return None
    coarsest, captured = pyramids[0][0].image, False
    wanted = config.capture == "on" or config.capture == "auto" and displacement is not None and is_large(
        displacement, grid.spacing_mm, coarsest > coarsest.mean())
    if wanted and not config.symmetric:
        # After the coarsest level, which forgets where it started from.
        displacement, grid, captured = _captured(features, pyramids, affine, metric, displacement, grid, progress)
    displacement, grid, rest = refine(stages, steps, displacement, grid, on_level=on_level,
                                      on_step=lambda level, *at: on_step(level + len(levels), *at))
    levels += rest
    inverse = None
    if config.symmetric:
        displacement, back = flow(displacement, progress.again), flow(-displacement, progress.again)
        inverse = _in_mm(inverse_near(displacement, back, progress.again), grid)
    finest = next((level.values for level in reversed(levels) if level.values), [None])
    return Deformation(_in_mm(displacement, grid), {
        "deformable_metric": {"name": metric, "before": finest[0], "after": finest[-1]},
        "captured": captured,
        "deformable_levels_mm": list(levels_mm),
        "deformable_steps": [level.steps for level in levels],
    }, inverse, warnings)


class _Features:
    """MIND of both volumes on one level's grid, the moving one resampled through the affine."""

    def __init__(self, fixed: Scale, moving: Scale, affine, pause):
        self.grid = fixed.grid
        dilation = mind_steps(fixed.grid.spacing_mm, _MIND_DILATION)
        there = voxels_between(fixed.grid, moving.grid, affine)
        seen = WarpedImage(moving.image[None], fixed.grid, there, pause).all()[0]
        pause()
        self.fixed = mind_ssc(fixed.image, _MIND_RADIUS, dilation)
        pause()
        self.moving = mind_ssc(seen, _MIND_RADIUS, dilation)
        pause()

    def on(self, grid: Grid, pause) -> tuple[torch.Tensor, torch.Tensor]:
        """The features on a coarser grid: averages, which keep what a coarser image would have lost."""
        if grid.same_as(self.grid):
            return self.fixed, self.moving
        reduced = []
        for features in (self.fixed, self.moving):
            out = features.new_empty((len(features), *grid.shape))
            for channel, source in zip(out, features, strict=True):
                pause()
                channel.copy_(reduce_to(source, self.grid, grid))
            reduced.append(out)
        return tuple(reduced)


def _stages(pyramids, affine, features: _Features | None, iterations, config, pause) -> Iterator[Stage]:
    for (fixed, moving), most in zip(pyramids, iterations, strict=True):
        yield (_correlation_stage(fixed, moving, affine, most, config, pause) if features is None
               else _feature_stage(features, fixed, moving, affine, most, pause))


def _pulled(stages: Iterator[Stage], landmarks, affine, config) -> Iterator[Stage]:
    for stage in stages:
        pull = LandmarkPull(*landmarks, affine, config.landmark_weight, config.landmark_reach_mm, stage.warped.grid,
                            stage.warped.moving)
        yield replace(stage, pull=pull)


def _both_ways(stages: Iterator[Stage], pyramids, affine, config, pause) -> Iterator[Stage]:
    """Each stage with its counterpart: the moving image, as seen on the fixed grid, is at rest, the fixed one moves."""
    for stage, (fixed, moving) in zip(stages, pyramids, strict=True):
        seen = WarpedImage(stage.warped.moving, fixed.grid, voxels_between(fixed.grid, moving.grid, affine)
                           if isinstance(stage.similarity, LocalCorrelation) else np.eye(4), pause)
        if isinstance(stage.similarity, LocalCorrelation):
            radius = window_radius(fixed.grid.spacing_mm, fixed.spacing_mm, config.correlation_radius_voxels)
            similarity, image = LocalCorrelation(seen.all()[0], radius, pause=pause), fixed.image[None]
        else:
            similarity, image = FeatureDifference(seen.moving), stage.similarity.fixed
        resting = Scale(fixed.image, _region_seen(fixed, moving, affine, pause), fixed.grid, fixed.spacing_mm)
        warped = WarpedImage(image, fixed.grid, np.eye(4), pause)
        yield replace(stage, backward=Stage(similarity, warped, fixed.spacing_mm, stage.iterations, _weights(
            similarity, warped, resting, fixed, np.eye(4))))


def _region_seen(fixed: Scale, moving: Scale, affine, pause) -> torch.Tensor:
    """(I, J, K): 1 where a voxel of the fixed grid lies in the moving field of view, and mask if there is one."""
    mask = moving.region
    sight = WarpedImage((moving.image if mask is None else mask)[None], fixed.grid,
                        voxels_between(fixed.grid, moving.grid, affine), pause)
    weight = sight.inside()
    return weight if mask is None else weight * (sight.all()[0] > 0.99)


def _correlation_stage(fixed: Scale, moving: Scale, affine, most: int, config, pause) -> Stage:
    warped = WarpedImage(moving.image[None], fixed.grid, voxels_between(fixed.grid, moving.grid, affine), pause)
    radius = window_radius(fixed.grid.spacing_mm, fixed.spacing_mm, config.correlation_radius_voxels)
    similarity = LocalCorrelation(fixed.image, radius, pause=pause)
    return Stage(similarity, warped, fixed.spacing_mm, most, _weights(similarity, warped, fixed, moving, affine))


def _captured(features: _Features | None, pyramids, affine, metric, displacement, grid, progress: "_Progress"
              ) -> tuple[torch.Tensor, Grid, bool]:
    """`displacement` and what a search over large distances finds beyond it, on the grid of the search; and whether
    that made the features more alike: if not, it is left out."""
    level = _feature_level(pyramids, metric)
    features = features or _Features(*pyramids[level], affine, progress.again)
    grid, here = features.grid, (features.fixed.new_zeros((3, *features.grid.shape)) if displacement is None
                                 else on_grid(displacement, grid, features.grid))
    seen = WarpedImage(features.moving, grid, np.eye(4), progress.again)
    alike = FeatureDifference(features.fixed, pyramids[level][0].region)
    seen.displacement = here
    before, _ = alike(seen)
    start = progress.last[0]
    rest = capture_field(features.fixed, seen.all(), grid.spacing_mm, weights=pyramids[level][0].region,
                         on_progress=span(progress.on_progress, start, start + (1 - start) / 5))
    progress.on_progress = span(progress.on_progress, 0.2, 1.0)
    seen.displacement = compose(here, rest, progress.again)
    after, _ = alike(seen)
    better = bool(after > before)
    return seen.displacement if better else here, grid, better


def _feature_stage(features: _Features, fixed: Scale, moving: Scale, affine, most: int, pause) -> Stage:
    here, there = features.on(fixed.grid, pause)
    similarity = FeatureDifference(here)
    warped = WarpedImage(there, fixed.grid, np.eye(4), pause)
    return Stage(similarity, warped, fixed.spacing_mm, most, _weights(similarity, warped, fixed, moving, affine))


def _weights(similarity, warped: WarpedImage, fixed: Scale, moving: Scale, affine):
    """A function that lets only those voxels count that both masks and the moving field of view hold."""
    region, mask = fixed.region, moving.region
    sight = WarpedImage((moving.image if mask is None else mask)[None], fixed.grid,
                        voxels_between(fixed.grid, moving.grid, affine), warped.pause)

    def refresh() -> None:
        sight.displacement = warped.displacement
        weight = sight.inside()
        if mask is not None:
            weight *= sight.all()[0] > 0.99
        similarity.weigh(weight if region is None else weight.mul_(region))
    return refresh


def check_deformable(config: RegisterConfig) -> None:
    """Refuse numbers that make no deformation.

    Raises:
        InputError: names the field, what it allows and what came.
    """
    if not all(np.isfinite(level) and level > 0 for level in config.deformable_levels_mm):
        raise InputError("deformable_levels_mm lists positive grid spacings in mm; got "
                         f"{config.deformable_levels_mm!r}.")
    counts = config.deformable_iterations
    if not counts or any(n != int(n) or n < 0 for n in counts) or not any(counts):
        raise InputError(f"deformable_iterations lists whole numbers, not all of them 0; got {counts!r}.")
    if not 1 <= config.correlation_radius_voxels <= 20:
        raise InputError(f"correlation_radius_voxels is 1 to 20; got {config.correlation_radius_voxels!r}.")
    for name, least, most in (("gradient_smoothing_voxels", 0, 50), ("field_smoothing_voxels", 0, 50),
                              ("step_voxels", 1e-3, 0.5), ("stall", 0, 1), ("landmark_weight", 0, 1),
                              ("landmark_reach_mm", 0.1, 1000)):
        value = getattr(config, name)
        if not (value is None and name in DEFORMATION_STEPS["lncc"] or value is not None and least <= value <= most):
            raise InputError(f"{name} is {least:g} to {most:g}; got {value!r}.")


def _feature_level(pyramids, metric: str) -> int:
    """The level whose features are taken: the finest, for capture alone the finest of moderate size."""
    sizes = [float(np.prod(fixed.image.shape)) for fixed, _ in pyramids]
    if metric == "mind":
        return len(sizes) - 1
    return max((n for n, size in enumerate(sizes) if size <= _MOST_VOXELS["mind"]), default=0)


def deformation_levels_mm(grid: Grid, levels_mm: tuple[float, ...], most_voxels: int) -> tuple[float, ...]:
    """Spacings from coarse to fine: `levels_mm`, none finer than a voxel, or 4, 2 and 1 voxels where there are none.

    Of these, one voxel grows until the finest level has at most `most_voxels`.

    A voxel is the middle of the three spacings. Levels so coarse that the volume has hardly a voxel are left out.
    """
    voxel_mm = float(np.sort(grid.spacing_mm)[1])
    if not levels_mm:
        quarters = 0
        while _voxels(grid, finest := voxel_mm * 2 ** (quarters / 4)) > most_voxels:
            quarters += 1
        levels_mm = tuple(factor * finest for factor in _LEVELS)
    levels = sorted({max(float(level), voxel_mm) for level in levels_mm}, reverse=True)
    extent = float(np.sort(grid.extent_mm)[1])
    return tuple(level for level in levels if extent >= _LEAST_VOXELS * level) or (levels[-1],)


def _iterations(given: tuple[int, ...], count: int) -> tuple[int, ...]:
    """As many as there are levels: the last ones given, the first of them repeated for further coarse levels."""
    return (given[0],) * (count - len(given)) + tuple(given[max(0, len(given) - count):])


def _scales(side: Side, levels_mm, device: torch.device, pause) -> list[Scale]:
    """A side at each spacing, coarse to fine; each made from the next finer one."""
    data, grid = side.volume.data[0], side.volume.grid
    region = None if side.mask is None else torch.from_numpy(side.region(grid)).to(device, torch.float32)
    image = torch.nan_to_num(to_tensor(data, device), nan=side.background, posinf=side.background,
                             neginf=side.background)
    pause()
    if region is not None:
        image = torch.where(region > 0, image, side.background)
    some = image.flatten()[::max(1, image.numel() // _PERCENTILE_VOXELS)]
    low, high = torch.quantile(some, torch.tensor(_RANGE, device=device)).tolist()
    if not low < high:
        low, high = (float(end) for end in image.aminmax())
    pause()
    image = image.clamp(low, high).sub_(low).div_(high - low)
    found = []
    for spacing_mm in reversed(levels_mm):
        pause()
        new = spacing_grid(side.volume.grid, spacing_mm)
        image = reduce_to(image, grid, new)
        if region is not None and not new.same_as(grid):
            # A voxel counts where nothing that does not count is in it.
            region = (reduce_to(region, grid, new) > 0.99).to(image)
        grid = new
        found.append(Scale(image, region, grid, spacing_mm))
    return found[::-1]


def cropped(side: Side) -> Side:
    """The fixed side without the empty space around the object but for a margin: the same answer, sooner."""
    data, threshold = side.volume.data[0], side.background
    peak = float(np.nanmax(np.where(np.isfinite(data[::2, ::2, ::2]), data[::2, ::2, ::2], threshold)))
    seen = data > threshold + 0.01 * (peak - threshold)
    slices = []
    plane, side_plane = seen.any(axis=2), seen.any(axis=0)
    lines = plane.any(axis=1), plane.any(axis=0), side_plane.any(axis=0)
    for axis, spacing in enumerate(side.volume.spacing_mm):
        where = np.flatnonzero(lines[axis])
        reach = int(np.ceil(_CROP_MARGIN_MM / spacing))
        low, high = (where[0], where[-1] + 1) if len(where) else (0, data.shape[axis])
        slices.append(slice(max(0, low - reach), min(data.shape[axis], high + reach)))
    affine = np.array(side.volume.affine)
    affine[:3, 3] = side.volume.grid.points_mm([s.start for s in slices])
    return replace(side, volume=Volume(side.volume.data[(slice(None), *slices)], affine))


def _check_memory(grid: Grid, levels_mm, metric: str, device: torch.device) -> None:
    needed, free = _voxels(grid, levels_mm[-1]) * _BYTES_A_VOXEL[metric], free_memory_bytes(device)
    if needed > free:
        raise MemoryError(f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free.")


def _voxels(grid: Grid, spacing_mm: float) -> float:
    """About how many voxels a level of this spacing has."""
    return float(np.prod(np.maximum(1, grid.extent_mm / np.maximum(grid.spacing_mm, spacing_mm))))


def _in_mm(displacement: torch.Tensor, grid: Grid) -> Volume:
    """A displacement in voxels along the grid's axes as a volume in mm along R, A, S."""
    steps = torch.from_numpy(np.array(grid.affine[:3, :3])).to(displacement)
    return Volume(torch.tensordot(steps, displacement, dims=1).cpu().numpy(), grid.affine)


def _preview(displacement: torch.Tensor, grid: Grid, affine: np.ndarray) -> dict:
    coarse = max(1.0, max(grid.shape) / _PREVIEW_VOXELS)
    small = centered_grid(grid, grid.spacing_mm * coarse) if coarse > 1 else grid
    return {"kind": "displacement", "affine": np.array(affine),
            "displacement": _in_mm(on_grid(displacement, grid, small), small)}


class _Progress:
    """Tells a callback where the work is, also between steps: each call is a chance to cancel."""

    def __init__(self, on_progress: ProgressCallback | None):
        self.on_progress, self.last = on_progress, (0.0, "Preparing the levels")

    def at(self, fraction: float, message: str) -> None:
        self.last = fraction, message
        self.again()

    def again(self) -> None:
        report(self.on_progress, *self.last)

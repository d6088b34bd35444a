"""Deformable registration: a smooth displacement field for two volumes and an initial affine."""

from dataclasses import dataclass, field

import numpy as np
import torch

from meddl.core.config import DEFORMATION_STEPS, RegisterConfig
from meddl.core.device import free_memory_bytes
from meddl.core.device_fallback import is_out_of_memory
from meddl.core.progress import ProgressCallback, preview
from meddl.registration.deformable.diffeomorphic import PART, Steps, flow, inverse_near, on_grid, refine
from meddl.registration.deformable.large_displacement_search import search_large_displacements
from meddl.registration.deformable.levels import (
    MOST_VOXELS,
    deformation_levels_mm,
    deformation_pyramid,
    iterations_by_level,
    voxels_at,
)
from meddl.registration.deformable.metrics.features import Features
from meddl.registration.deformable.metrics.metric_choice import first_choice, holds_after_coarsest
from meddl.registration.deformable.progress import DEFORMED, PREPARED, DeformationProgress
from meddl.registration.deformable.stages import stages_of
from meddl.registration.images.pyramid import Level
from meddl.registration.images.registration_image import RegistrationImage, crop_to_object
from meddl.registration.linear.large_displacement_search import is_large
from meddl.spatial.grid import Grid, centered_grid
from meddl.spatial.volume import Volume

BYTES_A_VOXEL = {"lncc": 95, "mind": 205}  # held at most on a level: a test measures it
MORE_BYTES_BOTH_WAYS = 70  # for a symmetric deformation
_PREVIEW_VOXELS = 64        # along the longest axis


@dataclass(frozen=True, eq=False)
class Deformation:
    """Result of a deformable registration.

    Attributes:
        displacement: Volume (3, I, J, K), mm along R, A, S, on a grid of the finest level, around the fixed object.
        measures: deformable_metric (name, before and after on the finest level), captured (whether the search for
            large displacements was used), deformable_levels_mm, deformable_steps by level.
        inverse: the inverse displacement, on the same grid; None but for a symmetric deformation.
        warnings: for the user.
    """

    displacement: Volume
    measures: dict
    inverse: Volume | None
    warnings: list[str] = field(default_factory=list)


def deform(fixed: RegistrationImage, moving: RegistrationImage, coarse: tuple[Level, Level], affine: np.ndarray,
           config: RegisterConfig, device: torch.device, landmarks: tuple[np.ndarray, np.ndarray] | None = None,
           on_progress: ProgressCallback | None = None) -> Deformation:
    """The displacement u with which p -> affine @ (p + u(p)) takes fixed points to the same anatomy in `moving`.

    Args:
        coarse: both images at one spacing of about 4 mm, from which the metric is chosen.
        affine: 4x4, fixed to moving, RAS mm.
        config: metric, large_displacement_search, deformable_levels_mm and what follows it.
        landmarks: pairs of points, fixed and moving (N, 3), RAS mm, for the landmark term.

    Where the memory does not suffice the finest level is left out, and a warning says so.
    """
    progress = DeformationProgress(on_progress)
    progress.again()
    fixed = crop_to_object(fixed)
    progress.again()
    given = config.metric in MOST_VOXELS
    metric = config.metric if given else first_choice(*coarse, affine, progress.again)
    task = _Task(fixed, moving, affine, config, device, landmarks, progress)
    return _within_memory(task, metric, not given) or _within_memory(task, "mind", False)


@dataclass(frozen=True, eq=False)
class _Task:
    """What `deform` was given, whichever metric and levels are chosen; see there."""

    fixed: RegistrationImage
    moving: RegistrationImage
    affine: np.ndarray
    config: RegisterConfig
    device: torch.device
    landmarks: tuple[np.ndarray, np.ndarray] | None
    progress: DeformationProgress


def _within_memory(task: _Task, metric: str, doubtful: bool) -> Deformation | None:
    grid, config, device = task.fixed.volume.grid, task.config, task.device
    levels_mm = deformation_levels_mm(grid, config.deformable_levels_mm, MOST_VOXELS[metric])
    iterations = iterations_by_level(config.deformable_iterations, len(levels_mm))
    warnings: list[str] = []
    while True:
        try:
            _check_memory(voxels_at(grid, levels_mm[-1]), metric, config.symmetric, device)
            return _deform(task, metric, doubtful, levels_mm, iterations, warnings)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(levels_mm) == 1:
                raise
        warnings.append(f"The memory of {device} was not enough for a deformation at {levels_mm[-1]:.3g} mm; "
                        f"{levels_mm[-2]:.3g} mm is the finest level.")
        levels_mm, iterations = levels_mm[:-1], iterations[:-1]


def _deform(task: _Task, metric: str, doubtful: bool, levels_mm, iterations, warnings: list[str]) -> Deformation | None:
    """None where the metric is `doubtful` and, after the coarsest level, lncc proves to be the wrong one."""
    affine, config, progress = task.affine, task.config, task.progress
    pyramids = list(zip(*(deformation_pyramid(image, levels_mm, task.device, progress.again)
                          for image in (task.fixed, task.moving)), strict=True))
    features = Features(*pyramids[-1], affine, progress.again) if metric == "mind" else None
    costs = np.array([n * float(np.prod(level.image.shape)) for n, (level, _) in zip(iterations, pyramids)])
    ends = PREPARED + (DEFORMED - PREPARED) * np.concatenate([[0], np.cumsum(costs / costs.sum())])

    def on_step(level: int, step: float, most: int) -> None:
        here, following = (ends[level] + (ends[level + 1] - ends[level]) * at / most for at in (step, step + PART))
        progress.at(here, f"Deforming at {levels_mm[level]:.2g} mm", following)

    def on_level(displacement: torch.Tensor, grid: Grid) -> None:
        preview(progress.on_progress, lambda: _preview(displacement, grid, affine))

    steps = Steps(**{name: suited if getattr(config, name) is None else getattr(config, name)
                     for name, suited in DEFORMATION_STEPS[metric].items()},
                  convergence_threshold=config.convergence_threshold)
    stages = stages_of(pyramids, affine, features, iterations, config, task.landmarks, progress.again)
    displacement, grid, levels = None, None, []
    if len(pyramids) > 1:
        displacement, grid, levels = refine([next(stages)], steps, on_step=on_step, on_level=on_level)
        if doubtful and metric == "lncc" and not holds_after_coarsest(
                pyramids, affine, progress.again, flow(displacement) if config.symmetric else displacement, on_grid):
            return None
    coarsest, searched = pyramids[0][0].image, False
    choice = config.large_displacement_search
    wanted = choice == "on" or choice == "auto" and displacement is not None and is_large(
        displacement, grid.spacing_mm, coarsest > coarsest.mean())
    if wanted and not config.symmetric:
        # After the coarsest level, which forgets where it started from.
        displacement, grid, searched = search_large_displacements(features, pyramids, affine, metric, displacement,
                                                                  grid, progress)
    del pyramids  # the stages hold what is still needed of it
    displacement, grid, rest = refine(stages, steps, displacement, grid, on_level=on_level,
                                      on_step=lambda level, *at: on_step(level + len(levels), *at))
    levels += rest
    progress.at(DEFORMED)
    inverse = None
    if config.symmetric:
        displacement, back = flow(displacement, progress.again), flow(-displacement, progress.again)
        inverse = _in_mm(inverse_near(displacement, back, progress.again), grid)
    finest = next((level.values for level in reversed(levels) if level.values), [None])
    return Deformation(_in_mm(displacement, grid), {
        "deformable_metric": {"name": metric, "before": finest[0], "after": finest[-1]},
        "captured": searched,
        "deformable_levels_mm": list(levels_mm),
        "deformable_steps": [level.steps for level in levels],
    }, inverse, warnings)


def _check_memory(voxels: float, metric: str, symmetric: bool, device: torch.device) -> None:
    needed = voxels * (BYTES_A_VOXEL[metric] + MORE_BYTES_BOTH_WAYS * symmetric)
    free = free_memory_bytes(device)
    if needed > free:
        raise MemoryError(f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free.")


def _in_mm(displacement: torch.Tensor, grid: Grid) -> Volume:
    """A displacement in voxels along the grid's axes as a volume in mm along R, A, S."""
    steps = torch.from_numpy(np.array(grid.affine[:3, :3])).to(displacement)
    return Volume(torch.tensordot(steps, displacement, dims=1).cpu().numpy(), grid.affine)


def _preview(displacement: torch.Tensor, grid: Grid, affine: np.ndarray) -> dict:
    coarse = max(1.0, max(grid.shape) / _PREVIEW_VOXELS)
    small = centered_grid(grid, grid.spacing_mm * coarse) if coarse > 1 else grid
    return {"kind": "displacement", "affine": np.array(affine),
            "displacement": _in_mm(on_grid(displacement, grid, small), small)}

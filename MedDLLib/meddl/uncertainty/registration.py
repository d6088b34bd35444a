"""Uncertainty of a registration: displacements of repeated runs on perturbed copies of both volumes."""

from dataclasses import asdict
from typing import Any

import numpy as np

from meddl.core.config import RegisterConfig, check_config
from meddl.core.progress import ProgressCallback, RunCounter, report, span
from meddl.io import VolumeLike, as_volume
from meddl.registration import register
from meddl.registration.images.intensity import finite_scalar
from meddl.results import Registration, Uncertainty
from meddl.segmentation.channels import with_finite_values
from meddl.spatial.grid import Grid, centered_grid
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume
from meddl.uncertainty.config import UncertaintyConfig
from meddl.uncertainty.moments import RunningMoments
from meddl.uncertainty.perturbation import draw_perturbations, perturb

_POINTS = 48  # along the longest axis of the grid on which displacements are compared


def register_with_uncertainty(
        fixed: VolumeLike, moving: VolumeLike, config: RegisterConfig | None = None,
        uncertainty: UncertaintyConfig | None = None, *, device: str = "auto",
        on_progress: ProgressCallback | None = None, **given: Any) -> tuple[Registration, Uncertainty]:
    """Register two volumes, and say how far the result would move with small changes of both.

    Args:
        fixed, moving, config, device: as of `meddl.register`.
        uncertainty: number and size of the perturbations; nothing is mirrored.
        given: masks, initialization and landmarks, as of `meddl.register`.

    Returns:
        The registration of the unperturbed volumes, and its uncertainty. The map is the spread of the displacement
        over all runs at each voxel of the fixed volume, mm: the root of the summed variances along R, A and S,
        computed on a grid of at most 48 points along the longest axis, linear between them. The report has runs,
        perturbations and spread_mm (mean, p95 and max over the fixed field of view).

    Raises:
        InputError, GeometryError, OutOfMemoryError: as `meddl.register`, or an impossible perturbation.
        Cancelled: from `on_progress`.
    """
    uncertainty = check_config(uncertainty, UncertaintyConfig)
    fixed, moving = as_volume(fixed, "fixed"), as_volume(moving, "moving")
    for volume, name in ((fixed, "fixed"), (moving, "moving")):
        finite_scalar(volume, name)
    changes = draw_perturbations(uncertainty, mirror=False)
    grid = _coarse_grid(fixed.grid)
    points = grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3))
    counter = RunCounter(span(on_progress, 0.0, 0.97), uncertainty.runs)
    moments, first = RunningMoments(), None
    finite = [with_finite_values(one)[0] for one in (fixed, moving)]
    for change, other in zip(changes, changes[:1] + changes[:0:-1], strict=True):  # noise of their own for both
        pair = (perturb(finite[0], change), perturb(finite[1], other)) if first else (fixed, moving)
        found = register(*pair, config, device=device, on_progress=counter.next_run(), **given)
        moments.add(found.points(points) - points)
        first = first or found
    assert first is not None
    report(on_progress, 0.97, "Comparing the runs")
    spread = np.sqrt(moments.variance.sum(axis=1)).reshape(grid.shape).astype(np.float32)
    figures = {"mean": round(float(spread.mean()), 4), "p95": round(float(np.percentile(spread, 95)), 4),
               "max": round(float(spread.max()), 4)}
    on_fixed = resample(Volume.scalar(spread, grid.affine), fixed.grid, clamp=True)
    report(on_progress, 1.0, "Done")
    reading = f"Spread of the displacement over {uncertainty.runs} runs, in mm: 0 where all agree."
    return first, Uncertainty(on_fixed, reading, {
        "runs": uncertainty.runs, "perturbations": [asdict(change) for change in changes], "spread_mm": figures})


def _coarse_grid(grid: Grid) -> Grid:
    """A grid over the same field of view, at most `_POINTS` voxels along its longest axis and no finer than it."""
    return centered_grid(grid, np.maximum(grid.spacing_mm, grid.extent_mm.max() / _POINTS))

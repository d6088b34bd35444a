"""The input of a super-resolution method: one channel, its acquisition, plan and configuration."""

from dataclasses import dataclass, field

import numpy as np
import torch

from meddl.core.config import SuperResolveConfig
from meddl.spatial.grid import Grid
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.plan import ResolutionPlan


@dataclass(frozen=True, eq=False)
class Job:
    """One channel of a volume, and what to make of it.

    A method is a function `method(job, on_progress)` that returns floating-point values on `plan.grid`, in the
    intensities of `data`.

    Attributes:
        data: (I, J, K), any real type and strides, finite.
        grid: the data's grid.
        plan: the grid to make, and the axes that change.
        acquisitions: how the data came about, one for each of `plan.axes`, in that order.
        noise_sigma: standard deviation of the data's noise.
        config: the user's choices.
        device: where to compute.
        figures: what the method has to say in the report, by name.
        warnings: sentences for the report.
        volumes: further volumes on the plan's grid, by name: "difference" (see `SuperResolution`).
    """

    data: np.ndarray
    grid: Grid
    plan: ResolutionPlan
    acquisitions: tuple[Acquisition, ...]
    noise_sigma: float
    config: SuperResolveConfig
    device: torch.device
    figures: dict = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    volumes: dict[str, np.ndarray] = field(default_factory=dict)

"""The input of a super-resolution method: one channel, its acquisition, plan and configuration."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.models.loaded_networks import load_networks
from meddl.models.own_models import architecture_of
from meddl.models.store.store import ModelStore
from meddl.spatial.grid import Grid
from meddl.spatial.normalize import check_magnitude
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.acquisition.detect import Detection
from meddl.superres.acquisition.value_range import work_type
from meddl.superres.acquisition.zero_filling import undo_matrix
from meddl.superres.methods.slabs import along_axis
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


def job_of(data: np.ndarray, channel: int, config: SuperResolveConfig, plan: ResolutionPlan, detection: Detection,
           measured: Grid, device: torch.device) -> Job:
    """The job of one channel (I, J, K) of a volume, its zero-filling undone.

    Args:
        measured: the grid of the slices that were measured: see `measured_grid`.
    """
    if data.dtype.kind == "b" or data.dtype == np.float16 or work_type(data.dtype) == np.float64:
        data = data.astype(work_type(data.dtype), copy=False)  # differences and squares do not fit into the others
    if detection.zero_filling[detection.axis] != 1:
        matrix = undo_matrix(data.shape[detection.axis], detection.zero_filling[detection.axis])
        data = along_axis(matrix, data, detection.axis, device=device)
    return Job(data, measured, plan, acquisitions_of(plan, config, detection), detection.noise_sigma[channel], config,
               device)


def acquisitions_of(plan: ResolutionPlan, config: SuperResolveConfig, detection: Detection) -> tuple[Acquisition, ...]:
    """How the slices came about along each of `plan.axes`; what is known of the thickness holds for the thick axis."""
    found = []
    for axis in plan.axes:
        own = axis == detection.axis
        thickness = detection.thickness_mm / detection.slice_distance_mm if own else 1.0
        profile = config.profile_weights if own and config.profile_weights else config.profile
        found.append(Acquisition(plan.factors[axis], axis, profile, thickness))
    return tuple(found)


def value_limits(data: np.ndarray, name: str = "The volume") -> list[tuple[float, float]]:
    """Smallest and largest value of each channel of (C, I, J, K).

    Raises:
        InputError: the data hold NaN or infinity, or values that are too large.
    """
    limits = [(float(channel.min()), float(channel.max())) for channel in data]
    check_magnitude(data, name)
    if not np.isfinite(limits).all():
        count = int(np.count_nonzero(~np.isfinite(data)))
        raise InputError(f"{name} holds {count} voxels that are NaN or infinite; interpolation would "
                         "spread them. Replace them first, for example by the background value.")
    return limits


def load_network(job: Job, identifier: str, task: str) -> nn.Module:
    """The network of a method on the job's device: of the model that the user chose, else of the method's own.

    Args:
        identifier: of the method's own model; srgan's are two that belong together, so no other can be chosen.
        task: of its card.

    Raises:
        ModelNotFoundError: it is not installed.
        InputError: the chosen model has another architecture than the method's own.
        ModelError, IntegrityError: it does another task, or its weights cannot be used.
    """
    chosen = job.config.model if job.config.method != "srgan" else None
    card, networks = load_networks(chosen or identifier, task, job.device)
    if chosen:
        found, expected = (architecture_of(one) for one in (card, ModelStore().card(identifier)))
        if found != expected:
            raise InputError(f"The model '{chosen}' is a {found}; the method {job.config.method} needs a {expected}.")
    job.figures["model"] = f"{card.id} {card.version}"
    return next(iter(networks.values()))

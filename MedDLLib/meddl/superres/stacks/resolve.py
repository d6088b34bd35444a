"""Several stacks of one subject as one isotropic volume: what `meddl.super_resolve` does with more than one volume."""

from collections.abc import Sequence

import numpy as np
import torch

from meddl.core.config import SuperResolveConfig
from meddl.core.device import describe, free_memory_bytes, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import InputError, OutOfMemoryError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.results import SuperResolution
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import blending_warnings
from meddl.spatial.volume import Volume, as_type
from meddl.superres.acquisition.value_range import work_type
from meddl.superres.comparison import quality_against
from meddl.superres.stacks.alignment import (
    LEAST_CORRELATION,
    LEAST_OF_MOVED,
    align_stacks,
    check_contrasts,
    check_overlap,
    common_grid,
)
from meddl.superres.stacks.combine import combine
from meddl.superres.stacks.motion_correction import correct_motion
from meddl.superres.stacks.stack import Stack, check_stack, make_stack

METHODS = ("network", "cubic", "back-projection", "self-training")  # that sharpen each stack alone
_BYTES_PER_VOXEL, _BYTES_OF_A_STACK = 60, 9  # of the result at the peak, and for each stack
_NAMES = "The first volume", "The second volume", "The third volume"


def resolve_stacks(volumes: Sequence[Volume], configs: Sequence[SuperResolveConfig], *, reference: Volume | None = None,
                   device: str = "auto", on_progress: ProgressCallback | None = None) -> SuperResolution:
    """One isotropic volume of several stacks: see `meddl.super_resolve`.

    Args:
        volumes: at least two, one channel each.
        configs: as many; they differ in what is known of each acquisition alone (thickness, profile, zero-filling,
            noise).
    """
    names = [_NAMES[n] if n < len(_NAMES) else f"Volume {n + 1}" for n in range(len(volumes))]
    clock, config = StageClock(), configs[0]
    warnings: list[str] = []
    with clock.stage("check"):
        report(on_progress, 0.0, "Reading the volumes")
        for volume, one, name in zip(volumes, configs, names, strict=True):
            check_stack(volume, name)
            _check_config(one)
            warnings += [f"{name}: {text}" for text in blending_warnings(volume.data)]
        check_overlap([volume.grid for volume in volumes], names)
        spacing = config.target_spacing_mm or float(min(volume.spacing_mm.min() for volume in volumes))
        _check_memory(volumes, spacing)
        on_device = select_device(device, warnings)
        if on_device.type == "mps" and any(work_type(volume.data.dtype) == np.float64 for volume in volumes):
            on_device = torch.device("cpu")  # MPS has no float64

    def run(where: torch.device) -> tuple[np.ndarray, list[Stack], list[float], Grid]:
        stacks = []
        with clock.stage("sharpen"):
            for n, (volume, one, name) in enumerate(zip(volumes, configs, names, strict=True)):
                part = span(on_progress, 0.02 + 0.38 * n / len(volumes), 0.02 + 0.38 * (n + 1) / len(volumes))
                stacks.append(make_stack(volume, one, spacing, name, where, warnings, part))
        least, combined = (LEAST_OF_MOVED, 0.6) if config.slice_motion else (LEAST_CORRELATION, 0.95)
        with clock.stage("register"):
            align_stacks(stacks, str(where), warnings, least, span(on_progress, 0.4, 0.5))
        with clock.stage("combine"):
            common = common_grid(stacks, spacing)
            made, residuals = combine(stacks, common, on_progress=span(on_progress, 0.5, combined))
        if config.slice_motion:
            with clock.stage("slice motion"):
                made, residuals = correct_motion(stacks, common, made, residuals, span(on_progress, combined, 0.95))
                check_contrasts(stacks)
        return made, stacks, residuals, common

    (made, stacks, residuals, common), on_device = with_cpu_fallback(run, on_device, warnings,
                                                                   _memory_message(spacing))
    result = Volume.scalar(_finish(made, stacks, config, volumes[0].data.dtype), common.affine)
    quality = {}
    if reference is not None:
        with clock.stage("compare"):
            quality = quality_against(reference, result, warnings, span(on_progress, 0.95, 1.0))
    for stack, residual in zip(stacks, residuals, strict=True):
        sigma = stack.job.noise_sigma
        stack.figures.update(residual=residual, residual_over_noise=residual / sigma if sigma else None)
    report(on_progress, 1.0, "Done")
    return SuperResolution(result, {
        "seconds": clock.seconds, "device": describe(on_device), "peak_memory_mb": round(peak_mb(), 1),
        "warnings": list(dict.fromkeys(warnings)), **_figures(stacks, config, result), **quality})


def bytes_needed(voxels: float, stacks: int) -> float:
    """Memory that a result of so many voxels needs at the peak."""
    return voxels * (_BYTES_PER_VOXEL + _BYTES_OF_A_STACK * stacks)


def _figures(stacks: list[Stack], config: SuperResolveConfig, result: Volume) -> dict:
    """The report's entries of the run: those of a single volume for the first stack, and `stacks` for each."""
    first, each = stacks[0].figures, [stack.figures for stack in stacks]
    over_noise = [one["residual_over_noise"] for one in each]
    return {
        "method": first.get("method", config.method),
        **{key: first[key] for key in ("model", "thickness_share") if key in first},
        "axis": first["axis"], "factor": first["factors"][first["axis"]], "factors": first["factors"],
        "spacing_mm": {"before": first["spacing_mm"], "after": result.spacing_mm.tolist()},
        "profile": list(config.profile_weights) or config.profile,
        "thickness_mm": first["thickness_mm"],
        "noise_sigma": [first["noise_sigma"]],
        "residual": float(np.sqrt(np.mean(np.square([one["residual"] for one in each])))),
        "residual_over_noise": None if None in over_noise else float(np.mean(over_noise)),
        "stacks": each,
    }


def _finish(made: np.ndarray, stacks: list[Stack], config: SuperResolveConfig, dtype: np.dtype) -> np.ndarray:
    """The voxels in the range of all slices and the first volume's type, as the configuration wants them."""
    if config.keep_range:
        made = made.clip(min(float(stack.job.data.min()) for stack in stacks),
                         max(float(stack.job.data.max()) for stack in stacks))
    return as_type(made, dtype if config.keep_type else work_type(dtype))


def _check_config(config: SuperResolveConfig) -> None:
    if config.method not in METHODS:
        raise InputError(f"Several stacks are combined with the methods {', '.join(METHODS)}; got '{config.method}'.")
    for name in ("factor", "axis"):
        if getattr(config, name) is not None:
            raise InputError(f"Several stacks become one volume with equal voxel sizes: give target_spacing_mm instead "
                             f"of {name}.")
    target = config.target_spacing_mm
    if target is not None and not (np.isfinite(target) and target > 0):
        raise InputError(f"The target voxel size is a positive number of mm; got {target!r}.")


def _check_memory(volumes: Sequence[Volume], spacing: float) -> None:
    extent = max(float(np.prod(volume.grid.extent_mm)) for volume in volumes)
    if bytes_needed(extent / spacing ** 3, len(volumes)) > free_memory_bytes(torch.device("cpu")):
        raise OutOfMemoryError(_memory_message(spacing))


def _memory_message(spacing: float) -> str:
    return f"A volume with voxels of {spacing:g} mm does not fit into memory. Choose a larger target voxel size."

"""The verb `meddl.super_resolve`: super-resolution and denoising of a volume."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from meddl.core.config import SuperResolveConfig, check_config
from meddl.core.device import describe, free_memory_bytes, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import InputError, OutOfMemoryError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.io import VolumeLike, as_volume
from meddl.results import SuperResolution
from meddl.spatial.grid import Grid
from meddl.spatial.label_maps import blending_warnings
from meddl.spatial.volume import Volume, as_type
from meddl.superres.acquisition.detect import Detection, detect, measured_grid
from meddl.superres.acquisition.value_range import work_type
from meddl.superres.comparison import quality_against
from meddl.superres.job import job_of, value_limits
from meddl.superres.methods.back_projection import consistent, slices_of
from meddl.superres.methods.registry import METHODS, Method
from meddl.superres.methods.slabs import empty_like, slabs
from meddl.superres.plan import ResolutionPlan, plan_resolution
from meddl.superres.stacks.resolve import resolve_stacks

_RUN_ENDS = 0.95  # of the progress; then the result is compared with a reference


def super_resolve(volume: VolumeLike | Sequence[VolumeLike],
                  config: SuperResolveConfig | Sequence[SuperResolveConfig] | None = None, *,
                  reference: VolumeLike | None = None, residual: bool = False, device: str = "auto",
                  on_progress: ProgressCallback | None = None) -> SuperResolution:
    """The volume with smaller voxels over the same field of view; or one isotropic volume of several stacks.

    Several volumes are stacks of thick slices of one subject and one contrast, in different directions. Each is
    super-resolved alone, registered rigidly to the first one and matched to its intensities; then the slices of all are
    combined by the acquisition model, with these results as the prior. The result lies in the space of the first
    stack, along its axes, over the fields of view of all.

    Args:
        volume: (C, I, J, K), any orientation and any real type; each channel is treated alike; or the path of a
            file; or a list of several, one channel each.
        config: how, and what to make; by default the thickest axis gets the smallest voxel size, and several stacks
            the smallest voxel size of all along every axis. For several stacks also a list of as many, which differ in
            thickness, profile, zero-filling and noise alone.
        reference: the truth, where it is known: one channel, in the same world space; the report then says how close
            the result is. It is interpolated at the result's voxels where its grid is another.
        residual: whether the result also has the map of D x - y.
        device: auto, cpu, cuda, cuda:N or mps. A GPU that runs out of memory hands over to the CPU.

    Returns:
        The sharper volume. Its report adds to seconds, device, peak_memory_mb and warnings: method (the one that
        ran), axis (the thickest one that changed), factor (along it), factors (i, j, k), spacing_mm before and
        after, profile, thickness_mm, zero_filling (i, j, k), noise_sigma, residual (root mean square of D x - y, the
        result acquired again less the measured slices), residual_over_noise (the same in units of the noise),
        thickness_share (of the thickness, what was corrected for: see `slice_width`; where none was stated), and
        with a reference psnr_db, ssim and nrmse. Of several stacks these are the first one's, residual the root mean
        square over all, and stacks has for each: axis, factors, spacing_mm, thickness_mm, noise_sigma, rotation_deg,
        translation_mm, transform (4x4, from the first stack to it, RAS mm), correlation (of its intensities with the
        first one's), residual, residual_over_noise, and with `slice_motion` slice_motion_mm (median and max
        displacement of its slices, root mean square over a ball of 50 mm radius, and whether it was corrected).

    Raises:
        InputError: NaN or infinity in the data, a single slice along the axis to sharpen, an impossible target, or
            `slice_motion` without further stacks; of several stacks: several channels, fields of view that do not
            overlap, or different contrasts.
        OutOfMemoryError: the result does not fit into memory.
        Cancelled: from `on_progress`; nothing is left behind.
    """
    reference = None if reference is None else as_volume(reference, "reference")
    if isinstance(volume, list | tuple):
        volumes, configs = _stacks_of(volume, config, residual)
        if len(volumes) > 1:
            return resolve_stacks(volumes, configs, reference=reference, device=device, on_progress=on_progress)
        volume, config = volumes[0], configs[0]
    config = _of_one(config)
    volume = as_volume(volume, "volume")
    clock = StageClock()
    warnings: list[str] = []
    with clock.stage("check"):
        on_device = select_device(device, warnings)
        if on_device.type == "mps" and work_type(volume.data.dtype) == np.float64:
            on_device = torch.device("cpu")  # MPS has no float64
        report(on_progress, 0.0, "Reading the volume")
        limits = value_limits(volume.data)
        report(on_progress, 0.005, "Analyzing the volume")
        detection = detect(volume, config)
        report(on_progress, 0.015, "Analyzing the volume")
        method = METHODS[config.method]
        if method.grid == "same":
            detection = replace(detection, zero_filling=(1.0, 1.0, 1.0))
        measured = measured_grid(volume.grid, detection)
        plan = ResolutionPlan(measured, detection.axis, (1.0, 1.0, 1.0)) if method.grid == "same" else \
            plan_resolution(measured, _complete_target(volume, config, detection))
        _check_memory(volume, plan, method)
    extra: dict[str, Volume] = {}
    figures: dict[str, object] = {}
    if not plan.axes and method.grid != "same":
        warnings.append("The voxels are the same size along every axis: nothing was changed. "
                        "Give a target voxel size to make them all smaller.")
        result = volume
    else:
        warnings += blending_warnings(volume.data) + _zero_filling_warnings(detection, plan)
        run = _Run(volume, config, plan, detection, measured, limits, clock, warnings, residual)
        (result, figures, extra), on_device = with_cpu_fallback(
            lambda where: run.on(where, span(on_progress, 0.02, _RUN_ENDS)), on_device, warnings,
            _memory_message(plan.grid))
    quality = {}
    if reference is not None:
        with clock.stage("compare"):
            quality = quality_against(reference, result, warnings, span(on_progress, _RUN_ENDS, 1.0))
    report(on_progress, 1.0, "Done")
    return SuperResolution(result, {
        "seconds": clock.seconds,
        "device": describe(on_device),
        "peak_memory_mb": round(peak_mb(), 1),
        "warnings": list(dict.fromkeys(warnings)),
        "method": config.method,
        "axis": plan.axis,
        "factor": plan.factors[plan.axis],
        "factors": list(plan.factors),
        "spacing_mm": {"before": volume.spacing_mm.tolist(), "after": result.spacing_mm.tolist()},
        "profile": list(config.profile_weights) or config.profile,
        "thickness_mm": detection.thickness_mm,
        "zero_filling": list(detection.zero_filling),
        "noise_sigma": list(detection.noise_sigma),
        **figures, **quality,
    }, **extra)


def _of_one(config: SuperResolveConfig | Sequence[SuperResolveConfig] | None) -> SuperResolveConfig:
    """The configuration of a single volume."""
    config = check_config(config, SuperResolveConfig)
    if config.slice_motion:
        raise InputError("slice_motion is for several stacks; there is one volume. Give more, or leave it off.")
    return config


def _stacks_of(volumes: Sequence[VolumeLike], config: SuperResolveConfig | Sequence[SuperResolveConfig] | None,
               residual: bool) -> tuple[list[Volume], list[SuperResolveConfig]]:
    """The volumes of a list, and a configuration for each."""
    if not volumes:
        raise InputError("There is no volume in the list.")
    given = list(config) if isinstance(config, list | tuple) else [config] * len(volumes)
    if len(given) != len(volumes):
        raise InputError(f"There are {len(volumes)} volumes and {len(given)} configurations: give one, or as many.")
    if residual and len(volumes) > 1:
        raise InputError("The residual of several stacks lies on several grids: the report states it for each.")
    return ([as_volume(one, f"volume {n + 1}") for n, one in enumerate(volumes)],
            [check_config(one, SuperResolveConfig) for one in given])


@dataclass(frozen=True, eq=False)
class _Run:
    """All that stays the same when a run is repeated on another device."""

    volume: Volume
    config: SuperResolveConfig
    plan: ResolutionPlan
    detection: Detection
    measured: Grid
    limits: list[tuple[float, float]]
    clock: StageClock
    warnings: list[str]
    residual: bool

    def on(self, device: torch.device, on_progress: ProgressCallback | None) -> tuple[Volume, dict, dict[str, Volume]]:
        """Every channel sharpened, in the output's type, what the methods say, and further volumes of the result."""
        volume, config = self.volume, self.config
        final_type = volume.data.dtype if config.keep_type else work_type(volume.data.dtype)
        out = empty_like(volume.data, (volume.channels, *self.plan.grid.shape), final_type)
        squares, figures, differences, residuals = [], {}, [], []
        for channel, data in enumerate(volume.data):
            inner = span(on_progress, channel / volume.channels, (channel + 1) / volume.channels)
            job = job_of(data, channel, config, self.plan, self.detection, self.measured, device)
            with self.clock.stage("sharpen"):
                method = METHODS[config.method]
                fine = method.run(job, span(inner, 0.0, 0.8 if method.consistent else 0.88))
                if method.consistent:
                    fine = consistent(fine, job, on_progress=span(inner, 0.8, 0.88))
                for place, done in slabs(fine):
                    report(inner, 0.88 + 0.04 * done, "Writing the voxels")
                    part = fine[place]
                    if config.keep_range:
                        part = part.clip(*self.limits[channel])
                    out[channel][place] = as_type(part, out.dtype)
                del fine
            with self.clock.stage("check the result"):
                again = slices_of(out[channel], job, span(inner, 0.92, 1.0)) if job.acquisitions else \
                    out[channel].astype(work_type(volume.data.dtype))
                again -= job.data
                residuals += [again.astype(np.float32)] if self.residual else []
                squares.append(float(np.square(again, out=again).mean(dtype=np.float64)))
            self.warnings.extend(job.warnings)
            figures.update(job.figures)
            differences += [job.volumes[name] for name in job.volumes if name == "difference"]
        residual = np.sqrt(squares)
        sigma = np.array(self.detection.noise_sigma)
        figures["residual"] = float(np.sqrt(np.mean(squares)))
        figures["residual_over_noise"] = float(np.mean(residual / sigma)) if sigma.all() else None
        extra = {}
        if differences:
            extra["difference"] = Volume(np.stack(differences), self.plan.grid.affine)
        if residuals:
            extra["residual"] = Volume(np.stack(residuals), self.measured.affine)
        return Volume(out, self.plan.grid.affine), figures, extra


def _complete_target(volume: Volume, config: SuperResolveConfig, detection: Detection) -> SuperResolveConfig:
    """The config, which means the volume's own smallest voxel size also where its slices turn out thicker."""
    stated = config.factor is not None or config.target_spacing_mm is not None
    if METHODS[config.method].grid == "halved" and not stated:
        return replace(config, axis=None, target_spacing_mm=float(volume.spacing_mm.min()) / 2)
    if stated or detection.zero_filling[detection.axis] == 1:
        return config
    return replace(config, axis=detection.axis, target_spacing_mm=float(volume.spacing_mm.min()))


def _zero_filling_warnings(detection: Detection, plan: ResolutionPlan) -> list[str]:
    texts = []
    for axis, factor in enumerate(detection.zero_filling):
        if factor == 1:
            continue
        if axis == detection.axis and axis in plan.axes:
            texts.append(f"Axis {axis} was interpolated by the scanner (zero-filled by {factor:.2f}): slices of "
                         f"{detection.slice_distance_mm:.2f} mm were measured, and the work starts from those.")
        else:
            detail = plan.grid.spacing_mm[axis] * plan.factors[axis] * factor
            texts.append(f"Axis {axis} was interpolated by the scanner (zero-filled by {factor:.2f}): its voxels hold "
                         f"detail of {detail:.2f} mm only.")
    return texts


def _check_memory(volume: Volume, plan: ResolutionPlan, method: Method) -> None:
    itemsize = volume.data.dtype.itemsize
    each = method.bytes_per_voxel * (2 if work_type(volume.data.dtype) == np.float64 else 1)
    voxels = int(np.prod([float(n) for n in plan.grid.shape]))
    if (each + itemsize * volume.channels) * voxels > free_memory_bytes(torch.device("cpu")):
        raise OutOfMemoryError(_memory_message(plan.grid))


def _memory_message(grid: Grid) -> str:
    return (f"The result would have {' x '.join(map(str, grid.shape))} voxels, which do not fit into memory. "
            "Choose a larger target voxel size, or sharpen one axis only.")

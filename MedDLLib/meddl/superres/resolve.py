"""The verb: a volume with thick slices in, a volume with small voxels out."""

import numpy as np
import torch

from meddl.clock import StageClock
from meddl.config import SuperResolveConfig
from meddl.device import describe, free_memory_bytes, is_out_of_memory, select_device
from meddl.errors import InputError, OutOfMemoryError
from meddl.memory import peak_mb
from meddl.progress import ProgressCallback, report, span
from meddl.resample import to_tensor
from meddl.results import SuperResolution
from meddl.superres.bspline import apply_along, cubic_weights
from meddl.superres.plan import ResolutionPlan, places_along, plan_resolution
from meddl.volume import Volume

_SLAB_VOXELS = 1 << 23  # voxels of the larger side of one product: bounds memory and the time to a cancel


def super_resolve(volume: Volume, config: SuperResolveConfig | None = None, *, device: str = "auto",
                  on_progress: ProgressCallback | None = None) -> SuperResolution:
    """The volume with smaller voxels over the same field of view, by cubic B-spline interpolation.

    Args:
        volume: (C, I, J, K), any orientation and any real type; each channel is treated alike.
        config: what to make; by default the thickest axis gets the smallest voxel size.

    Returns:
        The sharper volume. Its report adds to seconds, device, peak_memory_mb and warnings: method, axis (the
        thickest one that changed), factor (along it), factors (i, j, k), spacing_mm before and after.

    Raises:
        InputError: NaN or infinity in the data, a single slice along the axis to sharpen, or an impossible
            target.
        OutOfMemoryError: the result does not fit into memory.
    """
    config = config or SuperResolveConfig()
    clock = StageClock()
    with clock.stage("check"):
        on_device = select_device(device)
        if on_device.type == "mps" and _work_type(volume.data.dtype) == np.float64:
            on_device = torch.device("cpu")  # MPS has no float64
        plan = plan_resolution(volume.grid, config)
        _check_memory(volume, plan)
        report(on_progress, 0.0, "Reading the volume")
        low, high = _range(volume.data)
    warnings = []
    with clock.stage("interpolate"):
        if plan.axes:
            try:
                data = _interpolate(volume, plan, config, (low, high), on_device, on_progress)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if on_device.type == "cpu":
                    raise OutOfMemoryError(_memory_message(plan.grid)) from error
                warnings.append(f"{on_device} had too little memory; the CPU was used instead.")
                on_device = torch.device("cpu")
                data = _interpolate(volume, plan, config, (low, high), on_device, on_progress)
            result = Volume(data, plan.grid.affine)
        else:
            warnings.append("The voxels are the same size along every axis: nothing was changed. "
                            "Give a target voxel size to make them all smaller.")
            result = volume
    report(on_progress, 1.0, "Done")
    return SuperResolution(result, {
        "seconds": clock.seconds,
        "device": describe(on_device),
        "peak_memory_mb": round(peak_mb(), 1),
        "warnings": warnings,
        "method": "cubic",
        "axis": plan.axis,
        "factor": plan.factors[plan.axis],
        "factors": list(plan.factors),
        "spacing_mm": {"before": volume.spacing_mm.tolist(), "after": result.spacing_mm.tolist()},
    })


def _interpolate(volume, plan, config, limits, device, on_progress) -> np.ndarray:
    """Every channel interpolated along every axis of the plan, in the output's type."""
    work_type = _work_type(volume.data.dtype)
    final_type = volume.data.dtype if config.keep_type else work_type
    work = torch.float64 if work_type == np.float64 else torch.float32
    out = _empty_like(volume.data, (volume.channels, *plan.grid.shape), final_type)
    steps = len(plan.axes) * volume.channels
    for channel in range(volume.channels):
        current = volume.data[channel]
        for step, axis in enumerate(plan.axes):
            last = step == len(plan.axes) - 1
            places = places_along(volume.grid, plan.grid, axis)
            matrix = torch.from_numpy(cubic_weights(volume.shape[axis], places))
            if last:
                target = out[channel]
            else:
                shape = list(current.shape)
                shape[axis] = len(places)
                target = _empty_like(current, shape, work_type)
            done = channel * len(plan.axes) + step
            _along_axis(current, matrix.to(work), axis, target, limits if last and config.keep_range else None, device,
                        span(on_progress, done / steps, (done + 1) / steps))
            current = target
    return out


def _along_axis(source, matrix, axis, target, limits, device, on_progress) -> None:
    """Fill `target` with `matrix` applied along `axis` of `source`, slab by slab along another axis."""
    matrix = matrix.to(device)
    others = [a for a in range(3) if a != axis]
    across = max(others, key=lambda a: (target.shape[a] > 1, abs(target.strides[a])))
    slab = max(1, _SLAB_VOXELS * target.shape[across] // max(source.size, target.size))
    for start in range(0, target.shape[across], slab):
        place = [slice(None)] * 3
        place[across] = slice(start, start + slab)
        made = apply_along(matrix, to_tensor(source[tuple(place)], device, matrix.dtype), axis)
        if limits is not None:
            made = made.clamp(*limits)
        target[tuple(place)] = _as_type(made.cpu().numpy(), target.dtype)
        done = min(1.0, (start + slab) / target.shape[across])
        report(on_progress, done, f"Interpolating along axis {axis}")


def _as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in `dtype`; whole-number types are rounded and held at their limits."""
    if dtype.kind == "f":
        return values.astype(dtype)
    if dtype.kind == "b":
        return values >= 0.5
    limits = np.iinfo(dtype)
    top = limits.max if dtype.itemsize <= 4 else np.nextafter(float(limits.max), 0.0)  # which has no float64
    return np.clip(np.rint(values), limits.min, top).astype(dtype)


def _work_type(dtype: np.dtype) -> np.dtype:
    """The floating-point type that holds every digit of `dtype` that interpolation can use."""
    many_digits = dtype.itemsize > 4 or (dtype.itemsize == 4 and dtype.kind in "iu")
    return np.dtype(np.float64 if many_digits else np.float32)


def _empty_like(source: np.ndarray, shape, dtype) -> np.ndarray:
    """An array of this shape whose axes lie in memory in the same order as the source's."""
    order = sorted(range(source.ndim), key=lambda axis: -abs(source.strides[axis]))
    return np.empty([shape[a] for a in order], dtype=dtype).transpose(np.argsort(order))


def _range(data: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value.

    Raises:
        InputError: the data hold NaN or infinity.
    """
    low, high = data.min(), data.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        count = int(np.count_nonzero(~np.isfinite(data)))
        raise InputError(f"The volume holds {count} voxels that are NaN or infinite; interpolation would "
                         "spread them. Replace them first, for example by the background value.")
    return float(low), float(high)


def _check_memory(volume: Volume, plan: ResolutionPlan) -> None:
    need = 8 * volume.channels * int(np.prod([float(n) for n in plan.grid.shape]))
    if need > free_memory_bytes(torch.device("cpu")):
        raise OutOfMemoryError(_memory_message(plan.grid))


def _memory_message(grid) -> str:
    return (f"The result would have {' x '.join(map(str, grid.shape))} voxels, which do not fit into memory. "
            "Choose a larger target voxel size, or sharpen one axis only.")

"""Motion correction: the frames of a time series registered to one reference."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from meddl.core.config import INTERPOLATIONS, RegisterConfig, registration_config
from meddl.core.errors import InputError
from meddl.core.memory import peak_mb
from meddl.core.progress import ProgressCallback, report, span
from meddl.core.stage_clock import StageClock
from meddl.io import VolumeLike, as_mask
from meddl.io.series import SeriesLike, check_frame, frames_of
from meddl.registration.images.intensity import finite_scalar, foreground_mask
from meddl.registration.register import register
from meddl.registration.views import footprint
from meddl.results import Registration, SeriesRegistration
from meddl.spatial.volume import Volume

MEAN = "mean"
HEAD_RADIUS_MM = 50.0  # the sphere on which framewise displacement counts a rotation as a way


def register_series(series: SeriesLike, config: RegisterConfig | None = None, *,
                    preset: str | None = None, reference: int | str = 0, mask: VolumeLike | None = None,
                    interpolation: str = INTERPOLATIONS[0], device: str = "auto",
                    on_progress: ProgressCallback | None = None) -> SeriesRegistration:
    """Register every frame of a time series to one reference, and resample it there.

    A frame starts from the map of its neighbor on the side of the reference. The alignment that the headers give
    competes: a frame that it fits better is registered from there, and so is, in addition, every frame whose neighbor
    is far away.

    Args:
        series: (T, I, J, K), the frames as channels; or T volumes of one channel on one grid; or their paths.
        config: choices of `meddl.register`; default: the preset "Time series", rigid from the given alignment.
        preset: the name of a preset in any case, instead of `config`.
        reference: a frame, counted from 0; or "mean": all are registered to the first, and then again to the mean of
            what this gives.
        mask: (1, I, J, K) on any grid in the world of the reference; only where it is nonzero it is compared.
        interpolation: of the corrected frames, one of `meddl.core.config.INTERPOLATIONS`. Linear is fast and smooths,
            which lowers the temporal standard deviation on its own; cubic and lanczos hardly do.

    Returns:
        A series registration. Its report has seconds, device, peak_memory_mb, warnings, transform, reference, and, as
        lists with an entry a frame: translation_mm (how far the center of the object moves, R, A, S), rotation_deg
        (about R, A and S, in this order, about fixed axes), framewise_displacement_mm (0 for the first frame: the sum
        of the absolute changes of all six since the frame before, a rotation counted as the way on a sphere of 50 mm:
        J. D. Power et al., NeuroImage 59(3), 2012, doi:10.1016/j.neuroimage.2011.10.018) and metric (before, after;
        None for the reference itself). temporal_sd (before, after) is the standard deviation over the frames, in the
        unit of the intensities, averaged over the voxels of the object that all frames reach.

    Raises:
        InputError: fewer than two frames, frames on different grids, a frame without finite values or of one value
            only (each names the frame by its number, from 0), an impossible reference, or what `meddl.register`
            refuses.
        OutOfMemoryError: the memory was not enough.
    """
    config = registration_config(config, preset, "Time series")
    mask = None if mask is None else as_mask(mask)
    if interpolation not in INTERPOLATIONS:
        raise InputError(f"Interpolation is one of {', '.join(INTERPOLATIONS)}; got {interpolation!r}.")
    frames = _frames(series)
    _check_reference(reference, len(frames))
    clock = StageClock()
    with clock.stage("check"):
        for number, frame in enumerate(frames):
            report(on_progress, 0.02 * number / len(frames), "Reading the frames")
            finite_scalar(frame, f"frame {number}")
    run = _Run(frames, config, mask, interpolation, device)
    if reference == MEAN:
        with clock.stage("mean"):
            first = run.maps(0, frames[0], span(on_progress, 0.02, 0.4))
            middle = run.mean(first, span(on_progress, 0.4, 0.48))
        with clock.stage("register"):
            maps = run.maps(None, middle, span(on_progress, 0.48, 0.86), first)
    else:
        middle = frames[reference]
        with clock.stage("register"):
            maps = run.maps(reference, middle, span(on_progress, 0.02, 0.86))
    with clock.stage("resample"):
        corrected, reached = run.correct(maps, middle, span(on_progress, 0.86, 0.96))
    with clock.stage("measure"):
        spread = _temporal_sd(frames, corrected, reached, middle, span(on_progress, 0.96, 1.0))
    report(on_progress, 1.0, "Done")
    return SeriesRegistration(tuple(maps), corrected, middle, {
        "seconds": clock.seconds,
        "device": next((one.report["device"] for one in maps if "device" in one.report), ""),
        "peak_memory_mb": round(peak_mb(), 1),
        "warnings": _gather_warnings(maps),
        "transform": config.transform_type,
        "reference": reference if reference == MEAN else int(reference),
        **motion_of(maps),
        "metric": [one.report.get("metric") for one in maps],
        "temporal_sd": spread,
    })


def motion_of(maps: Sequence[Registration]) -> dict:
    """translation_mm, rotation_deg (lists of three numbers a frame) and framewise_displacement_mm of a series."""
    translations = np.array([one.report.get("translation_mm", (0.0, 0.0, 0.0)) for one in maps])
    angles = np.array([_angles_deg(one.affine) for one in maps])
    steps = np.abs(np.diff(translations, axis=0)).sum(axis=1)
    steps = steps + HEAD_RADIUS_MM * np.abs(np.radians(np.diff(angles, axis=0))).sum(axis=1)
    return {"translation_mm": translations.tolist(), "rotation_deg": angles.tolist(),
            "framewise_displacement_mm": [0.0, *steps.tolist()]}


class _Run:
    """The frames and how to register them."""

    def __init__(self, frames, config, mask, interpolation, device):
        self.frames, self.config, self.mask = frames, config, mask
        self.interpolation, self.device = interpolation, device

    def maps(self, reference: int | None, target: Volume, on_progress, near=None) -> list[Registration]:
        """The map of each frame from `target`, which is the frame `reference` or none of them.

        Without maps `near` that are close already, each frame starts from its neighbor's, from the reference outward.
        """
        count = len(self.frames)
        found: list[Registration | None] = [None] * count
        if reference is not None:
            found[reference] = Registration(np.eye(4), None, target.grid, {"warnings": []}, target.grid)
        first = reference or 0
        order = [*range(first, count), *range(first - 1, -1, -1)]
        order = [number for number in order if found[number] is None]
        for done, number in enumerate(order):
            if near is not None:
                start = near[number].affine
            else:
                start = found[number - 1 if number > first else number + 1].affine
            part = span(on_progress, done / len(order), (done + 1) / len(order), f"Frame {number + 1} of {count}: ")
            found[number] = self._map(target, self.frames[number], start, part)
        return found

    def _map(self, target: Volume, frame: Volume, start: np.ndarray, on_progress) -> Registration:
        """The better of the maps that are found from `start` and, where this may matter, from the given alignment."""
        if np.array_equal(start, np.eye(4)):
            return self._register(target, frame, None, on_progress)
        warm = self._register(target, frame, start, on_progress)
        before, after = warm.report["metric"]["before"], warm.report["metric"]["after"]
        if _reach_mm(start, target) <= max(self.config.levels_mm) and (before is None or before <= after):
            return warm
        cold = self._register(target, frame, None, on_progress)
        return cold if cold.report["metric"]["after"] > after else warm

    def _register(self, target, frame, initial, on_progress) -> Registration:
        found = register(target, frame, self.config, fixed_mask=self.mask, initial=initial, device=self.device,
                         on_progress=on_progress)
        return Registration(found.affine, found.displacement, found.grid, found.report, frame.grid)

    def mean(self, maps: list[Registration], on_progress) -> Volume:
        """The mean of the frames on the first one's grid, of those that reach a voxel."""
        target = self.frames[0]
        total, count = np.zeros(target.shape), np.zeros(target.shape, np.int32)
        for number, (found, frame) in enumerate(zip(maps, self.frames, strict=True)):
            part = span(on_progress, number / len(maps), (number + 1) / len(maps))
            values = found.warp(frame, "linear", on_progress=part).scalar_data
            counts = footprint(found, frame) & np.isfinite(values)
            total[counts] += values[counts]
            count += counts
        values = np.where(count > 0, total / np.maximum(count, 1), np.nan_to_num(target.scalar_data))
        return Volume.scalar(values.astype(np.float32), target.affine)

    def correct(self, maps: list[Registration], target: Volume, on_progress) -> tuple[Volume, np.ndarray]:
        """The frames on the reference's grid, and which of its voxels all of them reach, (I, J, K) bool."""
        data = np.empty((len(maps), *target.shape), np.float32)
        reached = np.ones(target.shape, bool)
        for number, (found, frame) in enumerate(zip(maps, self.frames, strict=True)):
            part = span(on_progress, number / len(maps), (number + 1) / len(maps))
            report(part, 0.0, "Resampling the frames")
            if found.is_linear and np.array_equal(found.affine, np.eye(4)) and frame.grid.same_as(target.grid):
                data[number] = frame.scalar_data
                continue
            data[number] = found.warp(frame, self.interpolation, on_progress=part).scalar_data
            reached &= footprint(found, frame)
        return Volume(data, target.affine), reached


def _frames(series: SeriesLike) -> list[Volume]:
    frames = frames_of(series)
    if len(frames) < 2:
        raise InputError(f"A series has at least two frames; this one has {len(frames)}. Give a volume with the frames "
                         "as channels, or a list of volumes.")
    for number, frame in enumerate(frames):
        check_frame(frame, number, frames[0])
    return frames


def _check_reference(reference, count: int) -> None:
    if reference == MEAN:
        return
    if isinstance(reference, bool) or not isinstance(reference, int | np.integer) or not 0 <= reference < count:
        raise InputError(f"The reference is 'mean' or a frame from 0 to {count - 1}; got {reference!r}.")


def _reach_mm(affine: np.ndarray, volume: Volume) -> float:
    """The farthest that the corners of the volume's field of view are moved."""
    corners = np.stack(np.meshgrid(*((0, n - 1) for n in volume.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = volume.grid.points_mm(corners)
    return float(np.linalg.norm(points @ affine[:3, :3].T + affine[:3, 3] - points, axis=1).max())


def _angles_deg(affine: np.ndarray) -> list[float]:
    """The rotation in a linear map as angles about the fixed axes R, A and S, in this order."""
    u, _, vt = np.linalg.svd(affine[:3, :3])
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return Rotation.from_matrix(rotation).as_euler("xyz", degrees=True).tolist()


def _temporal_sd(frames: list[Volume], corrected: Volume, reached: np.ndarray, target: Volume, on_progress) -> dict:
    values = target.scalar_data
    inside = reached & np.isfinite(values)
    for number, frame in enumerate(frames):
        report(on_progress, 0.5 * number / len(frames), "Measuring the motion")
        inside &= np.isfinite(frame.scalar_data) & np.isfinite(corrected.data[number])
    if not inside.any():
        return {"before": None, "after": None}
    inside &= foreground_mask(np.where(inside, values, values[inside].min()))
    before, after = [], []
    for index in range(inside.shape[0]):
        report(on_progress, 0.5 + 0.5 * index / inside.shape[0], "Measuring the motion")
        here = inside[index]
        before.append(np.stack([frame.scalar_data[index][here] for frame in frames]).std(axis=0, dtype=np.float64))
        after.append(corrected.data[:, index][:, here].std(axis=0, dtype=np.float64))
    if not inside.any():
        return {"before": None, "after": None}
    return {"before": float(np.concatenate(before).mean()), "after": float(np.concatenate(after).mean())}


def _gather_warnings(maps: Sequence[Registration]) -> list[str]:
    """The warnings of all frames, each text once, with the frames that it is about."""
    about: dict[str, list[int]] = {}
    for number, found in enumerate(maps):
        for text in found.report.get("warnings", ()):
            about.setdefault(text, []).append(number)
    return [f"Frame{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}: {text}"
            for text, numbers in about.items()]

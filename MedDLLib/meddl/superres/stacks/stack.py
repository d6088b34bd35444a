"""One of several stacks: its job, its volume sharpened alone, and where it lies in the space of the first one."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from meddl.core.config import SuperResolveConfig
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span
from meddl.measures.intensity_matching import IntensityMatch
from meddl.spatial.grid import Grid, is_orthonormal
from meddl.spatial.volume import Volume
from meddl.superres.acquisition.degradation import profile_sigma
from meddl.superres.acquisition.detect import detect, measured_grid
from meddl.superres.acquisition.slice_width import cautious
from meddl.superres.job import Job, job_of, value_limits
from meddl.superres.methods.back_projection import consistent, slices_of
from meddl.superres.methods.cubic import interpolate
from meddl.superres.methods.registry import METHODS
from meddl.superres.plan import ResolutionPlan, plan_resolution
from meddl.superres.stacks.rigid_resampling import RigidResampling

_SAME = 1.01
_BLUR = 0.4  # standard deviation of the blur before fewer voxels are taken, in the new ones


@dataclass(eq=False)
class Stack:
    """A stack of slices; what is known of it grows as it is registered.

    Attributes:
        name: for messages, at the begin of a sentence.
        job: slices, acquisition, and the grid with small voxels over the stack's own field of view.
        fine: (I, J, K) float32 on that grid, sharpened from this stack alone.
        thickness_mm: of the slices, as stated or measured.
        transform: 4x4 from the space of the first stack to this one's, rigid, RAS mm.
        figures: for the report.
    """

    name: str
    job: Job
    fine: np.ndarray
    thickness_mm: float
    transform: np.ndarray = field(default_factory=lambda: np.eye(4))
    figures: dict = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """The grid of `fine`."""
        return self.job.plan.grid

    def rescale(self, match: IntensityMatch) -> None:
        """Give slices and fine volume the intensities of the first stack."""
        made = match.apply(Volume.scalar(self.job.data, self.job.grid.affine)).scalar_data
        gain = float(np.std(made) / max(np.std(self.job.data), 1e-300))
        self.job = replace(self.job, data=made, noise_sigma=self.job.noise_sigma * gain)
        self.fine = match.apply(Volume.scalar(self.fine, self.grid.affine)).scalar_data

    def in_first_space(self) -> Volume:
        """`fine` where it lies in the space of the first stack."""
        return Volume.scalar(self.fine, np.linalg.inv(self.transform) @ self.grid.affine)


class StackModel:
    """The acquisition model of a stack on the common grid: its slices of a volume, and what is to be added to one.

    Args:
        common: the isotropic grid of the result, in the space of the first stack.
    """

    def __init__(self, stack: Stack, common: Grid):
        self._stack, self._job = stack, stack.job
        self._to_stack = RigidResampling(common, stack.grid, np.linalg.inv(stack.transform))
        self._to_common = RigidResampling(stack.grid, common, stack.transform)
        self.covered = self._to_common.covered
        ratio = common.spacing_mm.min() / stack.grid.spacing_mm
        self._blur = [_BLUR * float(one) if one > 1.2 else 0.0 for one in ratio]
        self._response = _responses(stack, common)

    def residual(self, volume: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """y - D x of a volume x on the common grid, (I, J, K) on the grid of the measured slices."""
        fine = self.on_stack(volume, span(on_progress, 0.0, 0.8))
        again = slices_of(fine, self._job, span(on_progress, 0.8, 1.0))
        return np.subtract(self._job.data, again, dtype=again.dtype)

    def back_project(self, residual: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """The residual interpolated at the common grid's voxels, 0 where the stack has none."""
        made = self.on_common(interpolate(residual, self._job, span(on_progress, 0.0, 0.2)), span(on_progress, 0.2, 1))
        made[~self.covered] = 0
        return made

    def on_stack(self, volume: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """A volume on the common grid at the voxels of the stack's fine grid."""
        return self._to_stack(volume, on_progress)

    def on_common(self, fine: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """A volume on the stack's fine grid at the common grid's voxels."""
        if any(self._blur):
            fine = gaussian_filter(np.asarray(fine, np.float32), self._blur)
        return self._to_common(fine, on_progress)

    def response(self, shape: tuple[int, ...], common: Grid) -> np.ndarray:
        """What of each spatial frequency the slices hold, 1 all and 0 nothing, in the layout of `scipy.fft.rfftn`."""
        exponent = 0.0
        for direction, sigma_mm in self._response:
            along = [np.fft.fftfreq(n)[:, None] for n in shape[:2]] + [np.fft.rfftfreq(shape[2])]
            parts = [(one * part / d).astype(np.float32) for one, part, d in
                     zip(direction, along, common.spacing_mm, strict=True)]
            frequency = parts[0][:, :, None] + parts[1] + parts[2]
            exponent = exponent + np.float32(2 * np.pi ** 2 * sigma_mm ** 2) * frequency ** 2
        return np.exp(-exponent) if self._response else np.ones((1, 1, 1), np.float32)


def make_stack(volume: Volume, config: SuperResolveConfig, spacing_mm: float, name: str, device: torch.device,
               warnings: list[str], on_progress: ProgressCallback | None = None) -> Stack:
    """A stack sharpened alone, voxels of `spacing_mm` along every axis that is coarser.

    Raises:
        InputError: several channels, NaN, infinity, a constant, axes that are not at right angles, or a single slice.
    """
    check_stack(volume, name)
    detection = detect(volume, config)
    measured = measured_grid(volume.grid, detection)
    if (measured.spacing_mm > spacing_mm * _SAME).any():
        plan = plan_resolution(measured, SuperResolveConfig(target_spacing_mm=spacing_mm))
    else:
        plan = ResolutionPlan(measured, detection.axis, (1.0, 1.0, 1.0))
    job = job_of(volume.data[0], 0, config, plan, detection, measured, device)
    fine = sharpen(job, on_progress)
    warnings.extend(f"{name}: {text}" for text in job.warnings)
    stack = Stack(name, cautious(job), fine, detection.thickness_mm)
    stack.figures.update(axis=detection.axis, factors=list(plan.factors), spacing_mm=volume.spacing_mm.tolist(),
                         thickness_mm=detection.thickness_mm, noise_sigma=detection.noise_sigma[0],
                         **{key: job.figures[key] for key in ("method", "model", "thickness_share")
                            if key in job.figures})
    return stack


def sharpen(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """The slices of a stack alone on the fine grid, (I, J, K) float32, by the method of the job's configuration."""
    if not job.plan.axes:
        return np.asarray(job.data, np.float32)
    method = METHODS[job.config.method]
    fine = method.run(job, span(on_progress, 0.0, 0.85))
    if method.consistent:
        fine = consistent(fine, job, on_progress=span(on_progress, 0.85, 1.0))
    return np.asarray(fine, np.float32)


def check_stack(volume: Volume, name: str) -> None:
    """Raises InputError for what cannot be one of several stacks."""
    if volume.channels != 1:
        raise InputError(f"{name} has {volume.channels} channels or frames; several stacks have one each.")
    low, high = value_limits(volume.data, name)[0]
    if not high > low:
        raise InputError(f"{name} is constant: there is nothing to combine.")
    if not is_orthonormal(volume.grid, 1e-3):
        raise InputError(f"{name} has axes that are not at right angles. Resample it first.")


def _responses(stack: Stack, common: Grid) -> list[tuple[np.ndarray, float]]:
    """For each thick axis its direction along the common grid's axes (unit), and its profile's deviation in mm."""
    turned = common.directions.T @ np.linalg.inv(stack.transform)[:3, :3] @ stack.grid.directions
    return [(turned[:, one.axis], profile_sigma(one) * float(stack.grid.spacing_mm[one.axis]))
            for one in stack.job.acquisitions]

"""The method *cubic*: B-spline interpolation on the grid with the same field of view."""

import numpy as np

from meddl.core.progress import ProgressCallback, span
from meddl.superres.job import Job
from meddl.superres.methods.slabs import along_axis


def cubic(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Cubic B-spline interpolation of the data at the new voxels."""
    return interpolate(job.data, job, on_progress)


def interpolate(data: np.ndarray, job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Cubic B-spline interpolation of `data`, which lies on the job's grid, along each axis that changes."""
    steps = len(job.acquisitions)
    for step, acquisition in enumerate(job.acquisitions):
        axis = acquisition.axis
        matrix = acquisition.interpolation(job.plan.grid.shape[axis], data.shape[axis])
        data = along_axis(matrix, data, axis, device=job.device, message=f"Interpolating along axis {'ijk'[axis]}",
                          on_progress=span(on_progress, step / steps, (step + 1) / steps))
    return data

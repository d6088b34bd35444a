"""Estimate of the effective slice thickness relative to the stated one, from the in-plane images.

Anatomy looks much alike along every axis. So the images of a stack, acquired again along an axis in their plane with
the right thickness, change from slice to slice as much as the stack itself does; where the stack changes more, its
slices are thinner. That a stack holds the sharp counterpart of its own thick axis is the idea of SMORE: C. Zhao et
al., IEEE TMI 40(3), 2021, doi:10.1109/TMI.2020.3037187.
"""

from dataclasses import replace

import numpy as np

from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.job import Job

RATIOS = (0.7, 0.75, 0.8, 0.85)  # of the stated thickness that are compared
_LEAST_FACTOR = 1.3  # slice distance over pixel size below which the images are no sharper than the stack
_LEAST_SLICES = 6
_VOXELS = 1 << 19  # that are looked at


def cautious(job: Job) -> Job:
    """The job with the thickness that is safe to correct for, where none was stated; `figures` gets thickness_share.

    To take slices for thicker than they are overshoots, to take them for thinner leaves a little blur: so the largest
    which is 0.85, also where nothing can be measured.
    """
    if job.config.thickness_mm is not None or job.config.profile_weights:
        return job
    ratio = thickness_ratio(job) if len(job.acquisitions) == 1 else RATIOS[-1]
    job.figures["thickness_share"] = round(ratio, 3)
    return replace(job, acquisitions=tuple(replace(a, thickness=ratio * a.thickness) for a in job.acquisitions))


def thickness_ratio(job: Job) -> float:
    """Thickness over stated thickness, held to the range of RATIOS: the larger one of both axes in the plane.

    The larger one, as an axis along which the anatomy changes more makes slices look thicker, never overshooting.
    """
    thick = job.acquisitions[0]
    found = []
    for axis in (a for a in range(3) if a != thick.axis):
        factor = job.grid.spacing_mm[thick.axis] / job.grid.spacing_mm[axis]
        if factor < _LEAST_FACTOR or job.data.shape[axis] / factor < _LEAST_SLICES:
            continue
        images = _some(job.data, thick.axis, axis)
        if images.shape[1] < _LEAST_SLICES:
            continue
        excess = [_excess(images, replace(thick, factor=factor, thickness=ratio * thick.thickness), job.noise_sigma)
                  for ratio in RATIOS]  # grows with the fraction
        found.append(float(np.interp(0.0, excess, RATIOS)))
    return max(found, default=RATIOS[-1])


def _some(data: np.ndarray, thick: int, axis: int) -> np.ndarray:
    """(n, slices, pixels) float64: evenly chosen images across the third axis."""
    images = np.moveaxis(data, (thick, axis), (1, 2))
    step = max(1, round(images.size / _VOXELS))
    return images[step // 2::step].astype(np.float64)


def _excess(images: np.ndarray, acquisition: Acquisition, noise_sigma: float) -> float:
    """Logarithm of how much more the stack changes from slice to slice than what is acquired of it along the pixels."""
    count = int(images.shape[2] / acquisition.factor)
    matrix = acquisition.matrix(images.shape[2], count)
    slices = images @ matrix.T
    same, next_one = np.square(matrix).sum(axis=1).mean(), (matrix[1:] * matrix[:-1]).sum(axis=1).mean()
    along = np.square(np.diff(slices, axis=1)).mean() - 2 * noise_sigma ** 2 * same
    across = np.square(np.diff(slices, axis=2)).mean() - 2 * noise_sigma ** 2 * (same - next_one)
    least = 1e-12 * (np.square(slices).mean() + 1e-300)
    return float(np.log(max(along, least) / max(across, least)))

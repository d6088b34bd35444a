"""Iterative back-projection: the residual to the measured slices, projected back into the high-resolution volume.

The volume x is to look like the measured slices y when it is acquired again: D x = y. Each step adds the interpolated
residual, x += U (y - D x), with U the cubic spline: M. Irani & S. Peleg, "Improving resolution by image registration",
CVGIP 53(3), 1991, doi:10.1016/1049-9652(91)90045-L. As U and D are linear, the steps are done among the slices alone:
the residual r becomes r - D U r, and x changes once, by U of the sum of all residuals.

Noise must not be sharpened: before the steps each frequency of the residual along the thick axes is weighed by what is
more than noise in it (after N. Wiener's filter, 1949, with the power taken from the data).
"""

import numpy as np
from scipy.fft import dct, dctn, idctn
from scipy.ndimage import gaussian_filter

from meddl.core.progress import ProgressCallback, report, span
from meddl.superres.acquisition.slice_width import cautious
from meddl.superres.job import Job
from meddl.superres.methods.cubic import interpolate
from meddl.superres.methods.slabs import along_axis, slabs

CONSISTENCY_STEPS = 3
BEYOND_NOISE = 2.0  # standard deviations: what a network leaves out of a slice beyond it was measured, not noise
_LINES = 1 << 15  # of voxels along the thick axis, enough for the power of each frequency
_MESSAGE = "Comparing with the measured slices"


def back_projection(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """Cubic interpolation and `job.config.iterations` steps of back-projection, for slices that may be thinner."""
    job = cautious(job)
    report(on_progress, 0.0, _MESSAGE)
    residual = _reacquire(job.data, job, span(on_progress, 0.0, 0.1))
    np.subtract(job.data, residual, out=residual)
    lacking, steps = correction(residual, job, job.config.iterations, job.data, span(on_progress, 0.1, 0.6))
    job.figures["iterations"] = steps
    return interpolate(lacking + job.data, job, span(on_progress, 0.6, 1.0))


def consistent(fine: np.ndarray, job: Job, steps: int = CONSISTENCY_STEPS,
               on_progress: ProgressCallback | None = None) -> np.ndarray:
    """`fine`, changed in place so that its own slices come closer to those measured, as far as noise allows.

    Like `back_projection`, for slices that may be thinner than stated. What a whole frequency does not show is looked
    for voxel by voxel: where a slice differs by more than BEYOND_NOISE, as at a small lesion that a network took for
    noise, the excess is added back. `figures` gets consistency_steps and beyond_noise, the fraction of such voxels.
    """
    job = cautious(job)
    report(on_progress, 0.0, _MESSAGE)
    residual = slices_of(fine, job, span(on_progress, 0.0, 0.4))
    np.subtract(job.data, residual, out=residual)
    lacking, done = correction(residual, job, steps, residual, span(on_progress, 0.4, 0.6))
    if done:
        residual -= _reacquire(lacking, job)
    beyond = _add_back_excess(residual, lacking, job, steps, span(on_progress, 0.6, 0.7))
    job.figures.update(consistency_steps=done, beyond_noise=round(beyond, 5))
    if done or beyond:
        change = interpolate(lacking, job, span(on_progress, 0.7, 0.95))
        for place, _ in slabs(fine):
            fine[place] += change[place]
    report(on_progress, 1.0, _MESSAGE)
    return fine


def correction(residual: np.ndarray, job: Job, steps: int, spectrum_of: np.ndarray,
               on_progress: ProgressCallback | None = None) -> tuple[np.ndarray, int]:
    """What to add to the slices, before they are interpolated, so that the residual vanishes.

    Args:
        residual: (I, J, K) floating point, y - D x.
        steps: at most; the first one that does not make the residual smaller is not kept, and ends it.
        spectrum_of: slices whose power tells at which frequencies there is more than noise.

    Returns:
        `(correction, steps kept)`.
    """
    left = _without_noise(residual, spectrum_of, job, span(on_progress, 0.0, 0.25))
    total = np.zeros_like(left)
    size = _norm(left)
    for step in range(steps):
        inner = span(on_progress, 0.25 + 0.75 * step / steps, 0.25 + 0.75 * (step + 1) / steps)
        after = left - _reacquire(left, job, inner)
        if not _norm(after) < size:
            return total, step
        total += left
        left, size = after, _norm(after)
    return total, steps


def _add_back_excess(residual: np.ndarray, lacking: np.ndarray, job: Job, steps: int,
                  on_progress: ProgressCallback | None) -> float:
    """Add to `lacking` what of the residual is beyond noise, as long as it becomes less; the voxels' first fraction."""
    limit = BEYOND_NOISE * job.noise_sigma
    if limit <= 0:
        return 0.0
    size, fraction = np.inf, 0.0
    for step in range(steps):
        excess = residual - residual.clip(-limit, limit)
        if step == 0:
            fraction = np.count_nonzero(excess) / excess.size
        if not 0 < _norm(excess) < size:
            break
        size = _norm(excess)
        lacking += excess
        residual -= _reacquire(excess, job, span(on_progress, step / steps, (step + 1) / steps))
    return fraction


def slices_of(fine: np.ndarray, job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """D x: the slices that an acquisition of `fine` would give, (I, J, K) like the job's data."""
    count = len(job.acquisitions)
    for step, acquisition in enumerate(reversed(job.acquisitions)):  # the strongest reduction first: cheapest
        axis = acquisition.axis
        fine = along_axis(acquisition.matrix(fine.shape[axis], job.grid.shape[axis]), fine, axis, device=job.device,
                          message=_MESSAGE, on_progress=span(on_progress, step / count, (step + 1) / count))
    return fine


def _reacquire(slices: np.ndarray, job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """D U y: the slices of the interpolated slices, by one small matrix an axis."""
    count = len(job.acquisitions)
    for step, acquisition in enumerate(job.acquisitions):
        axis = acquisition.axis
        fine, thick = job.plan.grid.shape[axis], job.grid.shape[axis]
        both = acquisition.matrix(fine, thick) @ acquisition.interpolation(fine, thick)
        slices = along_axis(both, slices, axis, device=job.device, message=_MESSAGE,
                            on_progress=span(on_progress, step / count, (step + 1) / count))
    return slices


def _without_noise(residual: np.ndarray, spectrum_of: np.ndarray, job: Job,
                   on_progress: ProgressCallback | None) -> np.ndarray:
    """The residual, each frequency along the thick axes weighed so that the result is no noisier than it is worth.

    To add g r to what explains y - r: the whole is best at Wiener's fraction of y, 1 - s^2 / Y^2, with
    g = 1 - s^2 / (Y R), s the noise and Y, R the root mean squares of y and r at that frequency.
    """
    if job.noise_sigma <= 0:
        return residual.copy()
    axes = tuple(sorted(acquisition.axis for acquisition in job.acquisitions))
    if len(axes) == 1:
        return _filter_along(residual, spectrum_of, axes[0], job, on_progress)
    spectrum = dctn(residual, axes=axes, norm="ortho")
    own = _power(spectrum, axes)
    reference = own if spectrum_of is residual else _power(
        dctn(np.asarray(spectrum_of, dtype=residual.dtype), axes=axes, norm="ortho"), axes)
    spectrum *= _gains(own, reference, job.noise_sigma).astype(residual.dtype)
    return idctn(spectrum, axes=axes, norm="ortho", overwrite_x=True)


def _filter_along(residual: np.ndarray, spectrum_of: np.ndarray, axis: int, job: Job,
                    on_progress: ProgressCallback | None) -> np.ndarray:
    """As `_without_noise`, for one axis: power from a part of the lines, and one small matrix as the filter."""
    steps = [1 if a == axis else max(1, int(np.sqrt(residual.size / residual.shape[axis] / _LINES))) for a in range(3)]
    few = tuple(slice(None, None, step) for step in steps)
    powers = [np.square(dct(part[few].astype(residual.dtype), axis=axis, norm="ortho"))
              .mean(axis=tuple(a for a in range(3) if a != axis), dtype=np.float64) for part in (residual, spectrum_of)]
    cosines = dct(np.eye(residual.shape[axis]), axis=0, norm="ortho")
    matrix = cosines.T @ (_gains(*powers, job.noise_sigma)[:, None] * cosines)
    return along_axis(matrix, residual, axis, device=job.device, message=_MESSAGE, on_progress=on_progress)


def _gains(own: np.ndarray, reference: np.ndarray, noise_sigma: float) -> np.ndarray:
    return np.clip(1 - noise_sigma ** 2 / np.maximum(np.sqrt(own * reference), 1e-300), 0, 1)


def _power(spectrum: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Mean power of each frequency along several axes; there are few samples of each, so that neighbors help."""
    others = tuple(axis for axis in range(3) if axis not in axes)
    power = np.square(spectrum).mean(axis=others, keepdims=True, dtype=np.float64)
    return gaussian_filter(power, [2.0 if axis in axes else 0.0 for axis in range(3)], mode="nearest")


def _norm(values: np.ndarray) -> float:
    return float(np.linalg.norm(values.ravel(order="K")))

"""Motion between the slices of a stack: each slice registered rigidly to the volume that all stacks made so far.

The volume, blurred by the slice profile, is sampled where a slice was measured, and six parameters a slice are found by
Gauss-Newton steps on the difference of intensities, all slices at once, with Huber's weights and a normal distribution
as the prior of the motion, which keeps slices that show little where they are. Then each slice's residual to the volume
is put where it was measured, and the volume's own slices are added: slices as if nothing had moved.

Registration of slices to a volume in turn with the reconstruction: F. Rousseau et al., Academic Radiology 13(9), 2006,
doi:10.1016/j.acra.2006.05.003; M. Kuklisova-Murgasova et al., Medical Image Analysis 16(8), 2012,
doi:10.1016/j.media.2012.07.004.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial.transform import Rotation

from meddl.core.progress import ProgressCallback, report
from meddl.superres.acquisition.degradation import profile_sigma, slice_centers
from meddl.superres.stacks.stack import Stack, StackModel

_LEVELS = ((2.0, 4), (1.0, 4))  # blur within the slices in voxels, and steps
_USUAL = np.array([4.0] * 3 + [np.radians(4.0)] * 3)  # standard deviations of the motion's prior, mm and radians
_HUBER = 1.5  # standard deviations
_LEAST_WEIGHT = 0.05  # of what a voxel gets from displaced slices
_LEAST_POINTS, _MOST_POINTS = 50, 20_000  # of a slice
_MESSAGE = "Correcting the motion of slices"


@dataclass
class SliceMotion:
    """Where each slice of a stack was measured, against where it should lie.

    Attributes:
        rotations: (S, 3, 3) about the slice's center, along the stack's axes.
        shifts_mm: (S, 3) along the stack's axes.
    """

    rotations: np.ndarray
    shifts_mm: np.ndarray

    @classmethod
    def none(cls, count: int) -> "SliceMotion":
        """No slice has moved."""
        return cls(np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))

    def displacements_mm(self, radius_mm: float) -> np.ndarray:
        """How far each slice has moved, (S,): the root mean square over a ball of this radius."""
        angles = np.linalg.norm(Rotation.from_matrix(self.rotations).as_rotvec(), axis=1)
        return np.sqrt(np.square(self.shifts_mm).sum(axis=1) + 0.4 * np.square(angles * radius_mm))


class SliceMotionModel:
    """The slices of a stack, and the volume as these slices see it.

    Args:
        slices: (I, J, K) as they were measured, with intensities of the first stack.
        volume: (I, J, K) on the common grid.
    """

    def __init__(self, stack: Stack, model: StackModel, slices: np.ndarray, volume: np.ndarray):
        job, self._axis = stack.job, stack.figures["axis"]
        seen = model.on_stack(volume)
        for acquisition in job.acquisitions:
            seen = gaussian_filter1d(seen, profile_sigma(acquisition), axis=acquisition.axis, mode="nearest")
        self._seen, self._slices = np.asarray(seen, np.float32), np.asarray(slices, np.float32)
        self._fine_mm = stack.grid.spacing_mm
        by_axis = {one.axis: one for one in job.acquisitions}
        self._along = [slice_centers(by_axis[axis].factor, stack.grid.shape[axis], n, by_axis[axis].phase)
                       if axis in by_axis else np.arange(n, dtype=float) for axis, n in enumerate(job.grid.shape)]
        self._noise = max(job.noise_sigma, 1e-6 * float(np.ptp(self._slices)) + 1e-12)

    def register(self, motion: SliceMotion, on_progress: ProgressCallback | None = None) -> SliceMotion:
        """The motion of each slice, from what is known of it so far."""
        steps = sum(count for _blur, count in _LEVELS)
        done = 0
        for blur, count in _LEVELS:
            values, points = self._points(blur)
            channels = self._channels(blur)
            for _ in range(count):
                report(on_progress, done / steps, _MESSAGE)
                motion = self._step(motion, channels, values, points, blur)
                done += 1
        return motion

    def corrected_slices(self, motion: SliceMotion) -> np.ndarray:
        """(I, J, K) float32: the slices where they should lie; exactly as measured where nothing has moved."""
        points = self._plane_points(1)
        count, plane = points.shape[:2]
        sampled = _sample(self._seen[None], self._measured_points(points, motion))[:, 0].numpy()
        at_rest = _sample(self._seen[None], self._measured_points(points, SliceMotion.none(count)))[:, 0].numpy()
        residual = self._in_slices(self._slices).reshape(count, plane) - sampled
        spread, weight = _splat(residual, self._measured_indices(points, motion), self._slices.shape)
        known = weight > _LEAST_WEIGHT
        change = np.where(known, spread / np.maximum(weight, _LEAST_WEIGHT), 0)
        return (self._from_slices(at_rest) + change).astype(np.float32)

    def _step(self, motion: SliceMotion, channels: np.ndarray, values: np.ndarray, points: np.ndarray,
              blur: float) -> SliceMotion:
        moved = self._measured_points(points, motion)
        sampled = _sample(channels, moved).numpy()
        size = np.array(self._seen.shape) - 1
        inside = ((moved >= 0) & (moved <= size)).all(axis=2)
        difference = np.where(inside, values - sampled[:, 0], 0)
        spread = np.maximum(1.4826 * np.median(np.abs(difference), axis=1), 0.3 * self._noise)[:, None]
        weights = inside / np.maximum(1, np.abs(difference) / (_HUBER * spread))
        gradient = np.moveaxis(sampled[:, 1:], 1, 2) / self._fine_mm
        arms = np.einsum("sij,spj->spi", motion.rotations, points)
        jacobian = np.concatenate([gradient, np.cross(arms, gradient)], axis=2).astype(np.float32)
        variance = np.square(spread) * max(1.0, 4 * np.pi * blur ** 2)  # neighbors share what the blur mixes
        normal = np.einsum("spi,sp,spj->sij", jacobian, weights, jacobian, optimize=True) / variance[:, :, None]
        right = np.einsum("spi,sp->si", jacobian, weights * difference, optimize=True) / variance
        turns = Rotation.from_matrix(motion.rotations)
        now = np.concatenate([motion.shifts_mm, turns.as_rotvec()], axis=1)
        change = np.linalg.solve(normal + np.diag(_USUAL ** -2), (right - now / _USUAL ** 2)[..., None])[..., 0]
        change = change.clip(-_USUAL, _USUAL) * (inside.sum(axis=1) > _LEAST_POINTS)[:, None]
        turn = Rotation.from_rotvec(change[:, 3:])
        return SliceMotion((turn * turns).as_matrix(), motion.shifts_mm + change[:, :3])

    def _points(self, blur: float) -> tuple[np.ndarray, np.ndarray]:
        """Values (S, P) of the blurred slices at every other voxel or so, and where they lie (S, P, 3), mm about the
        slice's center."""
        voxels = self._slices.size / self._slices.shape[self._axis]
        step = max(1, int(np.ceil(np.sqrt(voxels / _MOST_POINTS))))
        widths = [0.0 if axis == self._axis else blur for axis in range(3)]
        planes = self._in_slices(gaussian_filter(self._slices, widths))[:, ::step, ::step]
        return planes.reshape(len(planes), -1), self._plane_points(step)

    def _channels(self, blur: float) -> np.ndarray:
        """(4, I, J, K): the volume as the slices see it, as blurred, and its differences along the axes."""
        widths = [0.0 if axis == self._axis else blur * _voxel(self._along[axis]) for axis in range(3)]
        seen = gaussian_filter(self._seen, widths)
        return np.stack([seen, *np.gradient(seen)])

    def _plane_points(self, step: int) -> np.ndarray:
        across = [axis for axis in range(3) if axis != self._axis]
        offsets = [(self._along[axis] - self._along[axis].mean())[::step] * self._fine_mm[axis] for axis in across]
        plane = np.zeros((len(offsets[0]), len(offsets[1]), 3))
        plane[..., across[0]], plane[..., across[1]] = offsets[0][:, None], offsets[1]
        return np.tile(plane.reshape(1, -1, 3), (len(self._along[self._axis]), 1, 1))

    def _measured_points(self, points: np.ndarray, motion: SliceMotion) -> np.ndarray:
        """Fine indices (S, P, 3) of where the points were measured."""
        centers = np.array([along.mean() for along in self._along]) * np.ones((len(points), 1))
        centers[:, self._axis] = self._along[self._axis]
        moved = np.einsum("sij,spj->spi", motion.rotations, points) + motion.shifts_mm[:, None]
        return moved / self._fine_mm + centers[:, None]

    def _measured_indices(self, points: np.ndarray, motion: SliceMotion) -> np.ndarray:
        """Indices (S, P, 3) among the measured slices of where the points were measured."""
        first = np.array([along[0] for along in self._along])
        return (self._measured_points(points, motion) - first) / [_voxel(along) for along in self._along]

    def _in_slices(self, data: np.ndarray) -> np.ndarray:
        return np.moveaxis(data, self._axis, 0)

    def _from_slices(self, values: np.ndarray) -> np.ndarray:
        shape = self._in_slices(self._slices).shape
        return np.moveaxis(values.reshape(shape), 0, self._axis)


def _voxel(along: np.ndarray) -> float:
    """The size of a measured voxel, in fine ones."""
    return float(along[1] - along[0]) if len(along) > 1 else 1.0


def _sample(channels: np.ndarray, indices: np.ndarray) -> torch.Tensor:
    """Linear interpolation of (C, I, J, K) at indices (S, P, 3), the edge beyond: (S, C, P) float32."""
    size = np.maximum(np.array(channels.shape[1:]) - 1, 1)
    grid = torch.from_numpy((2 * indices / size - 1)[..., ::-1].astype(np.float32))
    found = F.grid_sample(torch.from_numpy(np.ascontiguousarray(channels))[None], grid[None, :, :, None],
                          mode="bilinear", padding_mode="border", align_corners=True)
    return found[0, ..., 0].transpose(0, 1)


def _splat(values: np.ndarray, indices: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Values at indices (..., 3) spread linearly over the voxels around them: their weighted sum and the weights."""
    flat, values = indices.reshape(-1, 3), values.ravel()
    low = np.floor(flat + 1e-6).astype(np.int64)
    part = np.maximum(flat - low, 0)
    total, weights = np.zeros(np.prod(shape)), np.zeros(np.prod(shape))
    for corner in np.ndindex(2, 2, 2):
        at = low + corner
        weight = np.abs(1 - np.array(corner) - part).prod(axis=1)
        keep = ((at >= 0) & (at < shape)).all(axis=1) & (weight > 1e-6)
        place = np.ravel_multi_index(at[keep].T, shape)
        total += np.bincount(place, weight[keep] * values[keep], len(total))
        weights += np.bincount(place, weight[keep], len(weights))
    return total.reshape(shape), weights.reshape(shape)

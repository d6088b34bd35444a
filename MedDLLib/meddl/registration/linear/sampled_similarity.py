"""Mutual information of two volumes under a linear transform, and its gradient, from sample points on one level."""

import numpy as np
import torch
import torch.nn.functional as F

from meddl.registration.images.pyramid import Level
from meddl.registration.linear.motion import motion_matrix
from meddl.registration.linear.mutual_information import fixed_rows, joint_histogram, similarity

_SEED = 20240229
_MARGIN_MM = 12.0    # margin of background around the object that is sampled too
_POINTS_AT_ONCE = 1 << 19  # looked up together when many maps are compared
_LEAST_OVERLAP = 0.1  # of the possible overlap; less is never accepted


class SampledSimilarity:
    """Sampled similarity metric: sample points of the fixed volume, and the moving volume to interpolate at them.

    Points are drawn once: jittered around voxel centers in and around the object, so that no grid effect
    favors an alignment of voxels with voxels; always the same points for the same volume.

    Args:
        fixed, moving: levels of the two pyramids.
        center_mm: (3,) RAS mm, the origin of the motion that is searched.
        samples: at most this many points.
        metric, bins: see `mutual_information`.
    """

    def __init__(self, fixed: Level, moving: Level, center_mm: np.ndarray, samples: int, metric: str,
                 bins: int):
        device = fixed.image.device
        self.metric, self.bins = metric, bins
        self.center_mm = np.asarray(center_mm, dtype=np.float64)
        self.moving = moving
        self.region = None if moving.region is None else moving.region.to(device)
        self.size = torch.tensor(moving.image.shape, dtype=torch.float32, device=device)
        indices = _sample_indices(fixed, samples)
        points = indices @ fixed.grid.affine[:3, :3].T + (fixed.grid.affine[:3, 3] - self.center_mm)
        self.points = torch.from_numpy(points).to(device, torch.float32)
        fixed_size = torch.tensor(fixed.image.shape, dtype=torch.float32, device=device)
        values = _look_up(fixed.image, torch.from_numpy(indices).to(device, torch.float32), fixed_size)
        self.rows = fixed_rows(values, bins)
        covered_ml = len(indices) * _volume_per_sample_ml(fixed, len(indices))
        counting = np.prod(moving.image.shape) if moving.region is None else torch.count_nonzero(moving.region)
        moving_ml = float(counting) * moving.grid.voxel_volume_ml
        self.reachable = min(1.0, moving_ml / covered_ml)

    def __call__(self, affine: np.ndarray, basis: np.ndarray | None = None,
                 parameters: np.ndarray | None = None) -> tuple[float, float, np.ndarray | None]:
        """Similarity under `affine` (fixed to moving, RAS mm) after a motion about the center.

        Returns:
            (value, overlap 0..1, gradient (P,) or None): the overlap is the fraction of the samples that lie in
            the moving field of view, of those that could.
        """
        with torch.set_grad_enabled(basis is not None):
            motion, tensor = None, None
            if basis is not None:
                tensor = torch.tensor(parameters, dtype=torch.float64, requires_grad=True)
                motion = motion_matrix(tensor, torch.from_numpy(basis))
            placed = self._place(affine, motion)
            there = placed.detach().to(self.points).requires_grad_(basis is not None)
            histogram, fraction = self._histogram(there)
            value = similarity(histogram, self.metric)
            found = [value.detach()[None], fraction.double()[None]]
            if basis is not None:
                found.append(torch.autograd.grad(value, there)[0].double().reshape(-1))
            numbers = torch.cat(found).cpu()  # all that the device says, in one wait
            gradient = None
            if tensor is not None:
                gradient = torch.autograd.grad(placed, tensor, numbers[2:].reshape(placed.shape))[0].numpy()
        return float(numbers[0]), min(1.0, float(numbers[1]) / self.reachable), gradient

    def values(self, affines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Similarity and overlap, (M,) each, under each of `affines` (M, 4, 4), many at a time."""
        values, overlaps = [], []
        at_once = max(1, _POINTS_AT_ONCE // len(self.points))
        for first in range(0, len(affines), at_once):
            part = affines[first:first + at_once]
            placed = torch.stack([self._place(affine, None) for affine in part]).to(self.points)
            indices = (self.points @ placed[:, :, :3].mT + placed[:, None, :, 3]).reshape(-1, 3)
            moving, weights = self._sample_moving(indices)
            rows = (torch.arange(len(part), device=indices.device)[:, None] * self.bins + self.rows).reshape(-1)
            histograms = joint_histogram(rows, moving, weights, self.bins, len(part) * self.bins)
            values += [similarity(one, self.metric) for one in histograms.split(self.bins)]
            overlaps.append((weights.reshape(len(part), -1).mean(dim=1) / self.reachable).clamp(max=1).double())
        found = torch.cat((torch.stack(values), *overlaps)).cpu().numpy()
        return found[:len(values)], found[len(values):]

    def cost(self, affine: np.ndarray, basis: np.ndarray):
        """The function of the parameters that an optimizer makes small; infinite where hardly any overlap is."""
        def function(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            value, overlap, gradient = self(affine, basis, parameters)
            if overlap < _LEAST_OVERLAP or not np.isfinite(gradient).all():
                return np.inf, np.zeros(len(parameters))
            return -value, -gradient
        return function

    def _histogram(self, placed):
        values, weights = self._sample_moving(self.points @ placed[:, :3].T + placed[:, 3])
        return joint_histogram(self.rows, values, weights, self.bins), weights.detach().mean()

    def _place(self, affine, motion):
        """The map (3, 4) from the points about the center to moving indices: linear part and offset, on the CPU."""
        to_index = np.linalg.inv(self.moving.grid.affine) @ affine
        linear = torch.from_numpy(to_index[:3, :3])
        offset = torch.from_numpy(to_index[:3, :3] @ self.center_mm + to_index[:3, 3])
        if motion is not None:
            offset = offset + linear @ motion[:3, 3]
            linear = linear @ motion[:3, :3]
        return torch.cat((linear, offset[:, None]), dim=1)

    def _sample_moving(self, indices):
        """The moving intensity at `indices` (N, 3), and how much each counts."""
        # A sample counts fully up to the outermost voxel centers and fades out within one voxel beyond.
        weights = (torch.minimum(indices, self.size - 1 - indices) + 1).clamp(0, 1).prod(dim=1)
        if self.region is not None:
            weights = weights * _look_up(self.region, indices, self.size)
        return _look_up(self.moving.image, indices, self.size), weights


def _look_up(image: torch.Tensor, indices: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """Linear interpolation of `image` (I, J, K), of this `size`, at continuous `indices` (N, 3); beyond it its edge."""
    coordinates = ((2 * indices + 1) / size - 1).flip(-1)
    # The CPU spreads a batch over its threads, not the points of one entry.
    parts = torch.get_num_threads() if image.device.type == "cpu" else 1
    padding = -len(coordinates) % parts
    coordinates = F.pad(coordinates, (0, 0, 0, padding)).reshape(parts, -1, 1, 1, 3)
    batch = image.expand(parts, 1, *image.shape)
    sampled = F.grid_sample(batch, coordinates, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.reshape(-1)[:len(indices)]


def _near_object(level: Level) -> torch.Tensor:
    """The region that counts, or else the object and its surroundings, (I, J, K) bool."""
    if level.region is not None:
        return level.region > 0
    mask = level.object_mask[None, None]
    for axis, spacing in enumerate(level.grid.spacing_mm):
        reach = int(np.ceil(_MARGIN_MM / spacing))
        window, pad = [1, 1, 1], [0, 0, 0]
        window[axis], pad[axis] = 2 * reach + 1, reach
        mask = F.max_pool3d(mask, window, stride=1, padding=pad)
    return mask[0, 0] > 0


def _sample_indices(level: Level, samples: int) -> np.ndarray:
    """Continuous voxel indices (N, 3) in and around the object."""
    coordinates = _near_object(level).flatten().nonzero()[:, 0]
    generator = torch.Generator().manual_seed(_SEED)
    if len(coordinates) > samples:
        chosen = torch.randperm(len(coordinates), generator=generator)[:samples].sort().values
        coordinates = coordinates[chosen]
    jitter = torch.rand(len(coordinates), 3, generator=generator, dtype=torch.float64) - 0.5
    indices = np.stack(np.unravel_index(coordinates.numpy(), level.image.shape), axis=-1) + jitter.numpy()
    return np.clip(indices, 0, np.array(level.image.shape) - 1)


def _volume_per_sample_ml(level: Level, count: int) -> float:
    return float(_near_object(level).sum()) * level.grid.voxel_volume_ml / count

"""Fewer voxels of a large volume: as many as a look at it needs. Without torch, for the application's own process."""

import numpy as np

from meddl.spatial.volume import Volume

LARGEST_MM = 2.0  # a third of a voxel of the coarse copy


def thin_out(volume: Volume, axes: tuple[int, ...] = (0, 1, 2)) -> Volume:
    """Every so many voxels of a volume along some of its axes, 2 mm apart or less, about its middle; a view."""
    spacing, size = volume.spacing_mm, np.array(volume.shape)
    steps = np.array([max(1, int(LARGEST_MM / spacing[axis] + 1e-6)) if axis in axes else 1 for axis in range(3)])
    if (steps == 1).all():
        return volume
    first = (size - 1) % steps // 2
    part = tuple(slice(int(start), None, int(step)) for start, step in zip(first, steps, strict=True))
    change = np.diag([*steps, 1.0])
    change[:3, 3] = first
    return Volume(volume.data[(slice(None), *part)], volume.affine @ change)

"""Where torch's `grid_sample` takes its values along one axis, to the last bit, as MONAI asks it to.

Between two grids of which one has voxels twice as large, every second voxel of the finer one lies exactly between two
others, and rounding decides which is nearest; a voxel that is exactly zero stays so or not. To give MONAI's labels
there, the same numbers must be rounded. For turned volumes they depend on the other axes too, by less than a
thousandth of a voxel; that is left out.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F


@dataclass(frozen=True, eq=False)
class Sampling:
    """One change of the grid.

    Attributes:
        before, after: affine and shape of the image.
        single: whether places were computed with float32 instead of float64.
    """

    before: tuple[np.ndarray, tuple[int, int, int]]
    after: tuple[np.ndarray, tuple[int, int, int]]
    single: bool = False

    def forward_coordinates(self, axis: int) -> torch.Tensor:
        """Continuous index into the image before, for each voxel after, along an axis; float64."""
        return _coordinates(self.before, self.after, axis, self.single)

    def backward_coordinates(self, axis: int) -> torch.Tensor:
        """Continuous index into the image after, for each voxel before, along an axis; float64."""
        return _coordinates(self.after, self.before, axis, self.single)


def _coordinates(source, target, axis: int, single: bool) -> torch.Tensor:
    """Indices into `source` of the voxels of `target`, held within it."""
    from monai.networks import to_norm_affine

    dtype = torch.float32 if single else torch.float64
    matrix = np.linalg.solve(source[0], target[0])
    size, count = int(source[1][axis]), int(target[1][axis])
    along = torch.tensor([[[matrix[axis, axis], matrix[axis, 3]], [0, 1]]], dtype=dtype)
    normal = to_norm_affine(along, src_size=[size], dst_size=[count], align_corners=False, zero_centered=False)
    theta = torch.zeros(1, 3, 4, dtype=dtype)
    theta[0, 2, 2:] = normal[0, 0]
    grid = F.affine_grid(theta, [1, 1, count, 1, 1], align_corners=False)[0, :, 0, 0, 2]
    return (((grid + 1) * size - 1) / 2).clamp(0, size - 1).double()

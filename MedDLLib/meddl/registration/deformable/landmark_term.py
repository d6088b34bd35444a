"""The landmark term of a deformation: steps that move fixed landmarks onto their moving ones."""

import numpy as np
import torch

from meddl.registration.images.warped_image import sample
from meddl.spatial.grid import Grid


class LandmarkTerm:
    """Changes the steps of an optimization so that fixed landmarks move onto their moving ones.

    Near a landmark the step goes toward its counterpart, far from all of them it is the step of the metric; between,
    the weight is a Gaussian of the distance.

    Args:
        fixed_mm, moving_mm: (N, 3), pairs of points, RAS mm.
        affine: 4x4, fixed to moving, RAS mm: the displacement is applied before it.
        weight: 0 to 1: of the landmark term in the step at a landmark; 1 ignores the images there.
        sigma_mm: standard deviation of the Gaussian.
        grid: the fixed grid.
        like: a tensor whose device and type is used.
    """

    def __init__(self, fixed_mm: np.ndarray, moving_mm: np.ndarray, affine: np.ndarray, weight: float, sigma_mm: float,
                 grid: Grid, like: torch.Tensor):
        self.weight = weight
        back = np.linalg.inv(affine)
        here = grid.indices(fixed_mm)
        self.target = torch.from_numpy((grid.indices(moving_mm @ back[:3, :3].T + back[:3, 3]) - here).T).to(like)
        size = np.array(grid.shape)
        self.coordinates = torch.from_numpy(((2 * here + 1) / size - 1).T).to(like)[:, None, None]
        self.spacing = like.new_tensor(grid.spacing_mm)[:, None]
        self.along = [torch.from_numpy(np.exp(-0.5 * ((np.arange(n)[None] - at[:, None]) * spacing / sigma_mm) ** 2))
                      .to(like) for n, at, spacing in zip(grid.shape, here.T, grid.spacing_mm, strict=True)]
        self.presence = self._spread(torch.ones_like(self.target[:1]))

    def __call__(self, displacement: torch.Tensor, move: torch.Tensor, longest_mm: float) -> torch.Tensor:
        """The step (3, I, J, K), in voxels, that takes the place of `move`, which is overwritten.

        Args:
            displacement: where the refinement is, in voxels.
            longest_mm: no landmark asks for a longer step.
        """
        residual = self.target - sample(displacement, self.coordinates)[:, 0, 0]
        length = (residual * self.spacing).norm(dim=0)
        residual = residual * (longest_mm / length.clamp(min=longest_mm))
        move.mul_(1 - self.weight * self.presence.clamp(max=1))
        return move.add_(self._spread(residual).div_(self.presence.clamp(min=1)), alpha=self.weight)

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values (C, N) at the landmarks as Gaussians around them, added up: (C, I, J, K)."""
        along_i, along_j, along_k = self.along
        rows = (values[:, :, None] * along_i).transpose(1, 2).reshape(-1, values.shape[1])
        planes = (along_j[:, :, None] * along_k[:, None]).flatten(1)
        return (rows @ planes).view(len(values), along_i.shape[1], along_j.shape[1], along_k.shape[1])

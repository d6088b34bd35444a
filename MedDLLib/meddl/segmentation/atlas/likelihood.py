"""Posterior at the volume's own resolution: intensity likelihoods of its voxels with a prior on a coarser grid."""

from dataclasses import dataclass

import torch

from meddl.segmentation.atlas.mixture import to_bins


@dataclass(frozen=True)
class IntensityModel:
    """Class likelihoods of a volume's intensities, and the prior that they are combined with.

    Attributes:
        prior: (C, i, j, k) log-prior on the coarse grid, without the intensity term, up to a constant in each voxel.
        gain: (i, j, k) bias field correction: intensities are multiplied by it.
        likelihood: (C, BINS) log-probability of each bin in each class; see `mixture.to_bins`.
        image: (I, J, K) the volume on its own grid.
        floor, width: the intensity of `image` that is 0, and how far above it is 1, before the gain.
    """

    prior: torch.Tensor
    gain: torch.Tensor
    likelihood: torch.Tensor
    image: torch.Tensor
    floor: float
    width: float

    def channels(self) -> torch.Tensor:
        """Prior and gain, which are interpolated between coarse voxels, (C + 1, i, j, k)."""
        return torch.cat([self.prior, self.gain[None]])

    def scores(self, rows: torch.Tensor, intensities: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (N, C), up to a constant in each row, of voxels with interpolated `channels` (N, C + 1)."""
        flat = (intensities - self.floor).div_(self.width).mul_(rows[:, -1]).clamp_(0, 1)
        return rows[:, :-1] + self.likelihood.T[to_bins(flat)]

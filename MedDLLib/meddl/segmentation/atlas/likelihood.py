"""What a volume's own voxels tell beside a prior on a coarser grid: edges as fine as the volume shows them."""

from dataclasses import dataclass

import torch

from meddl.segmentation.atlas.mixture import to_bins


@dataclass(frozen=True)
class Evidence:
    """A prior that is smooth between coarse voxels, and how likely each intensity is in each class.

    Attributes:
        prior: (C, i, j, k) log-probabilities on the coarse grid without the intensities' say, up to a constant in each
            voxel.
        gain: (i, j, k) by which intensities are multiplied to take the bias out.
        likelihood: (C, BINS) log-probability of each bin in each class; see `mixture.to_bins`.
        image: (I, J, K) the volume on its own grid.
        floor, width: intensities of `image` that are 0, and how far above are 1, before the gain.
    """

    prior: torch.Tensor
    gain: torch.Tensor
    likelihood: torch.Tensor
    image: torch.Tensor
    floor: float
    width: float

    def channels(self) -> torch.Tensor:
        """What is interpolated between coarse voxels, (C + 1, i, j, k)."""
        return torch.cat([self.prior, self.gain[None]])

    def scores(self, rows: torch.Tensor, intensities: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (N, C), up to a constant in each row, of voxels with interpolated `channels` (N, C + 1)."""
        flat = (intensities - self.floor).div_(self.width).mul_(rows[:, -1]).clamp_(0, 1)
        return rows[:, :-1] + self.likelihood.T[to_bins(flat)]

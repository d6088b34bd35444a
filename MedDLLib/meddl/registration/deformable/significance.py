"""Significance of a displacement: where it explains more of the images' difference than it would explain of noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from meddl.registration.images.smoothing import AxisFilter, gaussian_filter, gaussian_matrix
from meddl.spatial.grid import Grid

_REGION_VOXELS = 6.0   # sigma of a region, of a level's spacing
_POOLED_VOXELS = 2.0   # sigma of a region where it is measured
_FAR = 1e-9            # of the largest contrast: where a region has less, nothing is significant
_BLUR_VOXELS = 0.75    # more than interpolation between two voxels, which amounts to 0.5
_SLOPE = 0.3           # by which a displacement changes at most from one voxel to the next where it is faded out


@dataclass(frozen=True)
class Significance:
    """The rule that a displacement is kept by.

    In each region the images differ by so much under the displacement, and by so much without: under none, under the
    opposite one, with one of the images blurred. The fraction by which it leaves less than all others is about 0.1
    where an optimizer has fitted noise, whatever its strength, and more where it has found anatomy. The others stand
    for what interpolation alone does: it makes noisy images less different, and a sharp image blurred.

    Attributes:
        fractions: up to the first a displacement is dropped, from the second on it is kept.
        floor: a difference that is none, as a fraction of the contrast.
        blurs_alike: where it leaves less, a blurred image is compared with the same blurred image under the
            displacement, so that one volume may be sharper than the other; otherwise always with the image as it is
            under the displacement.
    """

    fractions: tuple[float, float]
    floor: float
    blurs_alike: bool

    def keep(self, stage, displacement: torch.Tensor) -> torch.Tensor:
        """The displacement (3, I, J, K), or velocity, times 0 to 1 by what the images of `stage` say for it, in place.

        `stage`: a `diffeomorphic.Stage`, whose weights are renewed for the displacement, and whose displacement
        changes.
        """
        if not bool(displacement.any()):
            return displacement
        regions = _Regions(stage.warped.grid, stage.spacing_mm, displacement, stage.warped.pause)
        weights = []
        for field in (None, displacement):
            stage.apply_field(field)
            stage.refresh_weights()
            weights.append(stage.contrast())
        weight = torch.minimum(*weights, out=weights[0])  # what is seen with the displacement and without
        del weights
        contrast = regions.sums(weight)
        grid = stage.warped.grid
        blur = gaussian_filter(grid.shape, grid.spacing_mm, _BLUR_VOXELS * grid.spacing_mm, displacement,
                               stage.warped.pause)

        def remainder(*view) -> Any:  # None where the metric has no blurred images
            seen = stage.difference(*view)
            return None if seen is None else regions.sums(seen.mul_(weight))

        after = remainder()
        blurred = [(blur, "fixed"), (blur, "moving")]
        afters = [torch.minimum(remainder(*view), after) if self.blurs_alike else after for view in blurred]
        stage.apply_field(None)
        pairs = [(remainder(), after), *zip((remainder(*view) for view in blurred), afters)]
        stage.apply_field(displacement.neg_())
        pairs.append((remainder(), after))
        displacement.neg_()
        fraction = torch.full_like(contrast, 1.0)
        for before, after in pairs:
            if before is not None:
                gain = (before - after).div_(before.add_(contrast, alpha=self.floor).add_(_FAR * contrast.max()))
                torch.minimum(fraction, gain, out=fraction)
        low, high = self.fractions
        fraction.sub_(low).div_(high - low).clamp_(0, 1)
        return displacement.mul_(regions.spread(fraction, displacement))


class _Regions:
    """Sums over Gaussian regions around the voxels of a grid, on blocks of its voxels."""

    def __init__(self, grid: Grid, spacing_mm: float, like: torch.Tensor, pause: Callable[[], None]):
        sigmas = _REGION_VOXELS * spacing_mm / grid.spacing_mm
        # Blocks of an odd size lie alike about the center, whichever way an axis points: ends are repeated.
        self.blocks = tuple(int(n) - (int(n) % 2 == 0) for n in np.maximum(1, sigmas / _POOLED_VOXELS))
        self.shape = grid.shape
        ends = [(-n % b + b * (-n % b % 2)) // 2 for n, b in zip(self.shape, self.blocks)]
        self.padding = [end for end in ends[::-1] for _ in range(2)]
        self.inner = tuple(slice(end, end + n) for n, end in zip(self.shape, ends))
        counts = [(n + 2 * end) // b for n, b, end in zip(self.shape, self.blocks, ends)]
        self.smooth, self.soften = (
            AxisFilter([gaussian_matrix(n, sigma / b) for n, b, sigma in zip(counts, self.blocks, widths)], like, pause)
            for widths in (sigmas, sigmas / _REGION_VOXELS * _POOLED_VOXELS))
        self.spacings = sigmas / _REGION_VOXELS  # of a level in voxels

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """Of `values` (I, J, K), on the blocks."""
        padded = F.pad(values[None, None], self.padding, mode="replicate")
        return self.smooth(F.avg_pool3d(padded, self.blocks)[0, 0].contiguous())

    def spread(self, weight: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
        """The weight by voxel, 0 to 1 on the blocks; it falls so slowly that `displacement` times it does not fold."""
        whole = F.interpolate(weight[None, None], scale_factor=self.blocks, mode="nearest")[0, 0]
        whole = whole[self.inner]
        squares = sum((part / spacing).square_() for part, spacing in zip(displacement, self.spacings.tolist()))
        longest = float(squares.sqrt_().mul_(whole).max())
        fall = _SLOPE * min(b / s for b, s in zip(self.blocks, self.spacings)) / max(longest, _SLOPE)
        for _ in range(int(np.ceil(1 / fall))):
            weight = torch.maximum(weight, F.max_pool3d(weight[None, None], 3, 1, 1)[0, 0] - fall)
        weight = self.soften(weight.contiguous())
        whole = F.interpolate(weight[None, None], scale_factor=self.blocks, mode="trilinear", align_corners=False)[0, 0]
        return whole[self.inner]

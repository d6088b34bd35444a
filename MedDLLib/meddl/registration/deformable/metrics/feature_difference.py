"""The squared difference of many-channel features of two images on one grid, with its slope."""

from collections.abc import Callable

import torch

from meddl.registration.images.smoothing import AxisFilter
from meddl.registration.images.warped_image import SLAB_VOXELS, WarpedImage, slope_of, with_neighbors

_FLAT_FRACTION = 0.04  # of the largest difference so far


class FeatureDifference:
    """How little features of two images differ: minus the mean over voxels of the squared difference.

    For features that do not depend on the modality, such as `mind.mind_ssc`. Worked out slab by slab, so that
    the warped features are never held as a whole.

    Args:
        fixed: (C, I, J, K) float tensor.
        weight: (I, J, K), how much each voxel counts; None: all alike.
        contrast: (I, J, K), how much contrast the image has around each voxel, for `contrast`; None: all alike.
        of_blurred: the features (C, I, J, K) of the blurred image of one side, "fixed" or "moving" without a
            displacement; None: unknown.
    """

    def __init__(self, fixed: torch.Tensor, weight: torch.Tensor | None = None, contrast: torch.Tensor | None = None,
                 of_blurred: Callable[[str], torch.Tensor] | None = None):
        self.fixed, self.image_contrast, self.of_blurred = fixed, contrast, of_blurred
        self.flat_slope: float | torch.Tensor = 0.0
        self.weigh(weight)

    def weigh(self, weight: torch.Tensor | None) -> None:
        """Count each voxel by `weight` (I, J, K) from now on."""
        weight = torch.ones_like(self.fixed[0]) if weight is None else weight
        self.normalized_weight = weight / weight.sum().clamp(min=1e-6)
        self.sound = with_neighbors(weight)

    def __call__(self, warped: WarpedImage) -> tuple[torch.Tensor, torch.Tensor]:
        """Value (no axes) and its slope (3, I, J, K), see `warped_image.Similarity`."""
        channels, count, *plane = self.fixed.shape
        slab = max(1, SLAB_VOXELS // (channels * plane[0] * plane[1]))
        slope = self.fixed.new_zeros((3, count, *plane))
        value = self.fixed.new_zeros(())
        for start in range(0, count, slab):
            stop = min(start + slab, count)
            low, high = max(0, start - 1), min(count, stop + 1)  # central differences look one voxel further
            moved = warped.rows(low, high)
            normalized_weight, sound, part = self.normalized_weight[low:high], self.sound[low:high], None
            inner = slice(start - low, stop - low)
            for one, other in zip(moved, self.fixed[:, low:high], strict=True):
                residual = one - other
                weighted = residual * normalized_weight
                value -= (weighted * residual)[inner].sum()
                channel = slope_of(weighted.mul_(sound), one)
                part = channel if part is None else part.add_(channel)
            slope[:, start:stop] = part[:, inner].mul_(-2)
        self.flat_slope = torch.maximum(_FLAT_FRACTION * value.abs(), torch.as_tensor(self.flat_slope).to(value))
        return value, slope

    def contrast(self) -> torch.Tensor:
        """What was given as such, weighted; see `Similarity`."""
        return self.normalized_weight.clone() if self.image_contrast is None else (
            self.normalized_weight * self.image_contrast)

    def difference(self, warped: WarpedImage, blur: AxisFilter | None = None, side: str = "") -> torch.Tensor | None:
        """The mean squared difference over the features; see `Similarity`. With a side, without a displacement."""
        blurred = self.of_blurred(side) if side and self.of_blurred is not None else None
        if side and blurred is None:
            return None
        fixed = self.fixed if blurred is None or side == "moving" else blurred
        channels, count, *plane = self.fixed.shape
        slab = max(1, SLAB_VOXELS // (channels * plane[0] * plane[1]))
        out = torch.empty_like(self.fixed[0])
        for start in range(0, count, slab):
            rows = slice(start, min(start + slab, count))
            moved = (warped.rows(rows.start, rows.stop) if blurred is None or side == "fixed"
                     else blurred[:, rows].float())
            torch.mean(moved.sub_(fixed[:, rows]).square_(), dim=0, out=out[rows])
        return out

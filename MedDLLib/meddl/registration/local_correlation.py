"""Local normalized cross-correlation of two images on one grid, with its gradient."""

import torch

from meddl.registration.smoothing import AxisFilter, box_matrix
from meddl.registration.warped_image import WarpedImage, slope_of


class LocalCorrelation:
    """How well two images agree in small windows, whatever the brightness and contrast of each window.

    The mean over voxels of the squared correlation coefficient of the window around each: 0 to 1. The square
    also counts reversed contrast. Method: B. B. Avants et al., "Symmetric diffeomorphic image registration
    with cross-correlation", Medical Image Analysis 12(1), 2008, doi:10.1016/j.media.2007.06.004. The gradient
    is exact, through both the window's mean and its variance. The fixed image's part is computed once.

    Args:
        fixed: (I, J, K) float tensor.
        radius: half the window along i, j, k in voxels: a window has 2 radius + 1. At the edge of the grid
            windows hold fewer voxels.
        weight: (I, J, K), how much the window around each voxel counts; None: all alike.
        floor: variance, as a share of the image's, below which a window counts as flat: it is added to variances and
            covariance, so that windows that are flat in both images agree, and aligned images have no slope.
    """

    def __init__(self, fixed: torch.Tensor, radius: tuple[int, int, int], weight: torch.Tensor | None = None,
                 floor: float = 1e-3):
        self.shape = tuple(fixed.shape)
        self.sums = AxisFilter([box_matrix(n, r) for n, r in zip(fixed.shape, radius, strict=True)], fixed)
        self.count = self.sums(torch.ones_like(fixed))
        self.floor = floor
        self.fixed = fixed - fixed.mean()
        self.mean = self.sums(self.fixed.clone()).div_(self.count)
        self.variance = self.sums(self.fixed.square()).div_(self.count).sub_(self.mean.square())
        self.scale = self.fixed.square().mean()
        self.variance.clamp_(min=0).add_(floor * self.scale + 1e-12)
        self.weigh(weight)

    def weigh(self, weight: torch.Tensor | None) -> None:
        """Count the window around each voxel by `weight` (I, J, K) from now on."""
        weight = torch.ones_like(self.fixed) if weight is None else weight
        self.share = weight / weight.sum().clamp(min=1e-6)

    def __call__(self, warped: WarpedImage) -> tuple[torch.Tensor, torch.Tensor]:
        """Value (no axes) and its slope (3, I, J, K), see `warped_image.Similarity`; the first channel counts."""
        image = warped.all()[0]
        warped.pause()
        value, gradient = self.value_and_gradient(image)
        warped.pause()
        return value, slope_of(gradient, image)

    def value_and_gradient(self, warped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Value (no axes) and its gradient (I, J, K) with respect to `warped` (I, J, K)."""
        warped = warped - warped.mean()
        mean, variance, covariance = self._moments(warped)
        slope = covariance / self.variance
        slope /= variance                       # c / (v_f v_w)
        value = covariance.mul_(slope)          # c^2 / (v_f v_w)
        falloff = torch.div(value, variance, out=variance)
        value = value.mul_(self.share).sum()
        # Moments are means over a window's voxels: sums over windows become the gradient by this share.
        share = self.share / self.count
        slope *= share
        falloff *= share
        rest = torch.mul(falloff, mean, out=mean).addcmul_(slope, self.mean, value=-1)
        gradient = self.sums(rest)
        gradient.addcmul_(self.sums(slope), self.fixed)
        gradient.addcmul_(self.sums(falloff), warped, value=-1)
        return value, gradient.mul_(2)

    def agreement(self, warped: torch.Tensor) -> float:
        """How far the correlations have one sign, -1 to 1: 1 where bright is bright in all windows of both images.

        The mean of the squared correlation with the correlation's sign, over the mean without.
        """
        _, variance, covariance = self._moments(warped - warped.mean())
        squared = covariance.square().div_(self.variance).div_(variance).mul_(self.share)
        return float((squared * covariance.sign()).sum() / squared.sum().clamp(min=1e-12))

    def _moments(self, warped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean, variance and covariance with the fixed image of each window of an image whose mean is 0."""
        mean = self.sums(warped.clone()).div_(self.count)
        scale = warped.square().mean()
        variance = self.sums(warped.square()).div_(self.count).addcmul_(mean, mean, value=-1)
        variance.clamp_(min=0).add_(self.floor * scale + 1e-12)
        covariance = self.sums(warped * self.fixed).div_(self.count).addcmul_(mean, self.mean, value=-1)
        return mean, variance, covariance.add_(self.floor * (scale * self.scale).sqrt())

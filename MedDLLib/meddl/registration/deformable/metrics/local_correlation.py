"""Local normalized cross-correlation of two images on one grid, with its gradient."""

from collections.abc import Callable
from copy import copy

import numpy as np
import torch

from meddl.registration.images.smoothing import AxisFilter, box_matrix
from meddl.registration.images.warped_image import WarpedImage, slope_of, with_neighbors

_CLEAR = 0.7      # a correlation that noise does not make
_CONTRAST = 10.0  # floors of variance: above, a window has contrast


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
        weight: (I, J, K), 0 to 1, how much each voxel counts; None: all alike. See `weigh`.
        floor: variance, as a fraction of the image's, below which a window counts as flat: it is added to variances and
            covariance, so that windows that are flat in both images agree, and aligned images have no slope.
        pause: called between parts of the work; may raise Cancelled.
    """

    flat_slope = 0.02

    def __init__(self, fixed: torch.Tensor, radius: tuple[int, int, int], weight: torch.Tensor | None = None,
                 floor: float = 1e-3, pause: Callable[[], None] = lambda: None):
        self.sums = AxisFilter([box_matrix(n, r) for n, r in zip(fixed.shape, radius, strict=True)], fixed,
                               pause=pause)
        # How many voxels a window holds, as a product of one factor an axis.
        self.full = [torch.from_numpy(box_matrix(n, r).sum(axis=1)).to(fixed).view(shape)
                     for n, r, shape in zip(fixed.shape, radius, ((-1, 1, 1), (-1, 1), (-1,)), strict=True)]
        self.floor = floor
        self.fixed = fixed - fixed.mean()
        self.scale = self.fixed.square().mean()
        self.weigh(weight)

    def weigh(self, weight: torch.Tensor | None) -> None:
        """Let each voxel count by `weight` (I, J, K) from now on: what has none changes neither value nor gradient.

        Means, variances and covariances of a window are weighted; a window counts as its central voxel does, and
        less where much of it does not count.
        """
        self.weight = torch.ones_like(self.fixed) if weight is None else weight
        self.sound = with_neighbors(self.weight)
        self.count = self.sums(self.weight.clone()).clamp_(min=1e-3)
        # What a window's mean over voxels counts by voxel, as a fraction of all windows.
        self.normalized_weight = self.weight.clone()
        for factor in self.full:
            self.normalized_weight /= factor
        self.normalized_weight /= (self.normalized_weight * self.count).sum().clamp(min=1e-6)
        weighted = self.weight * self.fixed
        self.mean = self.sums(weighted.clone()).div_(self.count)
        self.variance = self._variance(weighted.mul_(self.fixed), self.mean, self.scale)

    def __call__(self, warped: WarpedImage) -> tuple[torch.Tensor, torch.Tensor]:
        """Value (no axes) and its slope (3, I, J, K), see `warped_image.Similarity`; the first channel counts."""
        image = warped.all()[0]
        warped.pause()
        value, gradient = self._value_and_gradient(image.sub_(image.mean()))
        warped.pause()
        return value, slope_of(gradient.mul_(self.sound), image)

    def contrast(self) -> torch.Tensor:
        """The variance of each window of the fixed image, weighted; see `Similarity`."""
        return self.variance * self.normalized_weight * self.count

    def difference(self, warped: WarpedImage, blur: AxisFilter | None = None, side: str = "") -> torch.Tensor:
        """Of each window's variance what the moving image does not explain; see `Similarity`."""
        image, fixed = warped.all()[0], self
        if blur is not None and side == "moving":
            blur(image)
        elif blur is not None:
            fixed = copy(self)
            fixed.fixed = blur(self.fixed.clone())
            weighted = self.weight * fixed.fixed
            fixed.mean = self.sums(weighted.clone()).div_(self.count)
            fixed.variance = self._variance(weighted.mul_(fixed.fixed), fixed.mean, self.scale)
            del weighted
        _, variance, covariance = fixed._moments(image.sub_(image.mean()))
        return covariance.square_().div_(variance).div_(fixed.variance).neg_().add_(1).clamp_(min=0)

    def value_and_gradient(self, warped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Value (no axes) and its gradient (I, J, K) with respect to `warped` (I, J, K)."""
        return self._value_and_gradient(warped - warped.mean())

    def _value_and_gradient(self, warped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, variance, slope = self._moments(warped)
        slope.div_(self.variance).div_(variance)                            # c / (v_f v_w)
        value = variance.mul_(slope).mul_(slope).mul_(self.variance)        # c^2 / (v_f v_w)
        value = value.mul_(self.normalized_weight).mul_(self.count).sum()
        falloff = torch.mul(slope, slope, out=variance).mul_(self.variance)  # c^2 / (v_f v_w^2)
        # Moments are means over a window's voxels: sums over windows become the gradient by this fraction.
        slope *= self.normalized_weight
        falloff *= self.normalized_weight
        gradient = self.sums(mean.mul_(falloff).addcmul_(slope, self.mean, value=-1))
        gradient.addcmul_(self.sums(slope), self.fixed)
        gradient.addcmul_(self.sums(falloff), warped, value=-1)
        return value, gradient.mul_(self.weight).mul_(2)

    def agreement(self, warped: torch.Tensor) -> float:
        """How far the correlations have one sign, -1 to 1: 1 where bright is bright in all windows of both images.

        The mean of the squared correlation with the correlation's sign, over the mean without, windows weighted by
        the fixed image's contrast in them.
        """
        warped = warped - warped.mean()
        _, variance, covariance = self._moments(warped)
        covariance -= self.floor * (warped.square().mean() * self.scale).sqrt()  # flat windows have no say
        squared = covariance.square().div_(self.variance.sqrt()).div_(variance)
        squared = squared.mul_(self.normalized_weight).mul_(self.count)
        return float((squared * covariance.sign()).sum() / squared.sum().clamp(min=1e-12))

    def reversed_fraction(self, warped: torch.Tensor) -> float:
        """The fraction of windows in which bright is dark in the other image, of those that correlate clearly: 0 to 1.

        These are windows with contrast in both images and a correlation above 0.7 or below -0.7.
        """
        warped = warped - warped.mean()
        scale = warped.square().mean()
        _, variance, covariance = self._moments(warped)
        covariance -= self.floor * (scale * self.scale).sqrt()
        seen = (self.variance > _CONTRAST * self.floor * self.scale) & (variance > _CONTRAST * self.floor * scale)
        clear = seen & (self.weight > 0.5) & (covariance.square() > _CLEAR ** 2 * self.variance * variance)
        return float((clear & (covariance < 0)).sum() / clear.sum().clamp(min=1))

    def _moments(self, warped: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean, variance and covariance with the fixed image of each window of an image whose mean is about 0."""
        scale = warped.square().mean()
        weighted = self.weight * warped
        squares = weighted * warped
        covariance = self.sums(weighted * self.fixed).div_(self.count)
        mean = self.sums(weighted).div_(self.count)
        covariance.addcmul_(mean, self.mean, value=-1).add_(self.floor * (scale * self.scale).sqrt())
        return mean, self._variance(squares, mean, scale), covariance

    def _variance(self, squares: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """The variance of each window from weighted squares, which are overwritten, and its mean."""
        variance = self.sums(squares).div_(self.count).addcmul_(mean, mean, value=-1)
        return variance.clamp_(min=0).add_(self.floor * scale + 1e-12)


def window_radius(grid_spacing_mm, spacing_mm: float, voxels: int) -> tuple[int, int, int]:
    """A window's half width along each axis in voxels: `voxels` times `spacing_mm`, one voxel at least."""
    return tuple(int(n) for n in np.maximum(1, np.rint(voxels * spacing_mm / np.asarray(grid_spacing_mm))))

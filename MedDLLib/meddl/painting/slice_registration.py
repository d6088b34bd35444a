"""Registration of neighboring slices: how a contour moves from one slice to the next.

Method: G. P. Penney, J. A. Schnabel, D. Rueckert, M. A. Viergever, W. J. Niessen, "Registration-based interpolation",
IEEE Transactions on Medical Imaging 23(7), 2004, doi:10.1109/TMI.2004.828352; the registration is that of
J.-P. Thirion, "Image matching as a diffusion process: an analogy with Maxwell's demons", Medical Image Analysis 2(3),
1998, doi:10.1016/S1361-8415(98)80022-4.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from meddl.registration.images.smoothing import gaussian_matrix

_SHRINK = (4, 2, 1)
_ITERATIONS = 12        # on each level
_SMOOTHING = 1.5        # standard deviation, voxels of the level
_SLICES_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Warps:
    """Displacements between neighboring slices.

    Attributes:
        down: (slices - 1, 2, height, width), in voxels: slice k + 1 at x + down[k](x) looks like slice k at x.
        up: the same from slice k to slice k + 1.
    """

    down: torch.Tensor
    up: torch.Tensor


def register_slices(image: torch.Tensor) -> Warps:
    """Register each slice of (slices, height, width) to both of its neighbors; values are about 0 to 1."""
    smooth = _smooth_slices(image.contiguous(), 0.7)
    return Warps(_in_parts(smooth[:-1], smooth[1:]), _in_parts(smooth[1:], smooth[:-1]))


def warp(slices: torch.Tensor, displacement: torch.Tensor) -> torch.Tensor:
    """Slices (..., height, width) at x + displacement; beyond the edges their last value goes on.

    Args:
        slices: (count, channels, height, width).
        displacement: (count, 2, height, width), in voxels.
    """
    height, width = slices.shape[-2:]
    rows = torch.arange(height, dtype=slices.dtype)[:, None] + displacement[:, 0]
    columns = torch.arange(width, dtype=slices.dtype) + displacement[:, 1]
    grid = torch.stack([columns * (2 / max(width - 1, 1)) - 1, rows * (2 / max(height - 1, 1)) - 1], dim=-1)
    return F.grid_sample(slices, grid, align_corners=True, padding_mode="border")


def _in_parts(fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
    parts = zip(fixed.split(_SLICES_AT_ONCE), moving.split(_SLICES_AT_ONCE), strict=True)
    found = [_demons(one, other) for one, other in parts]
    return torch.cat(found) if found else fixed.new_zeros((0, 2, *fixed.shape[1:]))


def _demons(fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
    """(count, 2, height, width) with fixed(x) like moving(x + displacement)."""
    displacement = fixed.new_zeros((len(fixed), 2, 1, 1))
    for shrink in _SHRINK:
        if shrink > 1 and min(fixed.shape[1:]) < 8 * shrink:
            continue
        one, other = (F.avg_pool2d(image[:, None], shrink)[:, 0] for image in (fixed, moving))
        scale = torch.tensor([one.shape[1] / displacement.shape[2], one.shape[2] / displacement.shape[3]])
        displacement = F.interpolate(displacement, one.shape[1:], mode="bilinear") * scale[:, None, None]
        gradient = torch.stack([_difference(one, 1), _difference(one, 2)], dim=1)
        squared = gradient.square().sum(dim=1)
        for _ in range(_ITERATIONS):
            error = one - warp(other[:, None], displacement)[:, 0]
            step = error / (squared + 0.5 * error.square() + 1e-4)
            displacement = _smooth_slices(displacement + gradient * step[:, None], _SMOOTHING)
    return displacement.expand(-1, -1, *fixed.shape[1:]).contiguous()


def _difference(image: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.gradient(image, dim=axis)[0] if image.shape[axis] > 1 else torch.zeros_like(image)


def _smooth_slices(slices: torch.Tensor, sigma: float) -> torch.Tensor:
    """(..., height, width) smoothed within the slices."""
    rows, columns = (torch.from_numpy(gaussian_matrix(count, sigma)).to(slices) for count in slices.shape[-2:])
    return rows @ slices @ columns.T

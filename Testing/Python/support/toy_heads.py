"""Heads of a dozen balls in a large one, for tests of the atlas: each a random affine and a smooth warp of one plan."""

import numpy as np
import torch
import torch.nn.functional as F

from meddl.spatial.grid import Grid, grid_around

# class 0 background, 1 and 2 the left and right half of the large ball, then pairs of balls and two in the middle
MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 11, 12)
VALUES = (0, 2, 41, 10, 49, 11, 50, 12, 51, 17, 53, 14, 16)
INTENSITIES = (0.05, 0.8, 0.8, 0.5, 0.5, 0.35, 0.35, 0.6, 0.6, 0.45, 0.45, 0.15, 0.65)
BALLS = {3: ((-14, -10, 6), 9), 5: ((-18, 14, 10), 7), 7: ((-30, 4, 0), 9), 9: ((-26, -14, -18), 8),
         11: ((0, 4, 22), 7), 12: ((0, -22, -26), 10)}  # class: center and radius in mm, of pairs the left one
RADIUS_MM = 52.0
SHAPE = (48, 48, 48)
SPACING_MM = 2.5


def plan(points: torch.Tensor) -> torch.Tensor:
    """Class at points (..., 3) in mm of the undeformed head."""
    classes = torch.where(points[..., 0] < 0, 1, 2)
    classes[points.norm(dim=-1) > RADIUS_MM] = 0
    for number, (center, radius) in BALLS.items():
        for n in {number, MIRROR[number]}:
            middle = torch.tensor(center, dtype=torch.float32) * torch.tensor([1.0 if n == number else -1.0, 1.0, 1.0])
            classes[(points - middle).norm(dim=-1) < radius] = n
    return classes


def head(seed: int | None, spacing_mm: float = SPACING_MM, shape=SHAPE, warp_mm: float = 4.0
         ) -> tuple[torch.Tensor, Grid]:
    """Classes (I, J, K) of a random head and their grid; of the plan itself where `seed` is None."""
    grid = grid_around(np.zeros(3), shape, np.eye(3) * spacing_mm)
    axes = [torch.from_numpy(grid.points_mm(np.eye(3)[a] * np.arange(n)[:, None])[:, a]).float()
            for a, n in enumerate(shape)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    if seed is None:
        return plan(points), grid
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.eye(3) + 0.08 * torch.randn((3, 3), generator=generator)
    control = torch.randn((1, 3, 5, 5, 5), generator=generator) * warp_mm
    warp = F.interpolate(control, size=shape, mode="trilinear", align_corners=True)[0].movedim(0, -1)
    moved = points @ matrix.T + 5 * torch.randn(3, generator=generator)
    return plan(moved + warp), grid


def image_of(classes: torch.Tensor, noise: float = 0.04, seed: int = 0) -> torch.Tensor:
    """Noisy intensities of classes, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.tensor(INTENSITIES)[classes] + noise * torch.randn(classes.shape, generator=generator)).clamp(0, 1)


def unsure(classes: torch.Tensor, width: int = 5) -> torch.Tensor:
    """Log-probabilities (C, I, J, K) of a network that knows where everything is, but not its shape."""
    shares = F.one_hot(classes, len(MIRROR)).permute(3, 0, 1, 2).float()[None]
    for _ in range(2):
        shares = F.avg_pool3d(shares, width, 1, width // 2, count_include_pad=False)
    return (shares[0] + 1e-3).log().log_softmax(dim=0)


def mean_dice(found: torch.Tensor, truth: torch.Tensor) -> float:
    """Mean Dice of the classes but background."""
    return float(np.mean([2 * float(((found == n) & (truth == n)).sum())
                          / max(1.0, float((found == n).sum() + (truth == n).sum())) for n in range(1, len(MIRROR))]))

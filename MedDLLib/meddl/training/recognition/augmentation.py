"""What a pose, an acquisition or a header may do to a coarse volume: nods, cuts, thick slices, bias, noise,
turned axes.
"""

import math

import torch
import torch.nn.functional as F

from meddl.recognition.coarse import frame_object
from meddl.recognition.orientations import TURNS, turn_cubes
from meddl.synthesis.random import decide, uniform

_CUT, _LEAST = 0.3, 0.4      # probability that an axis is cut, and the least part of it that is left
_THICK = 0.3
_NODS, _LARGEST_PITCH_DEG = 0.7, 36.0  # probability; beyond 45 degrees other axes would fit better


def augment(image: torch.Tensor, rng: torch.Generator, pitch_deg: float | None = None) -> tuple[torch.Tensor, int]:
    """What the classifier sees of a volume (I, J, K) uint8, and how it is turned, a row of `TURNS`.

    Args:
        pitch_deg: of a head, as it is (`Pool.pitch`): most get another one, any up to 36 degrees alike; None: no head.
    """
    values, inside = image.float() / 255, torch.ones(image.shape, dtype=torch.bool)
    if pitch_deg is not None and decide(_NODS, rng):
        values = _nod(values, float(uniform((), -1, 1, rng)) * _LARGEST_PITCH_DEG - pitch_deg)
    for axis in range(3):
        if decide(_CUT, rng):
            _cut(inside, axis, rng)
        if decide(_THICK / 3, rng):
            values = _thick(values, axis, rng)
    values = values.clamp_min(1e-4) ** float(torch.exp(0.12 * torch.randn((), generator=rng)))
    values = values * _bias(image.shape[0], rng)
    values = values + uniform((), 0, 0.06, rng) * torch.randn(values.shape, generator=rng)
    turn = int(torch.randint(len(TURNS), (), generator=rng))
    cube = frame_object(values.clamp_min_(0) * inside, inside)
    if decide(0.5, rng):
        cube = cube.flip(1)  # left and right
    return turn_cubes(cube, turn), turn


def _nod(values: torch.Tensor, degrees: float) -> torch.Tensor:
    """A head turned with its face up by so many degrees; the edge beyond."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    inverse = torch.tensor([[[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0]]])  # x is S, y is A, z is R
    grid = F.affine_grid(inverse, [1, 1, *values.shape], align_corners=True)
    return F.grid_sample(values[None, None], grid, padding_mode="border", align_corners=True)[0, 0]


def _cut(inside: torch.Tensor, axis: int, rng: torch.Generator) -> None:
    """A smaller field of view along an axis."""
    n = inside.shape[axis]
    kept = max(4, int(n * uniform((), _LEAST, 1, rng)))
    start = int(torch.randint(n - kept + 1, (), generator=rng))
    inside.narrow(axis, 0, start).fill_(False)
    inside.narrow(axis, start + kept, n - start - kept).fill_(False)


def _thick(values: torch.Tensor, axis: int, rng: torch.Generator) -> torch.Tensor:
    """Two to three voxels along an axis in one, interpolated back."""
    size = list(values.shape)
    size[axis] = int(size[axis] / uniform((), 1.3, 3, rng))
    small = F.interpolate(values[None, None], size=size, mode="area")
    return F.interpolate(small, size=tuple(values.shape), mode="trilinear")[0, 0]


def _bias(size: int, rng: torch.Generator) -> torch.Tensor:
    points = uniform((), 0, 0.3, rng) * torch.randn((1, 1, 3, 3, 3), generator=rng)
    return F.interpolate(points, size=(size,) * 3, mode="trilinear", align_corners=True)[0, 0].exp()

"""What the network of a classifier sees of a volume: a cube about the object in it, axes R, A, S."""

from dataclasses import dataclass

import numpy as np
import torch

from meddl.models.cards import NetworkSpec
from meddl.recognition.coarse import coarse_copy, coarse_grid, frame_object, object_start
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

NETWORK = "network"  # in a card


@dataclass(frozen=True, eq=False)
class Cube:
    """A cube of a volume.

    Attributes:
        image: (2, N, N, N) float32: intensities in [0, 1], and 1 where the volume was imaged.
        grid: where its voxels lie in the world.
    """

    image: torch.Tensor
    grid: Grid


def cube_of(volume: Volume, spacing_mm: float, size: int) -> Cube:
    """The cube that a classifier with such voxels sees.

    Args:
        volume: (C, I, J, K); the first channel is looked at, values that are not finite count as its lowest.
        spacing_mm: of the cube's voxels.
        size: voxels along each of its axes.
    """
    image, inside = coarse_copy(volume, spacing_mm=spacing_mm, size=size)
    shift = np.eye(4)
    shift[:3, 3] = object_start(image, inside, size)
    grid = Grid((size, size, size), coarse_grid(volume.grid, spacing_mm, size).affine @ shift)
    return Cube(frame_object(image, inside, size), grid)


def cube_for(volume: Volume, spec: NetworkSpec) -> Cube:
    """The cube that the network of a card sees."""
    return cube_of(volume, spec.spacing_mm, spec.patch_voxels[0])

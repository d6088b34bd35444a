"""What the network of landmarks sees of a volume: voxels of one size along R, A and S over all of it."""

import torch

from meddl.models.cards import NetworkSpec
from meddl.models.recipes import Windows
from meddl.recognition.coarse import coarse_copy, coarse_grid, scale_intensities
from meddl.spatial.grid import Grid
from meddl.spatial.volume import Volume

NETWORK = "network"  # in a card
CHANNELS = 2
_ANY_SIZE = 1 << 20  # voxels along an axis: nothing is cut off


def image_of(volume: Volume, spacing_mm: float) -> tuple[torch.Tensor, Grid]:
    """The image (2, x, y, z) float32 that a network with such voxels sees, and where its voxels lie in the world.

    Its channels are the intensities, 0 to 1 from the 1st percentile to the 99.5th, and 1 where the volume was imaged.

    Args:
        volume: (C, I, J, K); the first channel is looked at, values that are not finite count as its lowest.
    """
    image, inside = coarse_copy(volume, spacing_mm=spacing_mm, size=_ANY_SIZE)
    scaled = scale_intensities(image, inside)[0] if inside.any() else image
    return torch.stack([scaled, inside.float()]), coarse_grid(volume.grid, spacing_mm, _ANY_SIZE)


def windows_of(spec: NetworkSpec) -> Windows:
    """How the network of a card sees an image larger than its patch."""
    return Windows(spec.patch_voxels)

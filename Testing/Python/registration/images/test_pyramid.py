"""The pyramid: a level as fine as its volume is the volume's, in memory as filters take it."""

import numpy as np
import torch

from meddl.registration.images.pyramid import Level, build_pyramid, level_grids, whole_counts
from meddl.spatial.grid import Grid


def test_levels_are_contiguous_whatever_the_order_of_the_volume_in_memory():
    grid = Grid((8, 9, 10), np.diag([1.0, 1.0, 1.0, 1.0]))
    image = torch.rand(10, 9, 8).permute(2, 1, 0)
    made = build_pyramid(Level(image, grid, 1.0, (image > 0.5).float()), level_grids(grid, (2.0, 1.0)), whole_counts)
    assert [level.image.shape for level in made][-1] == (8, 9, 10)
    assert torch.equal(made[-1].image, image)
    assert all(part.is_contiguous() for level in made for part in (level.image, level.region))

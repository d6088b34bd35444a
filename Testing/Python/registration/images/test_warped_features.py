"""Many channels at once: the same as one by one."""

import numpy as np
import pytest
import torch

from meddl.registration.images.warped_features import WarpedFeatures
from meddl.registration.images.warped_image import WarpedImage
from meddl.spatial.grid import Grid


@pytest.mark.parametrize("shape", [(9, 11, 8), (1, 7, 5), (6, 2, 40)])
def test_it_samples_as_grid_sample_does_within_the_image_and_beyond(shape):
    rng = torch.Generator().manual_seed(1)
    moving = torch.randn((7, *shape), generator=rng)
    grid = Grid((12, 13, 30), np.eye(4))
    to_moving = np.array([[0.6, 0.1, 0, 0.4], [-0.05, 0.7, 0.02, -1.3], [0, 0.03, 0.4, 0.2], [0, 0, 0, 1]])
    plain, fast = (kind(moving, grid, to_moving) for kind in (WarpedImage, WarpedFeatures))
    torch.testing.assert_close(fast.all(), plain.all(), atol=1e-5, rtol=1e-5)
    plain.displacement = fast.displacement = 3 * torch.randn((3, *grid.shape), generator=rng)
    torch.testing.assert_close(fast.all(), plain.all(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fast.rows(3, 9), plain.all()[:, 3:9], atol=1e-5, rtol=1e-5)

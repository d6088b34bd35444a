"""What the network looks at: sampled where it is, averaged where it is coarse."""

import numpy as np
import pytest
import torch
from rotations import rotation

from meddl.segmentation.sampling_grids import covering, region, sample_region, working_directions
from meddl.spatial.grid import Grid, grid_around


def gaussian_on(grid, center, width):
    points = grid.points_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))
    return torch.from_numpy(np.exp(-((points - center) ** 2).sum(-1) / (2 * width**2)).astype(np.float32))


def center_of(image, grid):
    points = grid.points_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))
    weights = image.numpy()[..., None].astype(np.float64)
    return (points * weights).sum((0, 1, 2)) / weights.sum()


@pytest.mark.parametrize("spacing", [0.8, 2.0, 3.3])
@pytest.mark.parametrize("turn", [np.eye(3), rotation(30, 1) @ rotation(12, 0)])
def test_a_blob_stays_where_it_is(spacing, turn):
    source = grid_around(np.array([4.0, 2, -3]), (50, 44, 30), turn * np.array([1.0, 1.0, 1.6]))
    center = np.array([6.0, 0, -2])
    target = region(source, source.center_mm, (48, 48, 48), spacing)
    sampled = sample_region(gaussian_on(source, center, 4.0), source, target)
    np.testing.assert_allclose(center_of(sampled, target), center, atol=0.05)


def test_a_field_that_is_sampled_as_it_is_comes_back_unchanged():
    grid = Grid((9, 8, 7), np.diag([2, 2, 2, 1.0]))
    image = torch.rand(9, 8, 7)
    torch.testing.assert_close(sample_region(image, grid, grid), image)


def test_coarse_sampling_averages_noise():
    grid = Grid((64, 64, 64), np.eye(4))
    noise = torch.randn(64, 64, 64)
    coarse = sample_region(noise, grid, region(grid, grid.center_mm, (14, 14, 14), 4.0))
    assert coarse.std() < 0.2


def test_nothing_is_seen_outside_the_field_of_view():
    grid = Grid((10, 10, 10), np.eye(4))
    seen = sample_region(torch.ones(10, 10, 10), grid, region(grid, grid.center_mm, (20, 20, 20), 1.0))
    assert seen.sum() == 1000


def test_small_obliquity_follows_the_volume_and_large_the_world():
    near = grid_around(np.zeros(3), (9, 9, 9), rotation(10, 2))
    far = grid_around(np.zeros(3), (9, 9, 9), rotation(35, 2))
    np.testing.assert_allclose(working_directions(near), rotation(10, 2))
    np.testing.assert_allclose(working_directions(far), np.eye(3))


def test_the_covering_grid_covers():
    grid = grid_around(np.array([1.0, 2, 3]), (100, 30, 60), rotation(33, 0) * np.array([2.0, 3, 1]))
    cover = covering(grid, 4.0, (16, 16, 16))
    corners = grid.points_mm(np.array([[0, 0, 0], [99, 29, 59], [99, 0, 0], [0, 29, 0], [0, 0, 59], [99, 29, 0]]))
    indices = cover.indices(corners)
    assert (indices > -0.5).all()
    assert (indices < np.array(cover.shape) - 0.5).all()
    assert all(n % 8 == 0 for n in cover.shape)

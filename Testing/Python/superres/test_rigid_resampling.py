"""Rigid resampling by rotations in planes: it samples where it says."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from meddl.spatial.grid import Grid, grid_around
from meddl.superres.stacks.rigid_resampling import RigidResampling


def smooth(points: np.ndarray) -> np.ndarray:
    """A function of points in RAS mm with no detail below a few voxels."""
    return (np.exp(-np.square(points - (3, -2, 1)).sum(-1) / 60) + 0.5 * np.exp(-np.square(points - (-4, 5, -6)).sum(-1)
                                                                               / 50))


def points_of(grid: Grid) -> np.ndarray:
    return grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


@pytest.mark.parametrize("turn", [(0, 0, 0), (4, -7, 12), (90, 3, 0), (0, 180, 20), (40, 50, 60)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_values_are_those_at_the_transformed_points(turn, mirrored):
    source = grid_around((1.0, 2.0, -1.0), (40, 44, 48), np.diag([1.0, 1.1, 0.9]))
    oblique = Rotation.from_euler("xyz", (10, -5, 3), degrees=True).as_matrix()
    steps = oblique @ np.diag([-1.0 if mirrored else 1, 1, 1.2])
    target = grid_around((0.5, 1.0, 0.3), (22, 20, 18), steps[:, [2, 0, 1]])
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    transform[:3, 3] = (1.3, -0.7, 0.4)
    resampling = RigidResampling(source, target, transform)
    made = resampling(smooth(points_of(source)))
    wanted = points_of(target) @ transform[:3, :3].T + transform[:3, 3]
    index = source.indices(wanted)
    inside = ((index >= -0.5) & (index <= np.array(source.shape) - 0.5)).all(axis=-1)
    inner = ((index >= 3) & (index <= np.array(source.shape) - 4)).all(axis=-1)
    assert inner.sum() > 3000
    assert np.abs(made - smooth(wanted))[inner].max() < 0.01
    assert (resampling.covered == inside).mean() > 0.999


def test_voxels_that_coincide_are_kept():
    data = np.random.default_rng(1).standard_normal((7, 8, 9)).astype(np.float32)
    source = Grid((7, 8, 9), np.eye(4))
    affine = np.array([[0, 0, -1, 6], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    made = RigidResampling(source, Grid((8, 9, 7), affine), np.eye(4))(data)
    np.testing.assert_allclose(made, data[::-1].transpose(1, 2, 0), atol=1e-6)


def test_a_constant_stays_one_also_beyond_the_field_of_view():
    source, target = Grid((12, 12, 12), np.eye(4)), grid_around((5, 5, 5), (20, 20, 20), np.diag([1.0, 1, 1]))
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    np.testing.assert_allclose(RigidResampling(source, target, transform)(np.full((12, 12, 12), 3.0)), 3, atol=1e-5)

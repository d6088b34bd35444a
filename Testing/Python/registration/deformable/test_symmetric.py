"""A symmetric deformation: exchanging the volumes gives the inverse map, and the inverse is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from deformable_pairs import NEAR, QUICK, back, error_mm, in_steps, other_contrast, picture
from deformations import bend, box, places

from meddl.registration import register
from meddl.registration.deformable.diffeomorphic import compose, flow, inverse_near

CONFIG = replace(QUICK, symmetric=True)


def inner_points() -> np.ndarray:
    points = places(box(4.0)).reshape(-1, 3)
    return points[np.linalg.norm(points, axis=1) < 32]


@pytest.fixture(scope="module")
def pair():
    return picture(box(3.0)), picture(box((3.0, 2.5, 3.5)), back, seed=1)


@pytest.fixture(scope="module")
def there(pair):
    return register(*pair, CONFIG, initial=NEAR)


def test_a_known_warp_is_found(there):
    found, before = error_mm(there)
    assert found < 0.45 * before
    assert there.report["folding_percent"] == 0


def test_the_inverse_is_exact_but_for_what_lies_between_voxels(there):
    points = inner_points()
    inverse = there.invert()
    missed = np.linalg.norm(inverse.points(there.points(points)) - points, axis=1)
    assert missed.mean() < 0.02 and missed.max() < 0.08  # voxels of 3 mm; it falls with their square
    assert np.allclose(inverse.invert().points(points), there.points(points), atol=1e-3)
    voxels = there.inverse_displacement.grid.points_mm(np.argwhere(np.ones(there.inverse_displacement.shape)))
    inner = voxels[np.linalg.norm(voxels, axis=1) < 32]
    there_and_back = there.points(inverse.points(inner @ there.affine[:3, :3].T + there.affine[:3, 3]))
    assert np.linalg.norm(there_and_back - inner @ there.affine[:3, :3].T - there.affine[:3, 3], axis=1).max() < 0.005


def test_exchanged_volumes_give_the_inverse(pair, there):
    home = register(*pair[::-1], CONFIG, initial=np.linalg.inv(NEAR))
    points = inner_points()
    assert np.linalg.norm(home.points(there.points(points)) - points, axis=1).max() < 0.1
    assert home.grid.same_as(pair[1].grid) and home.moving_grid.same_as(pair[0].grid)


def test_modalities_may_differ():
    fixed, moving = picture(box(), None, in_steps), picture(box(), back, other_contrast, seed=1)
    result = register(fixed, moving, CONFIG, initial=NEAR)
    found, before = error_mm(result)
    assert result.report["deformable_metric"]["name"] == "mind"
    assert found < 0.9 * before


def test_the_flow_of_a_velocity_and_of_its_opposite_undo_each_other():
    grid = box(3.0)
    velocity = torch.from_numpy(bend(places(grid).reshape(-1, 3)).T.reshape(3, *grid.shape) / 3.0).float()
    ahead, behind = flow(velocity), flow(-velocity)
    inner = (slice(None), *(slice(4, -4) for _ in range(3)))
    assert compose(ahead, behind)[inner].abs().max() < 0.05
    assert compose(ahead, inverse_near(ahead, behind))[inner].abs().max() < 1e-3
    constant = torch.ones_like(velocity)
    assert torch.allclose(flow(constant), constant)

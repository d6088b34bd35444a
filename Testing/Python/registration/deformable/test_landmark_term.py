"""Landmarks pull steps toward their counterparts, and only near themselves."""

import numpy as np
import pytest
import torch

from meddl.registration.deformable.diffeomorphic import compose
from meddl.registration.deformable.landmark_term import LandmarkTerm
from meddl.registration.images.warped_image import sample
from meddl.spatial.grid import Grid

GRID = Grid((24, 20, 16), np.array([[0, 2.0, 0, 5], [-2.0, 0, 0, 40], [0, 0, 3.0, -8], [0, 0, 0, 1]]))
AFFINE = np.array([[1, 0.1, 0, 3], [-0.1, 1, 0, -2], [0, 0, 1.1, 4], [0, 0, 0, 1]])
HERE = GRID.points_mm(np.array([[6.3, 5.0, 4.2], [17.0, 14.5, 11.0]]))
SHIFT = np.array([[3.0, -2.0, 1.0], [-2.0, 0.0, 3.0]])
THERE = (HERE + SHIFT) @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def pull(weight=1.0) -> LandmarkTerm:
    return LandmarkTerm(HERE, THERE, AFFINE, weight, 6.0, GRID, torch.zeros((), dtype=torch.float64))


def test_steps_end_where_the_counterparts_are():
    field = torch.zeros(3, *GRID.shape, dtype=torch.float64)
    landmarks = pull()
    for _ in range(60):
        field = compose(field, landmarks(field, torch.zeros_like(field), 0.5))
    moved = sample(field, landmarks.coordinates)[:, 0, 0].T.numpy() @ GRID.affine[:3, :3].T
    np.testing.assert_allclose(moved, SHIFT, atol=0.1)


def test_no_step_is_longer_than_allowed():
    zero = torch.zeros(3, *GRID.shape, dtype=torch.float64)
    step = pull()(zero, zero.clone(), 0.5)
    longest = np.linalg.norm(np.einsum("ab,bijk->aijk", GRID.affine[:3, :3], step.numpy()), axis=0).max()
    assert 0.3 < longest <= 0.5 + 1e-9


def test_far_from_landmarks_and_without_weight_the_step_stays():
    zero = torch.zeros(3, *GRID.shape, dtype=torch.float64)
    given = torch.full_like(zero, 0.1)
    step = pull()(zero, given.clone(), 0.5)
    assert float((step[:, 23, 0, 0] - 0.1).abs().max()) < 1e-3
    assert float((step[:, 6, 5, 4] - 0.1).abs().max()) > 0.05
    assert torch.equal(pull(0.0)(zero, given.clone(), 0.5), given)


def test_landmarks_that_fit_hold_the_place():
    landmarks = LandmarkTerm(HERE, HERE @ AFFINE[:3, :3].T + AFFINE[:3, 3], AFFINE, 1.0, 6.0, GRID,
                             torch.zeros((), dtype=torch.float64))
    zero = torch.zeros(3, *GRID.shape, dtype=torch.float64)
    step = landmarks(zero, torch.full_like(zero, 0.1), 0.5)
    assert float(step[:, 17, 14, 11].abs().max()) < 0.01
    assert float(step[:, 23, 0, 0].min()) == pytest.approx(0.1, abs=1e-3)

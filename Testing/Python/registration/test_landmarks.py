"""Linear maps from pairs of landmarks."""

import numpy as np
import pytest
from registration_phantoms import rigid

from meddl.registration.landmarks import fit_landmarks


@pytest.mark.parametrize("transform", ["translation", "rigid", "similarity", "affine"])
def test_exact_landmarks_give_the_exact_map(transform):
    truth = {"translation": rigid(0, (1, 0, 0), (4, 5, 6)), "rigid": rigid(130, (1, 2, 3), (4, 5, 6)),
             "similarity": rigid(70, (1, 2, 3), (4, 5, 6)) @ np.diag([1.3, 1.3, 1.3, 1]),
             "affine": rigid(70, (1, 2, 3), (4, 5, 6)) @ np.diag([1.3, 0.9, 1.1, 1])}[transform]
    here = np.random.default_rng(0).uniform(-40, 40, (7, 3))
    there = here @ truth[:3, :3].T + truth[:3, 3]
    np.testing.assert_allclose(fit_landmarks(here, there, transform), truth, atol=1e-9)


def test_landmarks_that_cannot_fix_a_map_give_a_simpler_one():
    line = np.outer(np.arange(4.0), (1, 2, 3))
    truth = rigid(0, (1, 0, 0), (4, 5, 6))
    for points in (line[:1], line):
        np.testing.assert_allclose(fit_landmarks(points, points + truth[:3, 3], "affine"), truth, atol=1e-9)
    plane = np.random.default_rng(0).normal(size=(5, 3)) * (30, 30, 0)
    turned = rigid(40, (1, 2, 3), (1, 2, 3))
    found = fit_landmarks(plane, plane @ turned[:3, :3].T + turned[:3, 3], "affine")
    np.testing.assert_allclose(found, turned, atol=1e-9)  # rigid: no mirror image

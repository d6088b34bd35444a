"""Affines for tests."""

import itertools

import numpy as np

ALL_CODES = ["".join(p) for order in itertools.permutations(("RL", "AP", "SI"))
             for p in itertools.product(*order)]


def random_affine(seed, left_handed=False):
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if (np.linalg.det(rotation) < 0) != left_handed:
        rotation[:, 0] *= -1
    affine = np.eye(4)
    affine[:3, :3] = rotation * rng.uniform(0.3, 5, 3)
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    return affine

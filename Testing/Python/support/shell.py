"""Shell for tests."""

import numpy as np

from meddl.cli import main
from meddl.spatial.volume import Volume

AFFINE = np.array([[-3.0, 0, 0, 60], [0, 0, 3.0, -70], [0, 3.0, 0, -50], [0, 0, 0, 1]])


def blobs(shift_mm=(0, 0, 0), shape=(40, 34, 44), affine=AFFINE) -> Volume:
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    points = indices @ affine[:3, :3].T + affine[:3, 3] - np.asarray(shift_mm)
    rng = np.random.default_rng(3)
    value = 300 * (np.linalg.norm(points / (50, 55, 42), axis=-1) < 1)
    for _ in range(8):
        value = value + 500 * np.exp(-((points - rng.uniform(-30, 30, 3)) ** 2).sum(-1) / (2 * rng.uniform(6, 12) ** 2))
    return Volume.scalar(value.astype(np.int16), affine)


def run(*words) -> int:
    return main([str(word) for word in words])

"""Small volumes to be registered many at a time."""

from pathlib import Path

import numpy as np
from registration_phantoms import box, tissue

import meddl
from meddl.core.config import RegisterConfig
from meddl.spatial.volume import Volume

QUICK = RegisterConfig(transform_type="translation", initialization="given", levels_mm=(10.0,), samples=2000,
                       iterations=10, estimate_quality=False)


def phantom(shift_mm=(0.0, 0.0, 0.0)) -> Volume:
    """A head of 10 mm voxels, moved by `shift_mm`."""
    grid = box(10.0, (18, 20, 16))
    indices = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return Volume.scalar((1000 * tissue(grid.points_mm(indices) - np.asarray(shift_mm))).astype(np.int16), grid.affine)


def put_head(path: Path, shift_mm=(0.0, 0.0, 0.0)) -> Path:
    """The head in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meddl.save(phantom(shift_mm), path)
    return path


def shift_of(transform: Path) -> np.ndarray:
    """Where a transform takes the origin, mm."""
    return meddl.load_transform(transform).points(np.zeros((1, 3)))[0]

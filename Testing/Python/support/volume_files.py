"""Volumes and grids for tests of files."""

import numpy as np

from meddl.spatial.volume import Volume

FORMATS = [".nii.gz", ".nii", ".nrrd", ".mha"]


def rotation(*degrees):
    x, y, z = np.radians(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return rz @ ry @ rx


def affine_from(directions, spacing=(0.8, 1.1, 2.5), origin=(-12.5, 31.25, 7.0)):
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing)
    affine[:3, 3] = origin
    return affine


AFFINES = {
    "straight": affine_from(np.eye(3)),
    "oblique": affine_from(rotation(10, -20, 35)),
    "left-handed": affine_from(np.diag([-1.0, 1.0, 1.0])),
    "oblique left-handed": affine_from(rotation(-15, 5, 80) @ np.diag([1.0, 1.0, -1.0])),
}


def volume_of(dtype=np.float32, shape=(5, 6, 7), affine=None, channels=1):
    values = np.arange(channels * np.prod(shape)) % 251
    return Volume(values.astype(dtype).reshape(channels, *shape), AFFINES["oblique"] if affine is None else affine)

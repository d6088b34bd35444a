"""What several stacks are expected to take, and how many bytes."""

from dataclasses import replace

import numpy as np
import pytest

import meddl
from meddl.superres.run_estimate import expected_super_resolution
from meddl.superres.stacks.run_estimate import expected_stacks

CUBIC = meddl.SuperResolveConfig(method="cubic")


def thick(axis: int, size: int = 96) -> meddl.Grid:
    """A grid over (size mm)^3, voxels of 1 mm and slices of 4 mm."""
    spacing = np.ones(3)
    spacing[axis] = 4
    return meddl.Grid(tuple((size / spacing).astype(int)), np.diag([*spacing, 1.0]))


def test_stacks_take_longer_than_one_and_more_stacks_longer_than_two():
    alone = expected_super_resolution(thick(2), CUBIC, device="cpu")
    two, three = (expected_stacks([thick(axis) for axis in axes], CUBIC, device="cpu") for axes in ((2, 1), (2, 1, 0)))
    assert alone.seconds < two.seconds < three.seconds
    assert alone.memory_bytes < two.memory_bytes < three.memory_bytes


@pytest.mark.parametrize("change", [{"target_spacing_mm": 0.5}, {"slice_motion": True}, {"method": "network"}])
def test_more_work_is_expected_to_take_longer(change):
    stacks = [thick(2), thick(1)]
    before, after = (expected_stacks(stacks, one, device="cpu").seconds for one in (CUBIC, replace(CUBIC, **change)))
    assert after > 1.5 * before

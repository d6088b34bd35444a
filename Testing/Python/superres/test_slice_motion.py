"""Motion between the slices of stacks is found and undone; where nothing moved, nothing changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from stack_phantoms import FACTOR, SIZE, SPACING, moving_slices, slice_motions, textured_ellipsoid, thick

import meddl
from meddl.core.errors import Cancelled, InputError
from meddl.superres.stacks.slice_motion import SliceMotion, SliceMotionModel
from meddl.superres.stacks.stack import StackModel, make_stack

CONFIG = meddl.SuperResolveConfig(method="cubic", noise_sigma=1.0)
CORRECTED = replace(CONFIG, slice_motion=True)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return textured_ellipsoid()


@pytest.fixture(scope="module")
def moving(truth) -> list[meddl.Volume]:
    """The first stack at rest, so that the truth's place is known."""
    return [thick(truth, 2), moving_slices(truth, 1, 3.0, 3.0), moving_slices(truth, 0, 3.0, 3.0)]


def error_of(volume: meddl.Volume, truth: np.ndarray) -> float:
    """Root mean square difference inside the object, at the truth's voxels."""
    first = np.rint(volume.grid.indices((0, 0, 0))).astype(int)
    part = volume.scalar_data[tuple(slice(a, a + SIZE) for a in first)]
    return float(np.sqrt(np.square(part - truth)[truth > 100].mean()))


def test_moved_slices_are_brought_back(truth, moving):
    plain, corrected = (meddl.super_resolve(moving, one, device="cpu") for one in (CONFIG, CORRECTED))
    gain = 20 * np.log10(error_of(plain.volume, truth) / error_of(corrected.volume, truth))
    assert gain > 2
    figures = [one["slice_motion_mm"] for one in corrected.report["stacks"]]
    assert all(one["corrected"] for one in figures)
    assert all(one["correlation"] > 0.8 for one in corrected.report["stacks"])
    assert min(one["median"] for one in figures[1:]) > 1.5
    assert figures[0]["median"] < 0.5 * figures[1]["median"]
    assert "slice motion" in corrected.report["seconds"]


@pytest.mark.parametrize("axis", [0, 2])
def test_a_known_motion_is_found(truth, axis):
    stack = make_stack(moving_slices(truth, axis, 3.0, 3.0), CONFIG, SPACING, "The stack", torch.device("cpu"), [])
    common = meddl.Grid((SIZE,) * 3, np.diag([SPACING] * 3 + [1.0]))
    model = SliceMotionModel(stack, StackModel(stack, common), stack.job.data, truth.astype(np.float32))
    found = model.register(SliceMotion.none(SIZE // FACTOR))
    turns, shifts = slice_motions(axis, 3.0, 3.0)
    inner = slice(2, -2)  # the outermost show little of the object
    errors = np.linalg.norm(found.shifts_mm - shifts, axis=1)[inner]
    angles = np.degrees((Rotation.from_matrix(found.rotations) * turns.inv()).magnitude())[inner]
    assert errors.mean() < 0.5 < 2 < np.linalg.norm(shifts, axis=1)[inner].mean()
    assert angles.mean() < 0.7 < 2 < np.degrees(turns.magnitude())[inner].mean()


def test_slices_at_rest_stay_as_they_are(truth):
    still = [thick(truth, axis) for axis in (2, 1, 0)]
    plain, corrected = (meddl.super_resolve(still, one, device="cpu") for one in (CONFIG, CORRECTED))
    np.testing.assert_array_equal(corrected.volume.data, plain.volume.data)
    assert not any(one["slice_motion_mm"]["corrected"] for one in corrected.report["stacks"])


def test_a_contrast_close_to_the_first_one_is_refused_once_slices_are_corrected(truth):
    random = np.random.default_rng(8)
    texture = gaussian_filter(random.standard_normal(truth.shape), 1.3)
    other = np.where(truth > 50, truth + 210 * texture / texture.std(), truth)  # correlates by about 0.7
    with pytest.raises(InputError, match=r"correlate by 0\.[67]\d .*0\.8 is the least"):
        meddl.super_resolve([thick(truth, 2), thick(other, 1)], CORRECTED, device="cpu")


def test_one_volume_has_no_slice_motion(truth):
    with pytest.raises(InputError, match="slice_motion is for several stacks"):
        meddl.super_resolve(thick(truth, 2), CORRECTED, device="cpu")


def test_the_correction_can_be_stopped(moving):
    def stop(fraction: float, message: str) -> None:
        if "motion of slices" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        meddl.super_resolve(moving, CORRECTED, device="cpu", on_progress=stop)

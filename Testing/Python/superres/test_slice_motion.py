"""Motion between the slices of stacks is found and undone; where nothing moved, nothing changes."""

from dataclasses import replace

import numpy as np
import pytest
from stack_phantoms import SIZE, moving_slices, textured_ellipsoid, thick

import meddl
from meddl.core.errors import Cancelled, InputError

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
    assert min(one["median"] for one in figures[1:]) > 1.5
    assert figures[0]["median"] < 0.5 * figures[1]["median"]
    assert "slice motion" in corrected.report["seconds"]


def test_slices_at_rest_stay_as_they_are(truth):
    still = [thick(truth, axis) for axis in (2, 1, 0)]
    plain, corrected = (meddl.super_resolve(still, one, device="cpu") for one in (CONFIG, CORRECTED))
    np.testing.assert_array_equal(corrected.volume.data, plain.volume.data)
    assert not any(one["slice_motion_mm"]["corrected"] for one in corrected.report["stacks"])


def test_one_volume_has_no_slice_motion(truth):
    with pytest.raises(InputError, match="slice_motion is for several stacks"):
        meddl.super_resolve(thick(truth, 2), CORRECTED, device="cpu")


def test_the_correction_can_be_stopped(moving):
    def stop(fraction: float, message: str) -> None:
        if "motion of slices" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        meddl.super_resolve(moving, CORRECTED, device="cpu", on_progress=stop)

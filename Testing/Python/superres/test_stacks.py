"""Several stacks of one subject as one volume, and what cannot be one."""

from dataclasses import replace

import numpy as np
import pytest
from stack_phantoms import SIZE, SPACING, textured_ellipsoid, thick, three_stacks

import meddl
from meddl.core.errors import Cancelled, InputError

CONFIG = meddl.SuperResolveConfig(method="back-projection", noise_sigma=1.0)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return textured_ellipsoid()


@pytest.fixture(scope="module")
def stacks(truth) -> list[meddl.Volume]:
    return three_stacks(truth)


def error_of(volume: meddl.Volume, truth: np.ndarray) -> float:
    """Root mean square difference inside the object, at the truth's voxels."""
    first = np.rint(volume.grid.indices((0, 0, 0))).astype(int)
    np.testing.assert_allclose(volume.grid.points_mm(first), 0, atol=1e-6)
    part = volume.scalar_data[tuple(slice(a, a + SIZE) for a in first)]
    return float(np.sqrt(np.square(part - truth)[truth > 100].mean()))


def test_all_stacks_are_closer_to_the_truth_than_the_best_one(truth, stacks):
    found = meddl.super_resolve(stacks, CONFIG, device="cpu")
    alone = error_of(meddl.super_resolve(stacks[0], CONFIG, device="cpu").volume, truth)
    assert 20 * np.log10(alone / error_of(found.volume, truth)) > 1.5
    np.testing.assert_allclose(found.volume.spacing_mm, SPACING)
    assert found.volume.data.dtype == np.float32
    each = found.report["stacks"]
    assert [one["axis"] for one in each] == [2, 1, 0]
    for one in each[1:]:
        assert one["rotation_deg"] == pytest.approx(2.5, abs=0.4)
        assert np.linalg.norm(one["translation_mm"]) == pytest.approx(2.37, abs=0.6)
        assert one["correlation"] > 0.8
    assert all(0 < one["residual"] < 60 for one in each)
    assert found.report["method"] == "back-projection"


def test_one_stack_in_a_list_is_a_volume_alone(stacks):
    one, alone = (meddl.super_resolve(given, CONFIG, device="cpu") for given in (stacks[:1], stacks[0]))
    np.testing.assert_array_equal(one.volume.data, alone.volume.data)
    assert "stacks" not in one.report


def test_another_contrast_is_refused(truth, stacks):
    other = thick(np.where(truth > 50, 1200 - truth, 0), 1)
    with pytest.raises(InputError, match="The second volume does not show what the first one shows"):
        meddl.super_resolve([stacks[0], other], CONFIG, device="cpu")


def test_stacks_apart_are_refused(stacks):
    affine = np.array(stacks[1].affine)
    affine[0, 3] += 500
    with pytest.raises(InputError, match="The second volume does not overlap The first volume"):
        meddl.super_resolve([stacks[0], meddl.Volume(stacks[1].data, affine)], CONFIG, device="cpu")


@pytest.mark.parametrize(("change", "words"), [
    (lambda data: np.where(data > 600, np.nan, data), "The second volume holds .* NaN"),
    (lambda data: np.zeros_like(data), "The second volume is constant"),
    (lambda data: np.concatenate([data, data]), "The second volume has 2 channels or frames"),
])
def test_a_volume_that_is_no_stack_is_named(stacks, change, words):
    with pytest.raises(InputError, match=words):
        meddl.super_resolve([stacks[0], meddl.Volume(change(stacks[1].data), stacks[1].affine)], CONFIG, device="cpu")


@pytest.mark.parametrize(("choice", "words"), [
    ({"method": "denoise"}, "Several stacks are combined with the methods"),
    ({"factor": 2.0}, "target_spacing_mm instead of factor"),
    ({"axis": 1}, "target_spacing_mm instead of axis"),
])
def test_what_is_for_one_volume_is_refused(stacks, choice, words):
    with pytest.raises(InputError, match=words):
        meddl.super_resolve(stacks, replace(CONFIG, **choice), device="cpu")


def test_lists_have_to_fit(stacks):
    with pytest.raises(InputError, match="no volume in the list"):
        meddl.super_resolve([], CONFIG)
    with pytest.raises(InputError, match="3 volumes and 2 configurations"):
        meddl.super_resolve(stacks, [CONFIG, CONFIG])
    with pytest.raises(InputError, match="several grids"):
        meddl.super_resolve(stacks, CONFIG, residual=True)


def test_a_run_can_be_stopped(stacks):
    def stop(fraction: float, message: str) -> None:
        if fraction > 0.6:
            raise Cancelled

    with pytest.raises(Cancelled):
        meddl.super_resolve(stacks, CONFIG, device="cpu", on_progress=stop)


def test_label_maps_are_warned_of_as_a_single_one_is(stacks):
    shape = stacks[0].shape
    places = (np.moveaxis(np.indices(shape), 0, -1) / (np.array(shape) - 1) - 0.5) * 2
    shells = 3 - np.digitize(np.linalg.norm(places, axis=-1), (0.3, 0.6, 0.9))
    labels = meddl.Volume.scalar(shells.astype(np.int16), stacks[0].affine)
    cubic = replace(CONFIG, method="cubic")
    single, = meddl.super_resolve(labels, cubic, device="cpu").report["warnings"]
    found = meddl.super_resolve([labels, labels], cubic, device="cpu").report["warnings"]
    assert {f"The first volume: {single}", f"The second volume: {single}"} <= set(found)

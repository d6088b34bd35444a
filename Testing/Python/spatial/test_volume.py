"""The data type: views, checks, pickling."""

import pickle

import numpy as np
import pytest
from affines import ALL_CODES, random_affine

from meddl.core.errors import GeometryError, InputError
from meddl.spatial.volume import Volume


def volume(seed=0, shape=(3, 4, 5)):
    return Volume.scalar(np.random.default_rng(seed).normal(size=shape), random_affine(seed))


@pytest.mark.parametrize("codes", ALL_CODES)
def test_reorienting_is_a_view_that_keeps_each_value_at_its_point(codes):
    original = volume(2)
    turned = original.reorient(codes)
    assert np.shares_memory(turned.data, original.data)
    for index in ((0, 0, 0), (2, 1, 4), (1, 3, 2)):
        back = np.rint(turned.grid.indices(original.grid.points_mm(index))).astype(int)
        assert turned.scalar_data[tuple(back)] == original.scalar_data[index]


def test_a_volume_survives_pickling_with_strides_of_any_kind():
    original = volume(1).reorient("SPL")
    copy = pickle.loads(pickle.dumps(original))
    np.testing.assert_array_equal(copy.data, original.data)
    np.testing.assert_array_equal(copy.affine, original.affine)


@pytest.mark.parametrize("data", [np.zeros((2, 2, 2)), np.zeros((1, 0, 2, 2)), np.zeros((1, 2, 2, 2), complex),
                                  np.full((1, 2, 2, 2), "a")])
def test_what_is_not_an_image_is_refused(data):
    with pytest.raises(InputError):
        Volume(data, np.eye(4))


def test_a_singular_affine_is_refused():
    with pytest.raises(GeometryError):
        Volume(np.zeros((1, 2, 2, 2)), np.diag([1, 0, 1, 1]))


def test_several_channels_are_not_a_scalar():
    with pytest.raises(InputError, match="has 2"):
        _ = Volume(np.zeros((2, 3, 3, 3)), np.eye(4)).scalar_data


def test_the_affine_cannot_be_changed_by_accident():
    with pytest.raises(ValueError):
        volume().affine[0, 0] = 5

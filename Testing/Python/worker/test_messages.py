"""Packing: any value survives, large arrays are copied once, in their own memory order."""

import gc
import itertools
import weakref
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddl.spatial.volume import Volume
from meddl.worker.blocks import MEMORY_FOLDER
from meddl.worker.messages import ALIGNMENT, INLINE_BYTES, pack, receive, send, unpack


def there_and_back(value):
    here, there = Pipe(duplex=True)
    packed, block = pack(value)
    with here, there:
        send(here, ("value", packed), block)
        (_, packed), received = receive(there)
        value = unpack(packed, received)
    if block is not None:
        block.close()
    return value, packed


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 14), min_size=1, max_size=4), st.randoms(use_true_random=False),
    st.sampled_from(["bool", "uint8", "int16", "float32", "float64", ">i2"]))
def test_arrays_of_any_axis_order_and_direction_keep_values_and_type(shape, random, dtype):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    axes = list(range(array.ndim))
    random.shuffle(axes)
    array = array.transpose(axes)[tuple(slice(None, None, random.choice([1, -1, 2])) for _ in axes)]
    returned, _ = there_and_back(array)
    np.testing.assert_array_equal(returned, array)
    assert returned.dtype == array.dtype


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_a_permuted_array_keeps_its_strides(axes):
    array = np.arange(20 * 21 * 22, dtype=np.float32).reshape(20, 21, 22).transpose(axes)
    returned, packed = there_and_back(array)
    assert returned.strides == array.strides
    assert packed.spans[1][1] == array.nbytes


def test_large_arrays_travel_beside_the_pickle_stream_and_aligned():
    volume = Volume(np.zeros((1, 50, 60, 70), np.float32, order="F"), np.eye(4))
    returned, packed = there_and_back({"volume": volume, "labels": np.ones((50, 60, 70), np.uint8)})
    assert packed.spans[0][1] < 2000
    assert [count for _, count in packed.spans if count > 2000] == [volume.data.nbytes, 50 * 60 * 70]
    assert all(start % ALIGNMENT == 0 for start, _ in packed.spans)
    assert returned["volume"].data.flags.f_contiguous


def test_packing_keeps_nothing_of_the_value_alive():
    array = np.ones(10000)
    gc.disable()
    try:
        there_and_back([array])
        gone = weakref.ref(array)
        del array
        assert gone() is None
    finally:
        gc.enable()


def test_the_mapping_goes_with_the_arrays_that_use_it():
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no /proc/self/maps to look at")
    before = maps.read_text().count(MEMORY_FOLDER)
    gc.disable()
    try:
        (first, second), _ = there_and_back((np.ones(10000), np.zeros(10000)))
        del first
        assert maps.read_text().count(MEMORY_FOLDER) == before + 1
        second += 1
        del second
        assert maps.read_text().count(MEMORY_FOLDER) == before
    finally:
        gc.enable()


def test_small_values_need_no_shared_memory_and_can_be_written():
    (first, second), packed = there_and_back((np.zeros(10), np.ones(3)))
    assert not packed.spans and sum(map(len, packed.parts)) <= INLINE_BYTES
    first[:] = second[0]
    assert first.sum() == 10


def test_a_read_only_array_stays_read_only():
    array = np.ones(10000)
    array.flags.writeable = False
    returned, _ = there_and_back(array)
    assert not returned.flags.writeable and returned.sum() == 10000

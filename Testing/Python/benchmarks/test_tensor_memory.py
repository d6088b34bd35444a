"""Bytes of tensors are counted once, until the last view is gone."""

import sys

import pytest
import torch
from places import BENCHMARKS


@pytest.fixture
def memory():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from tensor_memory import TensorMemory
    finally:
        sys.path.remove(str(BENCHMARKS))
    return TensorMemory("Testing/Python/benchmarks")


def test_known_tensors_give_a_known_peak_and_are_forgotten(memory):
    memory.stage = "first"
    one, two = torch.zeros(100), torch.zeros(50, dtype=torch.float64)
    memory.show(one)
    memory.show(two)
    assert memory.live == memory.peak == 800
    del two
    assert memory.live == 400
    memory.stage = "second"
    three = torch.zeros(10, dtype=torch.uint8)
    memory.show(three)
    assert (memory.live, memory.peak, memory.peaks) == (410, 800, {"first": 800, "second": 410})
    assert sorted(held.bytes for held in memory.at_peak) == [400, 400]


def test_views_are_not_counted_again_and_keep_the_whole_alive(memory):
    whole = torch.zeros(4, 6)
    view = whole[1:, ::2]
    for tensor in (whole, view, whole.T, view):
        memory.show(tensor)
    assert memory.live == 96
    del whole, tensor
    assert memory.live == 96
    del view
    assert memory.live == 0


def test_the_peak_names_what_was_alive_and_the_line_that_made_it(memory):
    held = [torch.zeros(count) for count in (3, 30)]
    for tensor in held:
        memory.show(tensor)
    largest = memory.at_peak[0]
    assert largest.bytes == 120 and largest.shape == (30,)
    assert largest.place.startswith("test_tensor_memory.py:") and "test_the_peak_names" in largest.place

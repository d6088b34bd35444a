"""The memory of this process: its peak is told, and freed blocks wait for the next who needs them."""

import sys

import numpy as np
import pytest

from meddl import memory
from meddl.memory import freed_memory_kept, peak_mb, reset_peak

resource = pytest.importorskip("resource")


def faults_of_blocks(count: int = 8) -> int:
    """Pages that the system had to bring while blocks of 40 MB came and went."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.ones(5_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(memory._glibc() is None, reason="glibc alone can be told to keep freed memory")
def test_freed_blocks_are_used_again_within_and_given_back_after():
    import ctypes

    ctypes.CDLL(None).mallopt(memory._MMAP_THRESHOLD, memory._USUAL_MMAP_BYTES)
    ctypes.CDLL(None).mallopt(memory._TRIM_THRESHOLD, memory._USUAL_TRIM_BYTES)
    usual = faults_of_blocks()
    with freed_memory_kept():
        faults_of_blocks(1)
        kept = faults_of_blocks()
    assert kept < usual / 4
    assert faults_of_blocks() > usual / 2


@pytest.mark.skipif(memory._glibc() is None, reason="glibc alone can be told to keep freed memory")
def test_very_large_blocks_go_back_at_once():
    reset_peak()
    before = peak_mb()
    with freed_memory_kept():
        for size in (20_000_000, 25_000_000, 30_000_000):  # in one heap, none would fit where an earlier one was
            np.ones(size)
    assert peak_mb() - before < 8 * 30e6 / (1 << 20) + 30


def test_an_error_within_changes_nothing():
    with pytest.raises(ValueError, match="within"), freed_memory_kept():
        raise ValueError("within")


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory._glibc() is None
    with freed_memory_kept():
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can start anew")
def test_the_peak_counts_what_was_held_since_the_reset():
    reset_peak()
    before = peak_mb()
    held = np.ones(10_000_000)
    del held
    assert 70 < peak_mb() - before < 90

"""The memory of this process: its peak is told, and freed blocks wait for the next who needs them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meddl.core import memory
from meddl.core.memory import peak_mb, reset_peak, reuse_freed_memory

pytest.importorskip("resource")

FRESH_PROCESS = """
import resource
import numpy as np
from meddl.core.memory import reuse_freed_memory

def faults_of_blocks(count=24):  # pages that the system had to bring while blocks of 12 MB came and went
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        np.ones(1_500_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with reuse_freed_memory():  # afterwards the thresholds are fixed
    pass
usual = faults_of_blocks()
with reuse_freed_memory():
    faults_of_blocks(1)
    kept = faults_of_blocks()
print(usual, kept, faults_of_blocks())
"""


@pytest.mark.skipif(memory._glibc() is None, reason="glibc alone can be told to keep freed memory")
def test_freed_blocks_are_used_again_within_and_given_back_after():
    told = subprocess.run([sys.executable, "-c", FRESH_PROCESS], capture_output=True, text=True, check=True,
                          env=os.environ | {"PYTHONPATH": str(Path(memory.__file__).parents[2])}).stdout
    usual, kept, after = (int(number) for number in told.split())
    assert kept < usual / 4
    assert after > usual / 2


@pytest.mark.skipif(memory._glibc() is None, reason="glibc alone can be told to keep freed memory")
def test_very_large_blocks_go_back_at_once():
    reset_peak()
    before = peak_mb()
    with reuse_freed_memory():
        for size in (20_000_000, 25_000_000, 30_000_000):  # in one heap, none would fit where an earlier one was
            np.ones(size)
    assert peak_mb() - before < 8 * 30e6 / (1 << 20) + 30


def test_an_error_within_changes_nothing():
    with pytest.raises(ValueError, match="within"), reuse_freed_memory():
        raise ValueError("within")


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory._glibc() is None
    with reuse_freed_memory():
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can start anew")
def test_the_peak_counts_what_was_held_since_the_reset():
    reset_peak()
    before = peak_mb()
    held = np.ones(10_000_000)
    del held
    assert 70 < peak_mb() - before < 90

"""Shared blocks: what one side writes the other reads, and nothing is left behind."""

import os
from pathlib import Path

import numpy as np
import pytest

from meddl.worker import blocks
from meddl.worker.blocks import Block, discard


@pytest.fixture
def name():
    name = f"meddltest{os.getpid():x}"
    yield name
    discard(name)


@pytest.mark.parametrize("kind", ["shared memory", "file"])
def test_what_one_mapping_writes_the_other_reads(name, kind, monkeypatch):
    if kind == "file":
        if blocks.WINDOWS:
            pytest.skip("on Windows the page file is the only way")
        monkeypatch.setattr(blocks, "_posixshmem", None)
    block = Block.create(name, 100)
    other = Block.attach(block.name, block.size)
    block.memory[3:6] = b"abc"
    assert bytes(other.memory[3:6]) == b"abc" and len(other.memory) == 100
    block.unlink()
    block.close()
    assert bytes(other.memory[3:6]) == b"abc"
    if not blocks.WINDOWS:
        with pytest.raises(OSError):
            Block.attach(block.name, block.size)


def test_closing_leaves_the_memory_to_the_arrays_that_use_it(name):
    block = Block.create(name, 80)
    block.unlink()
    array = np.frombuffer(block.memory, np.float64)
    block.close()
    array[:] = 2
    assert array.sum() == 20


def test_a_name_is_taken_once(name):
    if blocks.WINDOWS:
        pytest.skip("Windows opens an existing mapping")
    block = Block.create(name, 10)
    with pytest.raises(FileExistsError):
        blocks._open_shared(name, 10)
    block.unlink()
    discard(name)
    discard("meddl-there-is-no-such-block")


def test_pages_are_reserved_so_that_a_full_system_is_an_error_and_no_crash(name):
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm to measure")
    statistics = os.statvfs("/dev/shm")
    too_much = statistics.f_bavail * statistics.f_frsize + (1 << 30)
    with pytest.raises(OSError):
        blocks._open_shared(name, too_much)
    assert not Path("/dev/shm", name).exists()

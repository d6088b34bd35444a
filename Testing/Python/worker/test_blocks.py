"""Shared blocks: what one side writes the other reads, and there is no name that could be left behind."""

import os
import socket
import tempfile
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from meddl.core.errors import OutOfMemoryError
from meddl.worker import blocks
from meddl.worker.blocks import Block

posix = pytest.mark.skipif(blocks.WINDOWS, reason="on Windows the page file is the only way")


@pytest.fixture
def pipe():
    with (ends := Pipe(duplex=True))[0], ends[1]:
        yield ends


def hand_over(block, pipe):
    block.hand_over(pipe[0])
    return Block.receive(pipe[1], block.name, block.size)


def refuse(*_):
    raise OSError("not here")


def descriptors_of(file):
    """How many descriptors of this process are of this file; others come and go as their owners are collected."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += os.path.samestat(link.stat(), file)
    return count


def is_listed(block):
    """Whether one of the folders where blocks are made lists this one; other programs' files come and go there."""
    if block._descriptor is None:
        return False  # Windows: the page file
    file = os.fstat(block._descriptor)
    for folder in (Path(blocks.MEMORY_FOLDER), Path(tempfile.gettempdir())):
        for path in folder.glob("*"):
            with suppress(OSError):
                if os.path.samestat(path.lstat(), file):
                    return True
    return False


KINDS = {"memory": (), "shared object": ("_in_memory",), "unnamed file": ("_in_memory", "_shared_object"),
         "file": ("_in_memory", "_shared_object", "_without_name")}


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_mapping_writes_the_other_reads_and_no_folder_lists_it(kind, pipe, monkeypatch):
    if kind != "memory" and blocks.WINDOWS:
        pytest.skip("on Windows the page file is the only way")
    for name in KINDS[kind]:
        monkeypatch.setattr(blocks, name, refuse)
    block = Block.create(100)
    assert not is_listed(block)
    other = hand_over(block, pipe)
    block.memory[3:6] = b"abc"
    assert bytes(other.memory[3:6]) == b"abc" and len(other.memory) == 100
    if not blocks.WINDOWS:
        block.close()
    assert bytes(other.memory[3:6]) == b"abc"


def test_closing_leaves_the_memory_to_the_arrays_that_use_it():
    block = Block.create(80)
    array = np.frombuffer(block.memory, np.float64)
    block.close()
    array[:] = 2
    assert array.sum() == 20


@posix
def test_a_block_costs_no_descriptor_once_it_is_closed_and_a_received_one_only_that_of_its_mapping(pipe):
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc/self/fd to count")
    block = Block.create(100)
    file = os.fstat(block._descriptor)
    other = hand_over(block, pipe)
    assert descriptors_of(file) > 1
    block.close()
    assert descriptors_of(file) == 1
    other.close()
    assert descriptors_of(file) == 0


@posix
def test_a_timeout_that_a_library_sets_for_all_sockets_does_not_reach_the_pipe(pipe):
    socket.setdefaulttimeout(0.001)
    try:
        hand_over(Block.create(10), pipe)
    finally:
        socket.setdefaulttimeout(None)
    assert os.get_blocking(pipe[0].fileno()) and os.get_blocking(pipe[1].fileno())


@posix
def test_a_sender_that_ended_in_between_is_an_end_of_the_pipe(pipe):
    pipe[0].close()
    with pytest.raises(EOFError):
        Block.receive(pipe[1], "", 10)


def test_pages_are_reserved_so_that_a_full_system_is_an_error_and_no_crash(monkeypatch):
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm to measure")
    monkeypatch.setattr(blocks, "_in_temporary_folder", refuse)
    statistics = os.statvfs("/dev/shm")
    too_much = statistics.f_bavail * statistics.f_frsize + (1 << 30)
    with pytest.raises(OutOfMemoryError):
        Block.create(too_much)
    assert os.statvfs("/dev/shm").f_bavail > 0

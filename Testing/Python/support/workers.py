"""Workers for tests."""

import mmap
import time
from pathlib import Path

from places import SUPPORT

from meddl.worker import Worker
from meddl.worker.blocks import MEMORY_FOLDER

HERE = SUPPORT
ALLOWED = ("meddl.", "worker_targets.")


def make_worker(**options):
    return Worker(allowed=ALLOWED, paths=[HERE], **options)


def blocks_left(worker):
    """Shared blocks that the worker's process still maps, besides its state (Linux)."""
    mapped: list[str] = []
    wait_until(lambda: not _mapped(worker, mapped), 2)  # it lets go when it hears that the result was taken
    return mapped


def _mapped(worker, found):
    maps = Path(f"/proc/{worker.pid}/maps")
    text = maps.read_text() if worker.pid and maps.exists() else ""
    found[:] = [line for line in text.splitlines() if MEMORY_FOLDER in line and not _is_state(line)]
    return found


def _is_state(line):
    start, end = line.split()[0].split("-")
    return int(end, 16) - int(start, 16) == mmap.PAGESIZE


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False

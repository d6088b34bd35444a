"""Workers for tests."""

import tempfile
import time
from pathlib import Path

from places import SUPPORT

from meddl.worker import Worker

HERE = SUPPORT
ALLOWED = ("meddl.", "worker_targets.")


def make_worker(**options):
    return Worker(allowed=ALLOWED, paths=[HERE], **options)


def blocks_left(worker):
    """Shared blocks of this worker that still have a name."""
    folders = [Path("/dev/shm"), Path(tempfile.gettempdir())]
    return [path for folder in folders if folder.is_dir() for path in folder.glob(worker._prefix + "*")]


def wait_until(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False

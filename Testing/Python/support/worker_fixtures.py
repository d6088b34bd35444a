"""Workers for tests, and whether their processes live."""

import os
from pathlib import Path

import pytest
from workers import make_worker, wait_until

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and /dev/shm")


@pytest.fixture(scope="module")
def shared():
    """One warm worker for the tests that do not harm it."""
    with make_worker() as worker:
        yield worker


@pytest.fixture
def fresh():
    with make_worker() as worker:
        yield worker


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def wait_running(job):
    assert wait_until(lambda: job.poll() == "running" and job.progress[1], 20), job

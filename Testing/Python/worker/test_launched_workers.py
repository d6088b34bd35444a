"""Workers behind a launcher, as PythonSlicer is one, and workers that run out of memory."""

import os
import signal
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from worker_fixtures import fresh, is_alive, posix, shared, wait_running  # noqa: F401
from workers import blocks_left, make_worker, wait_until

from meddl.core.errors import (
    Cancelled,
    OutOfMemoryError,
    WorkerError,
)


def test_a_python_that_cannot_be_run_is_a_clear_error(tmp_path):
    with make_worker(python=tmp_path / "no-python") as worker, pytest.raises(WorkerError, match="no-python"):
        worker.submit("worker_targets:count")


@posix
def test_a_process_that_ends_before_it_is_ready_tells_its_last_words(tmp_path):
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho no library here >&2\nexit 7\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with make_worker(python=script) as worker, pytest.raises(WorkerError, match="no library here") as caught:
        worker.call("worker_targets:echo", np.ones(10000))
    assert "7" in str(caught.value)
    assert not blocks_left(worker)


@pytest.fixture
def launcher(tmp_path):
    """Runs Python as a child and ends with EXIT_FAILURE whatever becomes of it, as Slicer's launcher does."""
    script = tmp_path / "launcher"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit 1\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


@pytest.fixture
def launched(launcher):
    with make_worker(python=launcher) as worker:
        yield worker


@posix
def test_through_a_launcher_the_worker_itself_is_killed(launched):
    job = launched.submit("worker_targets:deaf", 30)
    wait_running(job)
    pid = launched.pid
    assert pid != launched._process._popen.pid
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    assert wait_until(lambda: not is_alive(pid), 1)
    assert launched.call("worker_targets:count")[0] == 1


@posix
@pytest.mark.parametrize(
    ("how", "words"), [
        ("exit", "ended without a word while it used .* of .* GB of memory"),
        ("segfault", "crashed .segmentation fault, in string_at, __init__.py"),
        ("abort", "crashed .aborted, in die, worker_targets.py"),
        ("kill", "ended without a word while it used .*from outside")])
def test_behind_a_launcher_that_loses_exit_statuses_the_worker_tells_itself(launched, how, words):
    with pytest.raises(WorkerError, match=words) as caught:
        launched.call("worker_targets:die", how)
    assert "exit code" not in str(caught.value)
    assert "these are my last words" in caught.value.details
    assert launched.call("worker_targets:count")[0] == 1
    assert not blocks_left(launched)


@posix
@pytest.mark.parametrize("deaf", [True, False])
def test_killing_the_launcher_leaves_no_worker(launched, deaf):
    job = launched.submit("worker_targets:hold_gil" if deaf else "worker_targets:deaf", *([] if deaf else [30]))
    assert wait_until(lambda: job.poll() == "running", 20)
    pid = launched.pid
    os.kill(launched._process._popen.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        job.result(5)
    assert wait_until(lambda: not is_alive(pid), 1)


@posix
@pytest.mark.parametrize("which", ["fresh", "launched"])
def test_an_allocation_beyond_the_limit_is_out_of_memory_and_the_worker_lives(request, which):
    worker = request.getfixturevalue(which)
    pid = worker.call("worker_targets:count")[1]
    with pytest.raises(OutOfMemoryError, match="memory of the computer was not enough"):
        worker.call("worker_targets:allocate_beyond_limit", 4000)
    assert worker.call("worker_targets:count")[1] == pid


@pytest.fixture
def small_group():
    """A control group whose processes Linux kills beyond 200 MB; a function that moves a process into it."""
    folder = Path("/sys/fs/cgroup/memory") / f"meddl{os.getpid()}"
    limit = folder / "memory.limit_in_bytes"
    if not Path("/sys/fs/cgroup/memory").is_dir():
        folder = Path("/sys/fs/cgroup") / f"meddl{os.getpid()}"
        limit = folder / "memory.max"
    try:
        folder.mkdir()
        limit.write_text(str(200 << 20))
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"no control group can be made here ({error})")
    yield lambda pid: (folder / "cgroup.procs").write_text(str(pid))
    assert wait_until(lambda: not (folder / "cgroup.procs").read_text().split())
    folder.rmdir()


@posix
@pytest.mark.parametrize("which", ["fresh", "launched"])
def test_a_worker_that_the_system_kills_for_memory_says_so(request, small_group, which):
    worker = request.getfixturevalue(which)
    small_group(worker.call("worker_targets:count")[1])
    with pytest.raises(WorkerError, match="ended by the system in the stage 'Swelling' while it used 0.[12] of 0.2 GB "
                                          ".*: memory ran out") as caught:
        worker.call("worker_targets:swell", 2000)
    assert "exit code" not in str(caught.value)
    assert worker.call("worker_targets:count")[0] == 1

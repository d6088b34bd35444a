"""A worker's life: a start that hangs is ended, and whoever is killed, nothing is left."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from places import LIBRARY
from worker_kills import WAYS, kill_once
from workers import ALLOWED, HERE, make_worker, wait_until

from meddl.core.errors import Cancelled, WorkerError
from meddl.worker import process, vitals
from meddl.worker.vitals import OtherProcess

posix = pytest.mark.skipif(os.name == "nt", reason="shell scripts and signals of POSIX")
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found through /proc")


@pytest.fixture
def hanging(tmp_path):
    """A Python that never comes up the first time, as behind a dead network drive; the path of its process id."""
    script, told = tmp_path / "python", tmp_path / "pid"
    script.write_text(f'#!/bin/sh\nif [ ! -e "{told}" ]; then echo $$ > "{told}"; sleep 600; exit 1; fi\n'
                      f'exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script, told


def process_in(place):
    assert wait_until(lambda: place.exists() and place.read_text(), 20)
    return OtherProcess(int(place.read_text()))


@posix
def test_a_start_that_hangs_is_ended_and_the_next_run_starts_another(hanging, monkeypatch):
    script, told = hanging
    with make_worker(python=script) as worker:
        monkeypatch.setattr(process, "START_S", 0.5)
        job = worker.submit("worker_targets:count")
        started = process_in(told)
        with pytest.raises(WorkerError, match=r"could not start with .* \(it was not there after 30 s"):
            job.result(20)
        assert wait_until(lambda: not started.alive)
        monkeypatch.setattr(process, "START_S", 60.0)
        assert worker.call("worker_targets:count")[0] == 1


@posix
def test_cancelling_a_start_that_hangs_ends_it_and_the_next_run_starts_another(hanging):
    script, told = hanging
    with make_worker(python=script) as worker:
        job = worker.submit("worker_targets:count")
        started = process_in(told)
        job.cancel()
        with pytest.raises(Cancelled):
            job.result(1)
        assert wait_until(lambda: not started.alive)
        assert worker.call("worker_targets:count")[0] == 1


FORKED = f"""
import os, sys, time
sys.path[:0] = [{str(LIBRARY)!r}]
from meddl.worker import Worker
worker = Worker(allowed={ALLOWED!r}, paths=[{str(HERE)!r}])
worker.call("worker_targets:count")
print(worker.pid, flush=True)
HOW
"""
FORKS = {"python": "if os.fork() == 0: os.close(1); time.sleep(60)",
         "c": "import ctypes\nif ctypes.CDLL(None).fork() == 0: os.close(1); time.sleep(60)"}


@posix
@pytest.mark.parametrize("how", FORKS)
def test_a_fork_of_the_caller_does_not_keep_the_worker_alive(how):
    if how == "c" and not Path("/proc").is_dir():
        pytest.skip("a fork that Python does not see is noticed through /proc")
    code = FORKED.replace("HOW", FORKS[how] + "\nelse: time.sleep(60)")
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        worker = OtherProcess(int(caller.stdout.readline()))
        time.sleep(0.2)
        assert worker.alive
        caller.kill()
        caller.wait()
        assert wait_until(lambda: not worker.alive, 10)
    finally:
        os.killpg(caller.pid, 9)
        caller.stdout.close()


@posix
def test_a_fork_leaves_the_callers_worker_alone():
    with make_worker() as worker:
        pid = worker.call("worker_targets:count")[1]
        child = os.fork()
        if child == 0:
            worker.close()
            os._exit(0 if worker.pid is None else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert worker.call("worker_targets:count") == (2, pid)


def test_a_process_that_has_ended_is_not_alive_nor_one_that_got_its_id(monkeypatch, tmp_path):
    assert OtherProcess(os.getpid()).alive
    ended = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    other = OtherProcess(ended.pid)
    ended.kill()
    if Path("/proc").is_dir():
        assert wait_until(lambda: not other.alive, 5)  # also before its parent has waited for it
    ended.wait()
    assert os.name == "nt" or not other.alive
    if Path("/proc").is_dir():
        own = OtherProcess(os.getpid())
        own._begun = "1"
        assert not own.alive
    monkeypatch.setattr(vitals, "_PROCESSES", tmp_path / "none")  # as on macOS
    assert OtherProcess(os.getpid()).alive
    assert os.name == "nt" or not OtherProcess(ended.pid).alive


@linux
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_whoever_is_killed(way):
    assert kill_once(way, random.uniform(0, 0.1)) == []


@linux
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_left_after_many_kills_at_random_moments():
    seed = int(time.strftime("%Y%m%d"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    assert [problem for number in range(48) for problem in kill_once(WAYS[number % 6], chance.uniform(0, 0.3))] == []

"""The worker process: what goes in comes out, and whatever happens to it, the caller lives and hears why."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from places import LIBRARY
from worker_fixtures import fresh, is_alive, posix, shared, wait_running  # noqa: F401
from workers import ALLOWED, HERE, blocks_left, make_worker, wait_until

from meddl.core.errors import (
    Cancelled,
    DependencyError,
    GeometryError,
    InputError,
    OutOfMemoryError,
    WorkerError,
)
from meddl.spatial.volume import Volume
from meddl.worker import Worker, blocks, process

# Cancel


def test_a_polite_computation_stops_within_a_second_and_the_process_stays_warm(shared):
    pid = shared.call("worker_targets:count")[1]
    job = shared.submit("worker_targets:steps", 1000, 0.05)
    wait_running(job)
    start = time.monotonic()
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    assert time.monotonic() - start < 1
    assert job.state == "cancelled"
    assert shared.call("worker_targets:count")[1] == pid


@pytest.mark.parametrize("target", ["deaf", "deaf_with_result", "hold_gil"])
def test_a_deaf_computation_is_killed_within_a_second_and_the_next_one_runs(fresh, target):
    job = fresh.submit(f"worker_targets:{target}", *([30] if target != "hold_gil" else []))
    waiting = fresh.submit("worker_targets:count")
    assert wait_until(lambda: job.poll() == "running" and (job.progress[1] or target == "hold_gil"), 20)
    pid = fresh.pid
    start = time.monotonic()
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    assert time.monotonic() - start < 1.2
    assert waiting.result(20)[1] != pid
    assert wait_until(lambda: not is_alive(pid))
    assert not blocks_left(fresh)


def test_a_cancelled_run_that_ends_by_itself_in_time_is_cancelled_all_the_same(shared):
    job = shared.submit("worker_targets:deaf_with_result", 0.3)
    wait_running(job)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    assert job.state == "cancelled"
    shared.call("worker_targets:count")
    assert not blocks_left(shared)


def test_a_queued_job_is_cancelled_at_once_and_the_running_one_goes_on(shared):
    first = shared.submit("worker_targets:steps", 5, 0.05)
    second = shared.submit("worker_targets:echo", np.ones(10000))
    second.cancel()
    assert second.state == "cancelled" and first.result(10) == 5
    assert not blocks_left(shared)


def test_cancelling_what_has_ended_changes_nothing(shared):
    job = shared.submit("worker_targets:count")
    job.result()
    job.cancel()
    assert job.state == "done" and job.result()[0] > 0


# Crashes


@posix
def test_a_worker_killed_in_mid_run_is_a_clear_error_and_the_next_run_works(fresh):
    job = fresh.submit("worker_targets:deaf", 30)
    wait_running(job)
    os.kill(fresh.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL.* in the stage 'deaf' while it used .* GB of memory"):
        job.result(5)
    assert job.state == "failed"
    assert fresh.call("worker_targets:count")[0] == 1
    assert not blocks_left(fresh)


@posix
@pytest.mark.parametrize(
    ("how", "words"), [
        ("exit", "exit code 3"), ("segfault", "crashed .segmentation fault, SIGSEGV, in string_at, __init__.py"),
        ("abort", "crashed .aborted, SIGABRT, in die, worker_targets.py"), ("kill", "SIGKILL")])
def test_a_crash_says_what_happened_and_keeps_the_last_words(fresh, how, words):
    with pytest.raises(WorkerError, match=words) as caught:
        fresh.call("worker_targets:die", how)
    assert "these are my last words" in caught.value.details
    if how == "segfault":
        assert "worker_targets.py" in caught.value.details
    assert fresh.call("worker_targets:count")[0] == 1


@posix
def test_a_worker_killed_while_idle_is_not_noticed_by_the_next_job(fresh):
    pid = fresh.call("worker_targets:count")[1]
    os.kill(pid, signal.SIGKILL)
    assert fresh.call("worker_targets:describe", np.ones(10000))[3] == 10000
    assert fresh.call("worker_targets:count")[1] != pid


@posix
def test_queued_jobs_survive_the_crash_of_the_one_before(fresh):
    crashing = fresh.submit("worker_targets:die", "exit")
    waiting = fresh.submit("worker_targets:describe", np.ones(10000))
    assert waiting.result(20)[3] == 10000
    with pytest.raises(WorkerError):
        crashing.result()


@posix
def test_a_result_that_was_finished_before_the_process_died_is_not_lost(fresh):
    job = fresh.submit("worker_targets:make", (60, 60, 60))
    wait = fresh._process
    assert wait_until(lambda: fresh.poll() or fresh._current is job, 20)
    assert wait_until(lambda: wait._has_message(), 10)
    time.sleep(0.3)
    os.kill(wait.pid, signal.SIGKILL)
    time.sleep(0.1)
    labels, _ = job.result(5)
    assert labels[5].min() == 7
    assert not blocks_left(fresh)


# Errors


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("input", InputError, "The volume is empty."),
        ("derived", GeometryError, "The affine is singular."),
        ("value", WorkerError, "ValueError: a plain error"),
        ("memory", OutOfMemoryError, "memory of the computer"),
        ("torch", OutOfMemoryError, "memory of the computer"),
        ("cuda", OutOfMemoryError, "memory of the GPU"),
        ("package", DependencyError, "a_package_that_is_not_there"),
        ("exit", WorkerError, "SystemExit"),
        ("unsendable", WorkerError, "result cannot be sent"),
    ])
def test_errors_come_back_as_what_they_are_with_the_traceback(shared, kind, error, words):
    pid = shared.call("worker_targets:count")[1]
    job = shared.submit("worker_targets:fail", kind)
    with pytest.raises(error, match=words) as caught:
        job.result(10)
    assert type(caught.value) is error
    assert "Traceback" in caught.value.details
    assert job.state == "failed"
    assert shared.call("worker_targets:count")[1] == pid


@pytest.mark.parametrize(
    "target",
    ["os:getcwd", "subprocess:run", "meddler:run", "worker_targets", "worker_targets:a.b", "meddl:", 3])
def test_targets_outside_the_allowed_packages_are_refused_at_once(shared, target):
    with pytest.raises(InputError):
        shared.submit(target)


@pytest.mark.parametrize("name", ["foreign", "nothing", "_calls"])
def test_the_worker_refuses_what_is_no_function_of_the_allowed_packages(shared, name):
    with pytest.raises(InputError):
        shared.call(f"worker_targets:{name}")


def test_by_default_only_meddl_runs():
    with Worker() as worker, pytest.raises(InputError, match="meddl"):
        worker.submit("worker_targets:count")


def test_arguments_that_cannot_be_sent_are_refused_at_once(shared):
    with pytest.raises(InputError, match="cannot go"):
        shared.submit("worker_targets:echo", lambda: None)


def test_result_waits_no_longer_than_it_may(shared):
    job = shared.submit("worker_targets:steps", 10, 0.05)
    with pytest.raises(TimeoutError):
        job.result(0.05)
    assert job.result() == 10


def test_the_peak_of_memory_is_told_for_each_run(shared):
    small = shared.submit("worker_targets:count")
    large = shared.submit("worker_targets:allocate", 200)
    small.result(), large.result()
    assert small.spent.peak_memory_mb > 5
    assert large.spent.peak_memory_mb > small.spent.peak_memory_mb + 150
    if Path("/proc/self/clear_refs").exists():
        again = shared.submit("worker_targets:count")
        again.result()
        assert again.spent.peak_memory_mb < large.spent.peak_memory_mb - 100


# The process and its surroundings


def test_the_worker_has_nothing_of_the_callers_program(fresh, monkeypatch):
    monkeypatch.setenv("QT_PLUGIN_PATH", "/somewhere")
    names, path, qt = fresh.call("worker_targets:modules")
    packages = {name.partition(".")[0] for name in names}
    assert not {"pytest", "slicer", "torch", "PySide6", "qt", "vtk"} & packages
    assert path[0] == str(LIBRARY) and not any(entry.endswith("worker") for entry in path)
    assert not qt


def test_the_worker_computes_in_the_precision_that_is_forced(bfloat16, fresh):
    assert fresh.call("worker_targets:precision") == "torch.bfloat16"


def test_importing_the_workers_client_loads_only_numpy_and_the_standard_library():
    code = "import sys, numpy; old = set(sys.modules); import meddl.worker; print(*(set(sys.modules) - old))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(LIBRARY)},
        capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert "meddl" in packages
    assert packages <= sys.stdlib_module_names | {"meddl", "__mp_main__"}


def test_undecodable_noise_does_no_harm_and_the_log_stays_small(fresh):
    fresh.call("worker_targets:noise", 1)
    for _ in range(3):
        fresh.call("worker_targets:noise", 1500)
        time.sleep(1.1)
    fresh.call("worker_targets:count")
    assert os.fstat(fresh._process._log._reader.fileno()).st_size < 4 << 20
    fresh.call("worker_targets:noise", 1)
    tail = fresh._process.log_tail()
    assert "broken" in tail and len(tail) <= process.LOG_TAIL_BYTES


def test_start_warms_up_and_preloads_without_waiting():
    with make_worker(preload=["wave", "a_module_that_is_not_there"]) as worker:
        start = time.monotonic()
        worker.start()
        assert time.monotonic() - start < 0.2
        assert wait_until(lambda: worker.poll() or worker.pid, 20)
        assert "wave" in worker.call("worker_targets:modules")[0]


def test_closing_ends_the_process_and_cancels_what_runs():
    worker = make_worker()
    running = worker.submit("worker_targets:deaf", 30)
    queued = worker.submit("worker_targets:echo", np.ones(10000))
    wait_running(running)
    pid = worker.pid
    start = time.monotonic()
    worker.close()
    assert time.monotonic() - start < 1.2
    assert (running.state, queued.state) == ("cancelled", "cancelled")
    assert wait_until(lambda: not is_alive(pid), 2)
    assert not blocks_left(worker)
    with pytest.raises(WorkerError, match="closed"):
        worker.submit("worker_targets:count")


@posix
@pytest.mark.parametrize("busy", ["deaf", "steps", "idle"])
def test_the_worker_ends_when_its_caller_is_killed(tmp_path, busy):
    code = f"""
import sys, time
sys.path[:0] = [{str(LIBRARY)!r}]
import numpy as np
from meddl.worker import Worker
worker = Worker(allowed={ALLOWED!r}, paths=[{str(HERE)!r}])
jobs = [worker.submit("worker_targets:echo", np.ones(10000))]
if {busy!r} == "deaf": jobs = [worker.submit("worker_targets:deaf", 60)]
if {busy!r} == "steps": jobs = [worker.submit("worker_targets:steps", 600, 0.1)]
while not (worker.pid and jobs[0].state != "queued"): worker.poll(); time.sleep(0.01)
if {busy!r} == "idle": jobs[0].result()
if {busy!r} == "deaf": jobs += [worker.submit("worker_targets:echo", np.ones(10000)) for _ in range(3)]
print(worker.pid, flush=True)
time.sleep(60)
"""
    caller = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pid = int(caller.stdout.readline())
    assert is_alive(pid)
    caller.kill()
    caller.communicate()
    assert wait_until(lambda: not is_alive(pid), 3)


def test_a_program_that_ends_without_closing_leaves_nothing_and_warns_of_nothing():
    code = f"""
import sys
sys.path[:0] = [{str(LIBRARY)!r}]
import numpy as np
from meddl.worker import Worker
worker = Worker(allowed={ALLOWED!r}, paths=[{str(HERE)!r}])
kept = worker.call("worker_targets:make", (50, 50, 50))
job = worker.submit("worker_targets:echo", np.ones(10000))
print(worker.pid)
"""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert wait_until(lambda: not is_alive(int(done.stdout)), 2)


# Memory


def full():
    raise OSError(28, "No space left on device")


@posix
def test_where_shared_memory_is_too_small_a_temporary_file_serves(monkeypatch):
    monkeypatch.setattr(blocks, "_in_memory", full)
    monkeypatch.setattr(blocks, "_shared_object", full)
    with make_worker() as worker:
        assert worker.call("worker_targets:describe", np.ones(10000))[3] == 10000
        assert not blocks_left(worker)


@posix
def test_without_any_memory_the_error_says_so(monkeypatch):
    for opener in ("_in_memory", "_shared_object", "_in_temporary_folder"):
        monkeypatch.setattr(blocks, opener, full)
    with make_worker() as worker, pytest.raises(OutOfMemoryError, match="No space left"):
        worker.submit("worker_targets:describe", np.ones(10000))


# The caller is never held up


def test_a_result_of_256_cubed_never_holds_up_the_caller(shared):
    shared.call("worker_targets:count")
    volume = Volume(np.zeros((1, 256, 256, 256), np.int16, order="F"), np.eye(4))
    start = time.monotonic()
    job = shared.submit("worker_targets:describe", volume.data)
    submit_seconds = time.monotonic() - start
    assert job.result(20)[0] == (1, 256, 256, 256)

    longest = min(longest_poll(shared) for _ in range(2))
    assert longest < 0.1
    assert submit_seconds < 0.5
    assert not blocks_left(shared)


def longest_poll(worker):
    """Seconds of the longest of the polls that bring 80 MB of result."""
    job = worker.submit("worker_targets:make", (256, 256, 256))
    longest = 0.0
    while not job.done:
        start = time.monotonic()
        job.poll()
        longest = max(longest, time.monotonic() - start)
        time.sleep(0.005)
    labels, confidence = job.result()
    assert labels.nbytes == 1 << 24 and confidence.nbytes == 1 << 26
    assert labels[128].min() == 7 and confidence[0, 0, 0] == 0.5
    return longest

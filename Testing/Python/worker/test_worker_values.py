"""Arguments, progress and results of the worker process: what goes in comes out, in order."""

import os
import time

import numpy as np
import pytest
from worker_fixtures import fresh, is_alive, posix, shared, wait_running  # noqa: F401
from workers import blocks_left, make_worker, wait_until

from meddl.core.errors import (
    Cancelled,
)
from meddl.spatial.volume import Volume


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_a_volume_comes_back_as_it_was_in_its_memory_order(shared, order, dtype):
    data = np.asarray(np.random.default_rng(0).integers(0, 100, (2, 11, 12, 13)), dtype, order=order)
    volume = Volume(data, np.diag([1.0, 2.0, 3.0, 1.0]))
    (returned,), options = shared.call("worker_targets:echo", volume, name="T1")
    np.testing.assert_array_equal(returned.data, data)
    np.testing.assert_array_equal(returned.affine, volume.affine)
    assert returned.data.dtype == data.dtype and returned.data.strides == data.strides
    assert options == {"name": "T1"}
    assert not blocks_left(shared)


def test_the_worker_sees_the_transposed_view_of_a_node_in_its_memory_order(shared):
    kji = np.arange(7 * 8 * 9, dtype=np.int16).reshape(7, 8, 9)
    shape, strides, dtype, total, writeable = shared.call("worker_targets:describe", kji.transpose(2, 1, 0))
    assert (shape, strides, dtype, total) == ((9, 8, 7), (2, 18, 144), "int16", kji.sum())
    assert writeable


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1], lambda a: a.transpose(1, 0, 2), lambda a: a[:, ::2], lambda a: a[..., 3],
        lambda a: a[:0], lambda a: np.broadcast_to(a[0], a.shape),
    ],
    ids=["reversed", "permuted", "strided", "plane", "empty", "broadcast"])
def test_views_of_any_strides_keep_their_values(shared, view):
    array = view(np.random.default_rng(1).normal(size=(20, 30, 40)))
    (returned,), _ = shared.call("worker_targets:echo", array)
    np.testing.assert_array_equal(returned, array)
    assert not blocks_left(shared)


def test_small_and_odd_values_pass_too(shared):
    values = (None, 3, "Größe", {"a": [1.5, (2,)]}, np.float32(2.5), np.zeros(0), np.array(["x"], object))
    returned, _ = shared.call("worker_targets:echo", *values)
    assert returned[:5] == values[:5]
    assert returned[5].shape == (0,) and returned[6][0] == "x"


def test_arrays_that_come_back_can_be_written_and_outlive_job_and_worker():
    with make_worker() as worker:
        labels, confidence = worker.call("worker_targets:make", (40, 40, 40))
    labels[0] = 3
    assert labels[0].min() == 3 and labels[5].max() == 7 and confidence.mean() == 0.5


def test_jobs_share_one_warm_process(fresh):
    first, second = fresh.call("worker_targets:count"), fresh.call("worker_targets:count")
    assert (first[0], second[0]) == (1, 2)
    assert first[1] == second[1] == fresh.pid != os.getpid()


def test_two_jobs_queue_and_run_in_order(shared):
    first = shared.submit("worker_targets:steps", 3, 0.05)
    second = shared.submit("worker_targets:count")
    wait_running(first)
    assert second.state == "queued"
    second.result(10)
    assert first.state == second.state == "done"


def test_an_argument_changed_after_submit_does_not_matter(shared):
    array = np.ones(10000)
    job = shared.submit("worker_targets:describe", array)
    array[:] = 0
    assert job.result()[3] == 10000


def test_progress_arrives_in_order_at_a_bounded_rate_with_the_last_message(shared):
    job = shared.submit("worker_targets:steps", 400, 0.001)
    seen = []
    while job.poll() != "done":
        if not seen or seen[-1] != job.progress:
            seen.append(job.progress)
        time.sleep(0.002)
    seen.append(job.progress)
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert 3 < len(set(seen)) < 60
    assert job.progress == (1.0, "last")


def test_a_message_held_back_by_the_rate_is_sent_while_the_run_is_silent(shared):
    job = shared.submit("worker_targets:deaf", 1.0)
    assert wait_until(lambda: job.poll() == "running" and job.progress == (0.5, "deaf"), 0.9)
    job.result()


def test_a_caller_who_does_not_look_does_not_hold_up_the_run(fresh):
    fresh.call("worker_targets:count")
    job = fresh.submit("worker_targets:steps", 1500, 0.0005)
    time.sleep(2.5)
    start = time.monotonic()
    job.result(5)
    assert time.monotonic() - start < 0.5


def test_call_passes_progress_on_and_can_cancel(shared):
    seen = []
    assert shared.call("worker_targets:steps", 3, 0.1, on_progress=lambda *p: seen.append(p)) == 3
    assert seen[-1] == (1.0, "last")

    def stop(fraction, message):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        shared.call("worker_targets:steps", 100, 0.05, on_progress=stop)


def test_a_run_ends_early_once_this_is_enough_and_the_next_one_does_not(shared):
    job = shared.submit("worker_targets:until_enough", 30.0)
    wait_running(job)
    start = time.monotonic()
    job.stop_early()
    assert job.result(10) is True and time.monotonic() - start < 5
    job.stop_early()  # it has ended: nothing happens
    assert shared.submit("worker_targets:until_enough", 0.2).result(10) is False


def test_a_queued_run_may_be_enough_before_it_begins(shared):
    first = shared.submit("worker_targets:steps", 20, 0.02)
    second = shared.submit("worker_targets:until_enough", 30.0)
    second.stop_early()
    assert first.result(10) == 20 and second.result(10) is True


def test_call_asks_whether_it_is_enough(shared):
    def progress(fraction, message):
        pass

    begin = time.monotonic()
    progress.should_stop = lambda: time.monotonic() - begin > 0.3
    assert shared.call("worker_targets:until_enough", 30.0, on_progress=progress) is True

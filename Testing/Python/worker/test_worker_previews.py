"""Previews from the worker: in order, the newest only, never in the way of the computation or of Cancel."""

import time

import numpy as np
import pytest
from workers import blocks_left, make_worker, wait_until

from meddl.core.errors import Cancelled
from meddl.worker.previews import PreviewSender, take

PREVIEWS = "worker_targets:previews"


@pytest.fixture(scope="module")
def shared():
    with make_worker() as worker:
        yield worker


class Watcher:
    def __init__(self):
        self.shown = []

    def __call__(self, fraction, message):
        pass

    def preview(self, value):
        self.shown.append(value)


def test_previews_arrive_in_order_and_as_they_were(shared):
    watcher = Watcher()
    shared.call(PREVIEWS, 20, 0.06, 20, on_progress=watcher)
    values = [value["array"].flat[0] for value in watcher.shown]
    assert values == sorted(set(values)) and len(values) >= 5
    last = watcher.shown[-1]
    assert last["kind"] == "test"
    np.testing.assert_array_equal(last["array"], np.full((20, 20, 20), last["array"].flat[0], np.float32))
    assert not blocks_left(shared)


def test_small_previews_need_no_block(shared):
    watcher = Watcher()
    shared.call(PREVIEWS, 5, 0.06, 2, on_progress=watcher)
    assert watcher.shown and watcher.shown[0]["array"].shape == (2, 2, 2)


def test_they_outlive_the_run_and_the_worker():
    watcher = Watcher()
    with make_worker() as worker:
        worker.call(PREVIEWS, 5, 0.06, 30, on_progress=watcher)
    assert all(np.ptp(value["array"]) == 0 for value in watcher.shown)


def test_without_a_listener_the_computation_has_none_either(shared):
    assert shared.call("worker_targets:has_listener", on_progress=lambda *_: None) == (False, False)
    assert shared.call("worker_targets:has_listener", on_progress=Watcher()) == (True, True)
    job = shared.submit(PREVIEWS, 5, 0.0, 20)
    assert job.result(20) < 0.05 and job.preview is None


def test_a_caller_who_does_not_look_holds_nothing_up_and_sees_the_newest(shared):
    job = shared.submit(PREVIEWS, 400, 0.0, 30, previews=True)
    assert wait_until(lambda: job.poll() == "running")
    time.sleep(0.5)
    begin = time.monotonic()
    assert job.result(20) < 5
    assert time.monotonic() - begin < 5
    job = shared.submit(PREVIEWS, 40, 0.02, 30, previews=True)
    assert wait_until(lambda: job.poll() == "running" and job.preview is not None)
    first = job.preview["array"].flat[0]
    time.sleep(0.3)
    assert wait_until(lambda: job.poll() and job.preview["array"].flat[0] > first + 5, 2)
    job.result(20)


def test_cancel_comes_through_between_previews_within_a_second(shared):
    job = shared.submit(PREVIEWS, 10_000, 0.0, 40, previews=True)
    assert wait_until(lambda: job.poll() == "running" and job.preview is not None)
    pid = shared.pid
    begin = time.monotonic()
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(5)
    assert time.monotonic() - begin < 1 and shared.pid == pid
    assert not blocks_left(shared)


def test_a_worker_killed_with_a_preview_under_way_leaves_no_block():
    with make_worker() as worker:
        job = worker.submit(PREVIEWS, 10_000, 0.01, 40, previews=True)
        assert wait_until(lambda: job.poll() == "running" and job.preview is not None)
        assert wait_until(lambda: len(blocks_left(worker)) == 1)  # not polled: it stays under way
        worker._process.kill()
        with pytest.raises(Exception, match="killed"):
            job.result(5)
        assert wait_until(lambda: worker.poll() or not blocks_left(worker))


def test_what_cannot_be_sent_or_read_is_left_out(shared):
    watcher = Watcher()
    assert shared.call("worker_targets:awkward_previews", on_progress=watcher) == "went on"
    assert watcher.shown == ["after all"]


def test_an_error_of_the_listener_does_not_end_the_run(shared, caplog):
    class Clumsy(Watcher):
        def preview(self, value):
            raise ZeroDivisionError("clumsy")

    assert shared.call(PREVIEWS, 5, 0.02, 5, on_progress=Clumsy()) >= 0
    assert "clumsy" in caplog.text


def test_one_is_under_way_at_a_time_and_the_newest_waits():
    sent = []
    sender = PreviewSender(lambda *message, block: sent.append(message))
    sender.begin(3, True)
    for value in range(5):
        sender.show(value)
    assert [take(packed, None) for _, _, packed in sent] == [0]
    sender.acknowledge()
    assert [take(packed, None) for _, _, packed in sent] == [0, 4]
    sender.acknowledge()
    assert len(sent) == 2
    sender.show(5)
    sender.show(6)
    sender.finish()
    sender.acknowledge()
    assert len(sent) == 3

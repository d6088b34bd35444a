"""The line before a run: counted operations, corrected by what runs of the kind before it have taken."""

import pytest
import slicer
from bridge_scene import process_events

from meddl.worker.messages import Spent
from meddl_slicer.runs import estimates

CPU = {"device": "cpu (2 threads)"}


@pytest.fixture(autouse=True)
def forgotten(clean, monkeypatch):
    import qt

    qt.QSettings().remove("MedDL/Estimates")
    monkeypatch.setattr(slicer.modules, "meddlDevice", "cpu (2 threads)", raising=False)
    yield
    qt.QSettings().remove("MedDL/Estimates")


def idle(seconds, memory=1000.0):
    """A run on an idle machine of two cores."""
    return Spent(seconds, 1.8 * seconds, memory)


def test_what_is_not_known_has_no_number():
    assert estimates.estimate("segment:brain", None) is None
    estimates.learn("segment:brain", None, idle(20.0), CPU)
    estimates.learn("segment:brain", (5.0, 1000.0), None, CPU)
    assert estimates.estimate("segment:brain", None) is None
    assert estimates.estimate("segment:brain", (5.0, 1000.0)) == (5.0, 1000.0)


def test_after_a_run_the_same_run_is_expected_as_it_was_and_a_larger_one_in_proportion():
    estimates.learn("segment:brain", (5.0, 1000.0), idle(20.0, 3000.0), CPU)
    assert estimates.estimate("segment:brain", (5.0, 1000.0)) == pytest.approx((20.0, 3000.0))
    assert estimates.estimate("segment:brain", (10.0, 1000.0))[0] == pytest.approx(40.0)


def test_other_kinds_and_other_devices_are_not_touched():
    estimates.learn("segment:brain", (5.0, 1000.0), idle(20.0), CPU)
    assert estimates.estimate("register:rigid nmi", (5.0, 1000.0)) == (5.0, 1000.0)
    slicer.modules.meddlDevice = "cuda (a GPU)"
    assert estimates.estimate("segment:brain", (5.0, 1000.0)) == (5.0, 1000.0)


def test_a_busy_machine_does_not_spoil_what_was_learned():
    estimates.learn("segment:brain", (10.0, 1000.0), idle(10.0), CPU)
    for _ in range(3):  # most of the last runs, on cores that others took: the same CPU time, four times as long
        estimates.learn("segment:brain", (10.0, 1000.0), Spent(40.0, 18.0, 1000.0), CPU)
    assert estimates.estimate("segment:brain", (10.0, 1000.0))[0] == pytest.approx(10.0)


def test_a_first_run_on_a_busy_machine_counts_with_its_cpu_time():
    estimates.learn("segment:brain", (10.0, 1000.0), Spent(80.0, 18.0, 1000.0), CPU)
    assert estimates.estimate("segment:brain", (10.0, 1000.0))[0] == pytest.approx(18.0)  # less than twice 10 s


def test_of_the_runs_on_a_gpu_the_median_counts():
    for seconds in (10.0, 11.0, 90.0):
        estimates.learn("segment:brain", (10.0, 1000.0), Spent(seconds, 0.5, 1000.0), {"device": "cuda (a GPU)"})
    assert estimates.estimate("segment:brain", (10.0, 1000.0))[0] == pytest.approx(11.0)
    assert estimates.device() == "cuda (a GPU)"


def test_settings_of_an_earlier_version_are_no_error():
    import qt

    qt.QSettings().setValue("MedDL/Estimates/segment:brain on cpu", "1.7")
    assert estimates.estimate("segment:brain", (5.0, 1000.0)) == (5.0, 1000.0)


def test_before_the_first_run_the_worker_tells_the_device(monkeypatch):
    monkeypatch.setattr(slicer.modules, "meddlDevice", None)
    assert estimates.device() == "auto"
    answers = []
    estimates.ask_device(lambda: answers.append(estimates.device()))
    process_events(lambda: answers)
    assert answers[0].split()[0].rstrip(":0123456789") in ("cpu", "cuda", "mps")

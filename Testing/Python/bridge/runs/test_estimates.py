"""The line before a run learns from the runs before it."""

import pytest
import slicer
from bridge_scene import process_events

from meddl_slicer.runs import estimates


@pytest.fixture(autouse=True)
def forgotten(clean, monkeypatch):
    import qt

    qt.QSettings().remove("MedDL/Estimates")
    monkeypatch.setattr(slicer.modules, "meddlDevice", None, raising=False)
    yield
    qt.QSettings().remove("MedDL/Estimates")


def test_larger_volumes_take_longer_and_more_memory():
    small, large = estimates.estimate("segment", 10**6), estimates.estimate("segment", 10**8)
    assert large[0] > small[0] and large[1] > small[1]


def test_after_a_run_the_same_run_is_expected_as_it_was():
    estimates.learn("segment", 8_000_000, {"seconds": {"load": 1.0, "predict": 20.5}, "peak_memory_mb": 2345.0,
                                           "device": "cpu (2 threads)"})
    assert estimates.estimate("segment", 8_000_000) == pytest.approx((21.5, 2345.0))
    assert estimates.device() == "cpu (2 threads)"


def test_a_total_is_not_counted_twice():
    estimates.learn("register", 10**6, {"seconds": {"search": 2.0, "total": 5.0}})
    assert estimates.estimate("register", 10**6)[0] == pytest.approx(5.0)


def test_other_verbs_are_not_touched():
    before = estimates.estimate("superResolve", 10**6)
    estimates.learn("segment", 10**6, {"seconds": {"total": 100.0}})
    assert estimates.estimate("superResolve", 10**6) == before


def test_a_report_without_figures_changes_nothing():
    before = estimates.estimate("segment", 10**6)
    estimates.learn("segment", 10**6, {})
    estimates.learn("segment", 0, {"seconds": {"total": 3.0}})
    assert estimates.estimate("segment", 10**6) == before


def test_before_the_first_run_the_worker_tells_the_device():
    assert estimates.device() == "auto"
    answers = []
    estimates.ask_device(lambda: answers.append(estimates.device()))
    process_events(lambda: answers)
    assert answers[0].split()[0].rstrip(":0123456789") in ("cpu", "cuda", "mps")


def test_a_guess_of_another_kind_is_learned_apart():
    before = estimates.estimate("segment:brain", 10**6)
    estimates.learn("segment:brain", 10**6, {"seconds": {"total": 20.0}, "peak_memory_mb": 3000.0}, (5.0, 1000.0))
    assert estimates.estimate("segment:brain", 10**6, (5.0, 1000.0)) == pytest.approx((20.0, 3000.0))
    assert estimates.estimate("segment:brain", 10**6, (10.0, 1000.0))[0] == pytest.approx(40.0)
    assert estimates.estimate("segment:brain", 10**6) == before

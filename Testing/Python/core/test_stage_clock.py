"""Seconds by stage."""

import time

import pytest

from meddl.core import stage_clock as clock_module
from meddl.core.stage_clock import StageClock


@pytest.fixture
def now(monkeypatch):
    """A list whose one number is the time that clocks see."""
    time_s = [100.0]
    monkeypatch.setattr(clock_module.time, "perf_counter", lambda: time_s[0])
    return time_s


def test_stages_are_measured_in_their_order_and_the_total_covers_what_lies_between(now):
    clock = StageClock()
    with clock.stage("load"):
        now[0] += 2.0
    now[0] += 0.5
    with clock.stage("predict"):
        now[0] += 3.0
    assert list(clock.seconds.items()) == [("load", 2.0), ("predict", 3.0), ("total", 5.5)]


def test_a_stage_entered_again_goes_on(now):
    clock = StageClock()
    for step in (1.0, 2.0):
        with clock.stage("predict"):
            now[0] += step
    assert clock.seconds == {"predict": 3.0, "total": 3.0}


def test_a_stage_that_fails_is_measured_and_its_error_passes(now):
    clock = StageClock()
    with pytest.raises(ValueError, match="wrong"), clock.stage("load"):
        now[0] += 1.0
        raise ValueError("wrong")
    assert clock.seconds == {"load": 1.0, "total": 1.0}


def test_seconds_have_four_digits(now):
    clock = StageClock()
    with clock.stage("load"):
        now[0] += 0.123456
    assert clock.seconds == {"load": 0.1235, "total": 0.1235}


def test_the_total_goes_on_until_it_is_read():
    clock = StageClock()
    assert set(clock.seconds) == {"total"}
    with clock.stage("wait"):
        time.sleep(0.02)
    assert 0.015 < clock.seconds["wait"] <= clock.seconds["total"] < 5

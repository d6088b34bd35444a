"""How long a run still takes, as the panel says it."""

import pytest

from meddl_slicer.panels.widgets import remaining_seconds


def test_nothing_is_said_as_long_as_it_is_not_known():
    assert remaining_seconds(0.0, 5.0, 60.0) is None and remaining_seconds(1.0, 5.0, 60.0) is None
    assert remaining_seconds(0.5, 1.0, None) is None and remaining_seconds(0.01, 10.0, None) is None


def test_progress_tells_it_where_nothing_was_estimated():
    assert remaining_seconds(0.25, 10.0, None) == pytest.approx(30.0)


def test_what_was_expected_counts_at_first_and_what_passed_towards_the_end():
    assert remaining_seconds(0.01, 0.5, 60.0) == pytest.approx(59, abs=1.5)
    assert remaining_seconds(0.5, 30.0, 60.0) == pytest.approx(30.0)
    assert remaining_seconds(0.5, 120.0, 60.0) > 60  # a busy machine
    seconds = [remaining_seconds(step / 100, 0.6 * step, 60.0) for step in range(1, 100)]
    assert seconds == sorted(seconds, reverse=True)

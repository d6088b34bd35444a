"""Progress on the worker's side: bounded in rate and in number, never silent at the end."""

import time

import pytest

from meddl.core.errors import Cancelled
from meddl.worker.server import PROGRESS_INTERVAL_S, PROGRESS_TEXT, PROGRESS_UNACKNOWLEDGED, _Progress


@pytest.fixture
def sent():
    return []


@pytest.fixture
def progress(sent):
    progress = _Progress(lambda *message: sent.append(message))
    progress.begin(7)
    return progress


def test_no_more_than_a_few_messages_are_under_way_unacknowledged(progress, sent):
    for step in range(PROGRESS_UNACKNOWLEDGED + 4):
        progress(step / 100, str(step))
        time.sleep(PROGRESS_INTERVAL_S)
    assert [message for *_, message in sent] == [str(step) for step in range(PROGRESS_UNACKNOWLEDGED)]
    progress.acknowledge()
    assert sent[-1][-1] == str(PROGRESS_UNACKNOWLEDGED + 3)


def test_of_many_messages_at_once_the_first_is_sent_and_the_last_at_the_end(progress, sent):
    for step in range(100):
        progress(step / 100, str(step))
    assert len(sent) < 10
    progress.finish()
    assert sent[0] == ("progress", 7, 0.0, "0") and sent[-1] == ("progress", 7, 0.99, "99")
    progress.flush()
    progress.acknowledge()
    assert sent[-1][-1] == "99"


def test_fractions_are_kept_within_0_and_1_and_texts_short(progress, sent):
    progress(3, "x" * 5000)
    assert sent == [("progress", 7, 1.0, "x" * PROGRESS_TEXT)]


def test_cancel_reaches_the_run_that_it_was_meant_for(progress):
    progress.cancel(6)
    progress(0.1, "goes on")
    progress.cancel(7)
    with pytest.raises(Cancelled):
        progress(0.2, "stops")
    progress.begin(8)
    progress(0.0, "the next run is not cancelled")

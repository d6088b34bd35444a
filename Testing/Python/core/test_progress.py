"""Progress goes up within its span; previews reach who looks, and nobody else pays for them."""

import pytest

from meddl.core.errors import Cancelled
from meddl.core.progress import early_stop_of, listener_of, preview, report, span


class Watcher:
    """A callback that looks at previews."""

    def __init__(self):
        self.told, self.shown = [], []

    def __call__(self, fraction, message):
        self.told.append((fraction, message))

    def preview(self, value):
        self.shown.append(value)


def test_a_stage_takes_its_share_of_the_whole_and_never_more():
    watcher = Watcher()
    inner = span(span(watcher, 0.5, 1.0), 0.0, 0.5)
    for fraction in (-1, 0, 0.5, 2):
        inner(fraction, "stage")
    assert watcher.told == [(0.5, "stage"), (0.5, "stage"), (0.625, "stage"), (0.75, "stage")]


def test_without_a_callback_nothing_happens():
    report(None, 0.5, "x")
    preview(None, 1)
    assert span(None, 0, 1) is None


def test_previews_reach_the_callback_through_every_span_in_order():
    watcher = Watcher()
    inner = span(span(watcher, 0.0, 0.5), 0.0, 0.5)
    for value in range(5):
        preview(inner, value)
    assert watcher.shown == list(range(5))


def test_a_preview_is_not_even_made_where_nobody_looks():
    def expensive():
        raise AssertionError("made for nobody")

    def plain(fraction, message):
        """A callback without previews."""

    preview(None, expensive)
    preview(plain, expensive)
    preview(span(plain, 0, 1), expensive)
    assert listener_of(span(plain, 0, 1)) is None


def test_a_preview_is_made_when_somebody_looks():
    watcher = Watcher()
    preview(watcher, lambda: "made")
    assert watcher.shown == ["made"]


def test_an_error_while_it_is_shown_is_logged_and_the_work_goes_on(caplog):
    class Clumsy(Watcher):
        def preview(self, value):
            raise ZeroDivisionError("clumsy")

    preview(Clumsy(), 1)
    assert "clumsy" in caplog.text


def test_an_error_in_making_it_is_an_error_of_the_work():
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        preview(Watcher(), broken)


def test_a_preview_may_cancel_as_progress_may():
    class Impatient(Watcher):
        def preview(self, value):
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        preview(span(Impatient(), 0, 1), 1)


def test_a_stage_that_shows_nothing_still_tells_its_progress_and_hears_that_it_is_enough():
    watcher = Watcher()
    watcher.should_stop = lambda: True
    inner = span(span(watcher, 0.0, 0.5, "Frame 1: ", previews=False), 0.0, 1.0)
    preview(inner, "hidden")
    inner(1.0, "done")
    assert watcher.shown == [] and watcher.told == [(0.5, "Frame 1: done")]
    assert early_stop_of(inner)() and early_stop_of(span(lambda *at: None, 0, 1)) is None

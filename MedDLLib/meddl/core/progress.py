"""Progress, cancel and previews: one callback, `on_progress(fraction, message)`, which may raise `Cancelled`.

A callback that also has a function `preview` gets what is known of the result so far: see `preview`. One with a
function `should_stop` ends what could go on for longer (training on a volume) with the best so far, once it says True.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from meddl.core.errors import Cancelled


class ProgressCallback(Protocol):
    """Takes the fraction of the work that is done, 0 to 1, and what is being done.

    A function will do. An object may also have `preview(value)` and `should_stop() -> bool`: see `preview` and
    `early_stop_of`.
    """

    def __call__(self, fraction: float, message: str, /) -> None: ...


def report(on_progress: ProgressCallback | None, fraction: float, message: str) -> None:
    """Call `on_progress`, if there is one, with the fraction of the work that is done (0 to 1)."""
    if on_progress is not None:
        on_progress(min(max(float(fraction), 0.0), 1.0), message)


def preview(on_progress: ProgressCallback | None, value: Any) -> None:
    """Show what is known of the result so far, where the callback has a function `preview`; else do nothing.

    An error while it is shown is logged and does not end the work; `Cancelled` does.

    Args:
        value: small numbers and numpy arrays (some MB at most), not changed afterwards; or a function without
            arguments that makes the value, called only if somebody looks.
    """
    listener = listener_of(on_progress)
    if listener is None:
        return
    shown = value() if callable(value) else value
    try:
        listener(shown)
    except Cancelled:
        raise
    except Exception:
        logging.getLogger(__name__).exception("A preview could not be shown.")


def listener_of(on_progress: ProgressCallback | None) -> Callable[[Any], None] | None:
    """The function that takes the previews of a callback; None: nobody looks."""
    return getattr(on_progress, "preview", None)


def early_stop_of(on_progress: ProgressCallback | None) -> Callable[[], bool] | None:
    """The function of a callback that says whether to stop early, with the best so far; None: it has none."""
    return getattr(on_progress, "should_stop", None) or getattr(on_progress, "enough", None)  # in version 0.1.0


class Stage:
    """A callback for one stage: its 0 to 1 becomes `start` to `stop` of the whole.

    Attributes:
        preview, should_stop: those of the whole's callback; None where it has none, or where the stage shows nothing.
    """

    def __init__(self, whole: ProgressCallback, start: float, stop: float, title: str = "", previews: bool = True):
        self._whole, self._start, self._stop, self._title = whole, start, stop, title
        self.preview = listener_of(whole) if previews else None
        self.should_stop = early_stop_of(whole)

    def __call__(self, fraction: float, message: str, /) -> None:
        within = min(max(float(fraction), 0.0), 1.0)
        report(self._whole, self._start + (self._stop - self._start) * within, self._title + message)


def span(on_progress: ProgressCallback | None, start: float, stop: float, title: str = "", *,
         previews: bool = True) -> Stage | None:
    """A callback for one stage: its 0 to 1 becomes `start` to `stop` of the whole. None stays None.

    Args:
        title: put before the stage's messages.
        previews: whether what the stage shows is passed on.
    """
    return None if on_progress is None else Stage(on_progress, start, stop, title, previews)


_PART = 0.03  # of the way to the next known fraction


class UnevenProgress:
    """Progress of work whose steps have parts of unknown number: each part moves it a little towards the next step.
    It never goes back, and each call is a chance to cancel.

    Args:
        on_progress: of the whole.
        message: what is done first.
        following: the fraction at the first call of `at`.

    Attributes:
        last: fraction and message of the last report.
    """

    def __init__(self, on_progress: ProgressCallback | None, message: str, following: float = 1.0):
        self.on_progress, self.last, self._following = on_progress, (0.0, message), following

    def at(self, fraction: float, message: str | None = None, following: float = 1.0) -> None:
        """The work is here now, and will be at `following` when this is called again."""
        fraction = max(fraction, self.last[0])
        self.last, self._following = (fraction, self.last[1] if message is None else message), max(fraction, following)
        report(self.on_progress, *self.last)

    def again(self) -> None:
        """A part of the work on the way to the next call of `at` is done."""
        fraction, message = self.last
        self.last = fraction + _PART * (self._following - fraction), message
        report(self.on_progress, *self.last)


class RunCounter:
    """Progress of a number of runs that take about the same time: each message says how many there are and how long
    the others will take.

    Args:
        on_progress: of the whole.
        runs: how many there will be, at most.
    """

    def __init__(self, on_progress: ProgressCallback | None, runs: int):
        self._whole, self._runs, self._started, self._begin = on_progress, max(runs, 1), 0, time.monotonic()

    def next_run(self) -> Stage | None:
        """The callback of the next run. None where nobody listens."""
        title = f"Run {self._started + 1} of {self._runs}"
        if self._started:
            seconds = (time.monotonic() - self._begin) / self._started * (self._runs - self._started)
            title += f", about {format_duration(seconds)} left"
        fraction = min(self._started, self._runs - 1) / self._runs
        self._started += 1
        return span(self._whole, fraction, fraction + 1 / self._runs, f"{title}: ", previews=False)


def format_duration(seconds: float) -> str:
    """A duration in words, "40 s", "5 min" or "2.5 h"."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

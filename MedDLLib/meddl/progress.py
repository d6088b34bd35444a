"""Progress and cancel: one callback, `on_progress(fraction, message)`, which may raise `Cancelled`."""

from collections.abc import Callable

ProgressCallback = Callable[[float, str], None]


def report(on_progress: ProgressCallback | None, fraction: float, message: str) -> None:
    """Tell `on_progress`, if there is one, that `fraction` (0 to 1) of the work is done."""
    if on_progress is not None:
        on_progress(min(max(float(fraction), 0.0), 1.0), message)


def span(on_progress: ProgressCallback | None, start: float, stop: float) -> ProgressCallback | None:
    """A callback for one stage: its 0 to 1 becomes `start` to `stop` of the whole. None stays None."""
    if on_progress is None:
        return None

    def within(fraction: float, message: str) -> None:
        report(on_progress, start + (stop - start) * min(max(float(fraction), 0.0), 1.0), message)

    return within

"""Cases on workers: each worker gets one at a time; the case of a worker that dies is given out again."""

import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, Protocol

from meddl.core.errors import MedDLError, WorkerError
from meddl.core.progress import ProgressCallback, report

ATTEMPTS = 2     # of a case whose worker dies
_POLL_S = 0.02
_CANCEL_S = 3.0  # how long workers may take to stop, at most


class Outcome(NamedTuple):
    """How a case ended: its value or its error; `died`: the worker was lost, whatever the case may be."""

    value: Any = None
    error: MedDLError | None = None
    died: bool = False


class Slot(Protocol):
    """A worker that runs one case at a time. It starts when it is first asked for, and anew after it died."""

    def ready(self) -> bool:
        """Whether it can begin a case now; a worker of a cluster may have to wait for its place. Never blocks.

        Raises WorkerError where none can be had.
        """

    def start(self, case: Hashable) -> None:
        """Begin a case. Raises WorkerError where no worker can be had."""

    def poll(self) -> Outcome | None:
        """How the case ended; None: it goes on. Never blocks."""

    def progress(self) -> tuple[float, str]:
        """(fraction, message) of the case. Never blocks."""

    def cancel(self) -> None:
        """Ask the case to stop; `poll` says when it has."""

    def close(self) -> None:
        """End the worker."""


def run_cases(cases: Sequence[Any], slots: Sequence[Slot], on_started: Callable[[Any], None],
              on_ended: Callable[[Any, Outcome, float], None],
              on_progress: ProgressCallback | None = None) -> None:
    """Run all cases on all slots until each has ended. The slots are closed.

    Args:
        cases: hashable.
        on_started: called with a case before it begins.
        on_ended: called with a case, its outcome and its seconds; a case whose worker dies ends with its second death.
        on_progress: (fraction of all cases, what is being done).

    Raises:
        Cancelled: from `on_progress`; running cases were stopped, they and waiting ones have not ended.
    """
    waiting, busy = deque(cases), {}
    deaths = dict.fromkeys(cases, 0)
    ended, begin = 0, time.monotonic()
    try:
        while waiting or busy:
            for slot in slots:
                if slot not in busy and waiting and slot.ready():
                    case = waiting.popleft()
                    on_started(case)
                    slot.start(case)
                    busy[slot] = case, time.monotonic()
            free = False
            for slot, (case, since) in list(busy.items()):
                outcome = slot.poll()
                if outcome is None:
                    continue
                free = bool(waiting)
                del busy[slot]
                deaths[case] += outcome.died
                if outcome.died and deaths[case] < ATTEMPTS:
                    waiting.append(case)
                    continue
                ended += 1
                on_ended(case, _explain_death(outcome, deaths[case]), time.monotonic() - since)
            running = [(case, slot.progress()) for slot, (case, _) in busy.items()]
            _report(on_progress, len(cases), ended, running, time.monotonic() - begin)
            if not free:  # a worker that has just ended its case gets the next one at once
                time.sleep(_POLL_S)
    finally:
        _stop(busy)
        for slot in slots:
            slot.close()


def _explain_death(outcome: Outcome, deaths: int) -> Outcome:
    if not outcome.died or outcome.error is None:
        return outcome
    return outcome._replace(error=WorkerError(f"{outcome.error} It was tried {deaths} times."))


def _report(on_progress: ProgressCallback | None, total: int, ended: int, running: list, seconds: float) -> None:
    fraction = (ended + sum(fraction for _, (fraction, _) in running)) / max(total, 1)
    words = "; ".join(f"{getattr(case, 'name', case)}: {message or 'starting'}" for case, (_, message) in running[:2])
    more = f" and {len(running) - 2} more" if len(running) > 2 else ""
    parts = [f"{ended} of {total} cases", time_left(fraction, seconds), words + more or "waiting for workers"]
    report(on_progress, fraction, " · ".join(part for part in parts if part))


def time_left(fraction: float, seconds: float) -> str:
    """How long the rest will take, in words; "" where little is known yet."""
    if fraction < 0.02 or fraction >= 1 or seconds < 10:
        return ""
    left = seconds * (1 - fraction) / fraction
    if left < 90:
        return f"about {left:.0f} s left"
    return f"about {left / 60:.0f} min left" if left < 5400 else f"about {left / 3600:.1f} h left"


def _stop(busy: dict) -> None:
    """Ask what runs to stop, and wait until it has, so that nothing is half-written."""
    for slot in busy:
        slot.cancel()
    deadline = time.monotonic() + _CANCEL_S
    left = list(busy)
    while left and time.monotonic() < deadline:
        left = [slot for slot in left if slot.poll() is None]
        time.sleep(_POLL_S)

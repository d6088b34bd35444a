"""What is done one after the other while the time lasts, whatever fails."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu.record import Record


class Skipped(Exception):
    """A step cannot be done here; the message says why."""


@dataclass(frozen=True)
class Step:
    """One thing to do.

    Attributes:
        name: what the record calls it.
        seconds: what it is expected to take; it is left out where less is left.
        run: does it; called with the seconds left to its part, gives what goes into the record.
    """

    name: str
    seconds: float
    run: Callable[[float], dict]


@dataclass(frozen=True)
class Part:
    """Steps that share a time, in the order of their value.

    Attributes:
        seconds: how long they may take together, beside what earlier parts have left; infinite: all that is left.
    """

    name: str
    seconds: float
    steps: Sequence[Step]


def run_parts(parts: Sequence[Part], record: Record, deadline: float, clock: Callable[[], float] = time.monotonic,
              say: Callable[[str], None] = lambda text: None) -> None:
    """Run all steps for which there is time; failures are kept as their traceback and stop nothing.

    Args:
        deadline: of the whole, on the clock.
        say: is told of each step in a line.
    """
    end = clock()
    for part in parts:
        end = min(end + part.seconds, deadline)
        for step in part.steps:
            kept = _run_step(step, part.name, end, record, clock)
            say(f"{kept['seconds']:7.1f} s  {kept['status']:7}  {part.name}: {step.name}"
                + (f"  ({kept['why']})" if "why" in kept else ""))
            record.add(kept)


def _run_step(step: Step, part: str, end: float, record: Record, clock: Callable[[], float]) -> dict:
    kept = {"part": part, "name": step.name, "seconds": 0.0}
    begun = clock()
    if end - begun < step.seconds:
        return kept | {"status": "skipped", "why": f"{max(0.0, end - begun):.0f} s were left, "
                                                   f"{step.seconds:.0f} s are needed"}
    record.begin(f"{part}: {step.name}")
    try:
        kept |= {"status": "done"} | step.run(end - begun)
    except Skipped as reason:
        kept |= {"status": "skipped", "why": str(reason)}
    except Exception as error:  # noqa: BLE001 - what fails is kept, and the rest still runs
        kept |= {"status": "failed", "why": f"{type(error).__name__}: {error}"[:500],
                 "error": traceback.format_exc()[-6000:]}
    return kept | {"seconds": round(clock() - begun, 3)}

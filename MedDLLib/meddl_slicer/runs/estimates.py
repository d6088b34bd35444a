"""Estimates of the time and memory of a run: counted operations, corrected by what earlier runs of the kind have taken.

What is learned is kept in the application's settings. Other programs make a run longer by the clock, but hardly need
more CPU time: a run counts with its CPU time, spread over as many cores as runs of its kind have kept busy at best. Of
the last runs the median counts.
"""

import json
import statistics

import qt
import slicer

from meddl.worker.messages import Spent
from meddl_slicer.runs import tasks

_SETTINGS = "MedDL/Estimates"
_KEPT = 5  # runs of a kind
_BOUNDS = 1e-2, 1e2  # of a correction
DESCRIBE_DEVICE = "meddl_slicer.runs.remote:describe_device"


def estimate(kind: str, expected: tuple[float, float] | None) -> tuple[float, float] | None:
    """Seconds and MB that a run will take on an idle machine, about; None where nothing is expected.

    Args:
        kind: of the run, "verb:method"; what is learned of a kind holds for it alone.
        expected: seconds and MB as they were counted.
    """
    if expected is None:
        return None
    runs = _runs(kind)
    if not runs:
        return expected
    cores = max(1.0, *(cpu / clock for clock, cpu, _memory in runs))
    seconds = statistics.median(min(clock, cpu / cores) for clock, cpu, _memory in runs)
    return expected[0] * _bound(seconds), expected[1] * _bound(statistics.median(run[2] for run in runs))


def learn(kind: str, expected: tuple[float, float] | None, spent: Spent | None, report: dict) -> None:
    """Take a complete run into account.

    Args:
        expected: what was counted for it.
        spent: what it has taken in the worker; None: not known, nothing is learned.
        report: of the run; its device is that of the next run.
    """
    if report.get("device"):
        slicer.modules.meddlDevice = report["device"]
    if expected is None or spent is None or min(*expected, spent.seconds) <= 0:
        return
    # A GPU's work is no CPU time.
    cpu = spent.cpu_seconds if device().startswith("cpu") else spent.seconds
    run = spent.seconds / expected[0], cpu / expected[0], (spent.peak_memory_mb or expected[1]) / expected[1]
    qt.QSettings().setValue(_key(kind), json.dumps([*_runs(kind), run][-_KEPT:]))


def ask_device(onResult) -> None:
    """Let the worker say which device a run would take; `onResult()` is called when `device` knows. Once only."""
    if getattr(slicer.modules, "meddlDevice", None):
        return

    def on_done(task) -> None:
        if task.state == "done":
            slicer.modules.meddlDevice = task.result()
            onResult()

    tasks.run(DESCRIBE_DEVICE, wait=False, onDone=on_done)


def device() -> str:
    """The device of the last run, or of the next as the worker reported it, in words; "auto" before that."""
    return getattr(slicer.modules, "meddlDevice", None) or "auto"


def _key(kind: str) -> str:
    return f"{_SETTINGS}/{kind} on {device().split(' ')[0]}"


def _runs(kind: str) -> list:
    """Of the last runs: seconds, CPU seconds and memory, as multiples of what was counted."""
    try:
        kept = json.loads(qt.QSettings().value(_key(kind), "[]") or "[]")
        return [run for run in kept if len(run) == 3 and run[0] > 0]
    except (TypeError, ValueError):  # of an earlier version
        return []


def _bound(factor: float) -> float:
    return min(max(factor, _BOUNDS[0]), _BOUNDS[1])

"""Estimates of the time and memory of a run, learned from earlier runs and kept in the application's settings."""

import qt
import slicer

from meddl_slicer.runs import tasks

_FIRST_GUESS = {
    # verb: (seconds, MB) fixed, (seconds, MB) a million voxels; two CPU cores, before the first run.
    "segment": ((4.0, 900.0), (0.4, 60.0)),
    "register": ((3.0, 500.0), (0.3, 30.0)),
    "superResolve": ((0.5, 300.0), (0.05, 20.0)),
}
_SETTINGS = "MedDL/Estimates"
DESCRIBE_DEVICE = "meddl_slicer.runs.remote:describe_device"


def estimate(verb: str, voxels: int, guess: tuple[float, float] | None = None) -> tuple[float, float]:
    """Seconds and MB that a run on a volume of this many voxels will take, about.

    Args:
        guess: seconds and MB as they were estimated otherwise, to be scaled by what such runs have taken; default: from
            the number of voxels.
        verb: "segment", "register", "superResolve", or one of them with a kind that is learned apart, such as
            "register:Deformable"; before its first run a kind is expected to take what its verb takes.
    """
    first = _first_guess(verb, voxels) if guess is None else guess
    name = _name(verb, guess)
    return first[0] * _factor(name, "seconds"), first[1] * _factor(name, "memory")


def learn(verb: str, voxels: int, report: dict, guess: tuple[float, float] | None = None) -> None:
    """Scale the estimates by what a run on `voxels` voxels, for which `guess` was made, has really taken."""
    if not voxels:
        return
    seconds = report.get("seconds", {})
    total = seconds.get("total", sum(seconds.values()) if seconds else 0)
    first = _first_guess(verb, voxels) if guess is None else guess
    for key, measured, guessed in (("seconds", total, first[0]), ("memory", report.get("peak_memory_mb", 0), first[1])):
        if measured and guessed:
            factor = min(max(measured / guessed, 1e-2), 1e2)
            qt.QSettings().setValue(f"{_SETTINGS}/{_name(verb, guess)}/{key}", str(factor))
    if report.get("device"):
        slicer.modules.meddlDevice = report["device"]


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


def _name(verb: str, guess) -> str:
    """Under which name a factor is kept: what scales one kind of guess does not scale the other."""
    return verb if guess is None else f"{verb} guessed"


def _first_guess(verb: str, voxels: int) -> tuple[float, float]:
    """Before anything is learned."""
    fixed, each = _FIRST_GUESS.get(verb) or _FIRST_GUESS[verb.partition(":")[0]]
    return fixed[0] + each[0] * voxels / 1e6, fixed[1] + each[1] * voxels / 1e6


def _factor(name: str, key: str) -> float:
    return float(qt.QSettings().value(f"{_SETTINGS}/{name}/{key}", "1") or 1)

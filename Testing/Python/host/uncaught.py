"""Exceptions that nobody caught: in slots, timers and VTK observers they would only be printed."""

import sys
import traceback
from dataclasses import dataclass


@dataclass(frozen=True)
class Unhandled:
    """One exception with its traceback as text."""

    error: BaseException
    text: str


unhandled = []


def _record(kind, error, trace):
    unhandled.append(Unhandled(error, "".join(traceback.format_exception(kind, error, trace))))
    sys.__excepthook__(kind, error, trace)


def install():
    """Record from now on."""
    sys.excepthook = _record


def take():
    """The recorded exceptions, which are forgotten with this call."""
    taken = [item.error for item in unhandled]
    unhandled.clear()
    return taken

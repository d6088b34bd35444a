"""What stands in for the reading of models and the decoding of pixels in tests of their limits; run in that process."""

import os
import time

from meddl.worker import limits as held
from meddl.worker.limits import Limits, hold_limits


def spin_system(source, target, choices, limits, on_progress):
    """Computes without end."""
    with hold_limits(Limits(*limits)):
        while True:
            sum(range(1000))


def spin_thread(source, target, choices, limits, on_progress):
    """The same on a system without limits of its own."""
    held.resource = None
    spin_system(source, target, choices, limits, on_progress)


def swell_system(source, target, choices, limits, on_progress):
    """Takes memory without end."""
    taken = []
    with hold_limits(Limits(*limits)):
        while True:
            taken.append(bytearray(b"x" * (16 << 20)))
            time.sleep(0.05)


def swell_thread(source, target, choices, limits, on_progress):
    """The same on a system without limits of its own."""
    held.resource = None
    swell_system(source, target, choices, limits, on_progress)


def nothing(source, target, choices, limits, on_progress):
    """Is done at once."""


def abort(file, limits, on_progress):
    """Crashes, as a decoder may."""
    os.abort()


def swell_decoder(file, limits, on_progress):
    """Takes memory without end."""
    swell_system(file, None, None, limits, on_progress)

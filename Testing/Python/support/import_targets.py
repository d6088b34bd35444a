"""What stands in for the reading of a model in tests of its limits; run in the process that reads models."""

import time

from meddl.models.store import import_process
from meddl.models.store.import_process import Limits


def spin_system(source, target, choices, limits, on_progress):
    """Computes without end."""
    with import_process._apply(Limits(*limits)):
        while True:
            sum(range(1000))


def spin_thread(source, target, choices, limits, on_progress):
    """The same on a system without limits of its own."""
    import_process.resource = None
    spin_system(source, target, choices, limits, on_progress)


def swell_system(source, target, choices, limits, on_progress):
    """Takes memory without end."""
    held = []
    with import_process._apply(Limits(*limits)):
        while True:
            held.append(bytearray(b"x" * (16 << 20)))
            time.sleep(0.05)


def swell_thread(source, target, choices, limits, on_progress):
    """The same on a system without limits of its own."""
    import_process.resource = None
    swell_system(source, target, choices, limits, on_progress)


def nothing(source, target, choices, limits, on_progress):
    """Is done at once."""

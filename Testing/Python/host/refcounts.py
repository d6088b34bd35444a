"""A remedy for PySide 6.12.0 on Python 3.11 and older.

That release gives back None, True and False without taking a reference, as if they were immortal, which they are
only from Python 3.12 on. After some thousand Qt calls the interpreter aborts. Raising their reference counts once
makes them immortal in effect.
"""

import ctypes
import sys

_RESERVE = 1 << 40


def keep_singletons_alive():
    """Raise the reference counts of None, True and False; does nothing from Python 3.12 on."""
    if sys.version_info >= (3, 12) or sys.implementation.name != "cpython":
        return
    for singleton in (None, True, False):
        count = ctypes.c_ssize_t.from_address(id(singleton))
        if count.value < _RESERVE // 2:
            count.value += _RESERVE

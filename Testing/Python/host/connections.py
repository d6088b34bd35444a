"""Connections as PythonQt keeps them: each holds its callable strongly, and no garbage collector sees it.

PySide6 holds bound methods weakly, so that an object whose timer calls its own method dies by itself there. In
Slicer it lives until it disconnects, or until the sender's C++ object is deleted. Here a table of the process plays
the part of PythonQt's receivers.

What stands in for C++ (`pythonqt.declare_host_class` and the modules of such classes) connects as C++ does: nothing
is held.
"""

import shiboken6
from PySide6 import QtCore

_held = {}  # address of the sender's C++ object -> [(signature, callable)]
_stand_in_modules = set()

_connect, _disconnect = QtCore.SignalInstance.connect, QtCore.SignalInstance.disconnect


class BoundSignal:
    """The signal of an object, as `sender.timeout` gives it."""

    def __init__(self, sender, signal):
        self._sender, self._signal = sender, signal

    def __getitem__(self, parameters):
        return BoundSignal(self._sender, self._signal[parameters])

    def __repr__(self):
        return f"<signal {self._signature} of {self._sender!r}>"

    @property
    def _signature(self):
        return str(self._signal).split()[1]

    def connect(self, target, *more):
        """Call `target`, a callable or another signal, at each emission."""
        if isinstance(target, BoundSignal):
            return _connect(self._signal, target._signal, *more)
        connection = _connect(self._signal, target, *more)
        if connection:
            hold(self._sender, self._signature, target)
        return connection

    def disconnect(self, target=None):
        """End the connection to `target`, or all of this signal."""
        let_go(self._sender, self._signature, target)
        if target is None:
            return _disconnect(self._signal)
        return _disconnect(self._signal, target._signal if isinstance(target, BoundSignal) else target)

    def emit(self, *values):
        """Emit it, as C++ does."""
        self._signal.emit(*values)

    __call__ = emit


def declare_stand_in(module_name):
    """Functions of this module stand in for C++: their connections hold nothing."""
    _stand_in_modules.add(module_name)


def held():
    """All callables that connections hold now."""
    return [target for entries in _held.values() for _, target in entries]


def _of_stand_in(target):
    return getattr(target, "__module__", None) in _stand_in_modules


def hold(sender, signature, target):
    """Keep the target of a connection that was made, unless it stands in for C++."""
    if _of_stand_in(target):
        return
    address = shiboken6.getCppPointer(sender)[0]
    if address not in _held:
        _held[address] = []
        _connect(QtCore.QObject.destroyed.__get__(sender), lambda *_: _held.pop(address, None))
    _held[address].append((signature, target))


def let_go(sender, signature, target):
    """Forget what is disconnected; as PythonQt, of several equal connections the first, without a target all."""
    entries = _held.get(shiboken6.getCppPointer(sender)[0], [])
    for entry in [e for e in entries if e[0] == signature and target in (None, e[1])]:
        entries.remove(entry)
        if target is not None:
            return

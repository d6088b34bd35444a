"""Give PySide6 classes the manners of PythonQt, the Qt wrapping of 3D Slicer.

Changed in place, so that objects made by Qt itself (layouts, children, what a .ui file holds) follow too:

* Qt properties are attributes, read and set without a call: ``button.text = "Apply"``, ``spin.value``.
* ``object.connect("clicked(bool)", function)`` and ``disconnect`` take a signature as text.
* A connection holds its callable until it is undone or its sender is deleted: see `connections`.
* ``name``, ``className()``, ``delete()``, ``exec_()`` and ``findChildren("QLabel")`` exist.
* An attribute that Qt does not know cannot be created: AttributeError.
* PySide's signal and property helpers are not there.

A signature that does not exist raises ValueError (PythonQt only prints a warning).
"""

import contextlib
import re
import types

import shiboken6
from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

from . import connections
from .connections import BoundSignal

QT_MODULES = (QtCore, QtGui, QtWidgets, QtNetwork, QtUiTools)

# A property that is also a static method or a method with the same name in PythonQt's view.
_KEPT_METHODS = {"singleShot"}
# PySide asks these of Python subclasses while Qt lays out: host widgets override them as methods.
_VIRTUAL_GETTERS = {"sizeHint", "minimumSizeHint"}

_installed = False


def qt_classes():
    """Every class of the wrapped Qt modules, by name."""
    classes = {}
    for module in QT_MODULES:
        for name in dir(module):
            if not name.startswith("Q"):
                continue
            value = getattr(module, name)
            if isinstance(value, type):
                classes.setdefault(name, value)
    return classes


def install():
    """Change the PySide6 classes once for this process."""
    global _installed
    if _installed:
        return
    _installed = True
    classes = [c for c in qt_classes().values() if issubclass(c, QtCore.QObject)]
    classes.sort(key=lambda c: len(c.__mro__))
    setters = {}
    for cls in classes:
        _make_properties_attributes(cls, setters)
    for cls in classes:
        _guard_attributes(cls)
    QtCore.QObject.className = lambda self: self.metaObject().className()
    QtCore.QObject.delete = lambda self: shiboken6.delete(self)
    for cls in (QtWidgets.QDialog, QtWidgets.QMenu, QtWidgets.QApplication, QtCore.QEventLoop, QtCore.QThread):
        if not hasattr(cls, "exec_"):
            cls.exec_ = cls.exec


def _make_properties_attributes(cls, setters):
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        info = meta.property(index)
        name = info.name()
        if name in _KEPT_METHODS or name in _VIRTUAL_GETTERS or not name.isidentifier():
            continue
        capital = name[0].upper() + name[1:]
        getter = _getter(cls, name, capital)
        setter = getattr(cls, "set" + capital, None) if info.isWritable() else None
        if name == "visible":
            getter, setter = cls.isVisible, cls.setVisible
        setters[name] = setter
        setattr(cls, name, _attribute(name, getter, setter, info.isWritable()))
    if cls is QtCore.QObject:
        read, write = _getter(cls, "objectName", "ObjectName"), cls.setObjectName
        cls.name = property(lambda self: read(self), lambda self, value: write(self, value))


def _getter(cls, name, capital):
    for candidate in (name, "is" + capital, "has" + capital):
        value = getattr(cls, candidate, None)
        if isinstance(value, property):
            return value.fget
        if isinstance(value, types.BuiltinFunctionType):
            return lambda self, read=value: read()
        if callable(value) and not isinstance(value, QtCore.Signal):
            return value
    return None


def _attribute(name, getter, setter, writable):
    def get(self):
        return getter(self) if getter is not None else self.property(name)

    def put(self, value):
        if setter is None:
            self.setProperty(name, value)
        elif isinstance(setter, types.BuiltinFunctionType):
            setter(value)
        else:
            setter(self, value)

    return property(get, put if writable else None)


_own_classes = set()


def declare_host_class(cls):
    """Treat a host class as if C++ had it: attributes that it does not declare cannot be created."""
    _own_classes.add(cls)
    connections.declare_stand_in(cls.__module__)
    return cls


def _is_cpp_like(cls):
    return cls in _own_classes or cls.__module__.startswith("PySide6")


_read_attribute = QtCore.QObject.__getattribute__


def _guard_attributes(cls):
    read = vars(cls).get("__getattribute__", _read_attribute)

    def __getattribute__(self, name):
        # PySide's own signals call these with the sender first.
        if name == "connect":
            return lambda *args: connect(self, *args) if _by_text(args) else read(self, name)(*args)
        if name == "disconnect":
            return lambda *args: disconnect(self, *args) if _by_text(args) else read(self, name)(*args)
        value = read(self, name)
        return BoundSignal(self, value) if isinstance(value, QtCore.SignalInstance) else value

    cls.__getattribute__ = __getattribute__
    cls.__setattr__ = set_attribute
    if cls is QtCore.QObject:
        find_children, find_child = cls.findChildren, cls.findChild
        cls.findChildren = lambda self, *args: _find_children(find_children, self, *args)
        cls.findChild = lambda self, kind, name="": _find_child(find_child, self, kind, name)


def _by_text(args):
    return len(args) > 1 and isinstance(args[0], str)


_ui_loading = []


@contextlib.contextmanager
def ui_loading():
    """PySide's loader sets each child as an attribute of the top widget, which PythonQt's does not: ignore that."""
    _ui_loading.append(True)
    try:
        yield
    finally:
        _ui_loading.pop()


def set_attribute(self, name, value):
    """Set a Qt property; other attributes only on Python classes that derive from Qt's."""
    if isinstance(value, QtCore.SignalInstance):
        self.__dict__[name] = value  # PySide keeps a widget's signals so
        return
    if _ui_loading and not name.startswith("_") and isinstance(value, QtCore.QObject):
        return
    cls = type(self)
    descriptor = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if isinstance(descriptor, QtCore.Property):
        if descriptor.fset is None:
            raise AttributeError(f"Property {name!r} of {cls.__name__} cannot be written")
        descriptor.fset(self, value)
    elif hasattr(type(descriptor), "__set__"):
        descriptor.__set__(self, value)
    elif name.startswith("_") or not _is_cpp_like(cls):
        self.__dict__[name] = value
    elif descriptor is not None:
        raise AttributeError(f"Attribute {name!r} of {cls.__name__} is not a property and cannot be set")
    else:
        raise AttributeError(
            f"Attribute {name!r} does not exist on {cls.__name__} and creation of new attributes "
            "on C++ objects is not allowed"
        )


def _find_children(original, self, kind=None, name=""):
    if kind is None:
        kind = QtCore.QObject
    if isinstance(kind, str):
        found = [child for child in original(self, QtCore.QObject) if child.inherits(kind) or _named(child, kind)]
        return [child for child in found if not name or child.objectName == name]
    return original(self, kind, name) if name else original(self, kind)


def _find_child(original, self, kind, name=""):
    if isinstance(kind, str):
        found = _find_children(lambda owner, base: owner.findChildren(base), self, kind, name)
        return found[0] if found else None
    return original(self, kind, name) if name else original(self, kind)


def _named(child, kind):
    return any(base.__name__ == kind for base in type(child).__mro__)


_SIGNATURE = re.compile(r"^\s*2?\s*(\w+)\s*\((.*)\)\s*$")


def signal_of(sender, signature):
    """The bound signal for a signature in C++ text, e.g. ``valueChanged(int)``.

    Host classes list signals with C++ types that Python lacks in ``CPP_SIGNALS`` (signature -> attribute).

    Raises:
        ValueError: the sender has no such signal.
    """
    match = _SIGNATURE.match(signature)
    if not match:
        raise ValueError(f"{signature!r} is no signal signature, expected e.g. 'clicked(bool)'")
    name = match.group(1)
    normalized = bytes(QtCore.QMetaObject.normalizedSignature(f"{name}({match.group(2)})")).decode()
    for base in type(sender).__mro__:
        declared = vars(base).get("CPP_SIGNALS", {})
        if normalized in declared:
            return getattr(sender, declared[normalized])
    if sender.metaObject().indexOfSignal(normalized) < 0:
        raise ValueError(f"Signal {normalized!r} does not exist on {type(sender).__name__}")
    signal = getattr(sender, name)
    parameters = normalized[len(name) + 1 : -1]
    meta = sender.metaObject()
    overloads = [m for m in map(meta.method, range(meta.methodCount())) if bytes(m.name()).decode() == name]
    if not parameters and any(m.parameterCount() for m in overloads):
        return _WithoutValues(sender, normalized)
    return signal[parameters] if len(overloads) > 1 and parameters else signal


class _WithoutValues:
    """A signal by the shorter of its signatures, as ``clicked()``: functions are called without what it carries."""

    def __init__(self, sender, signature):
        self._sender, self._signature = sender, signature

    def connect(self, target):
        connection = QtCore.QObject.connect(self._sender, QtCore.SIGNAL(self._signature), target)
        if connection:
            connections.hold(self._sender, self._signature, target)
        return connection

    def disconnect(self, target):
        connections.let_go(self._sender, self._signature, target)
        return QtCore.QObject.disconnect(self._sender, QtCore.SIGNAL(self._signature), target)


def connect(sender, *args):
    """``connect(signature, callable)`` or ``connect(signature, receiver, slot signature)``: True if made."""
    if len(args) == 2 and isinstance(args[0], str) and callable(args[1]):
        signal_of(sender, args[0]).connect(args[1])
        return True
    if len(args) >= 3 and isinstance(args[0], str) and isinstance(args[2], str):
        slot = args[2].strip().lstrip("12").split("(")[0]
        signal_of(sender, args[0]).connect(getattr(args[1], slot))
        return True
    raise ValueError("connect expects (signature, callable) or (signature, receiver, slot)")


def disconnect(sender, *args):
    """The reverse of connect: True if the connection was there."""
    target = args[1] if len(args) == 2 else getattr(args[1], args[2].strip().lstrip("12").split("(")[0])
    try:
        return bool(signal_of(sender, args[0]).disconnect(target))
    except (RuntimeError, TypeError):
        return False

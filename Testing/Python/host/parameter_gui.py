"""Which widget can show which parameter type, and how it is read, written and followed.

Widget types are compared exactly, as in Slicer: a subclass of a supported widget is not supported.
"""

import enum
import logging
import math
import pathlib
import sys

from PySide6 import QtWidgets

from . import parameter_validators as validators
from .parameter_storage import node_classes, plain, split_annotations


class Connector:
    """A widget as a place to read and write a value."""

    def __init__(self, widget, signal, read, write):
        self.widget, self._signal, self._read, self._write = widget, signal, read, write
        self._callback = None

    def read(self):
        return self._read()

    def write(self, value):
        self._write(value)

    def onChanged(self, callback):
        """Follow the widget; None ends it."""
        if self._callback is not None and self._signal is not None:
            self._signal.disconnect(self._changed)
        self._callback = callback
        if callback is not None and self._signal is not None:
            self._signal.connect(self._changed)

    def _changed(self, *args):
        if self._callback is not None:
            self._callback()


def make(widget, kind):
    """A connector for a widget and a type.

    Raises:
        RuntimeError: the widget cannot show that type, or the type lacks a bound or Choice that it needs.
    """
    base = plain(kind)
    annotations = split_annotations(kind)[1]
    for offer in _OFFERS:
        connector = offer(widget, base, annotations, kind)
        if connector is not None:
            return connector
    raise RuntimeError(f"Unable to create GUI connector from datatype {kind!r} to widget type {type(widget).__name__}")


def _ctk():
    return sys.modules["ctk"]


def _slicer():
    return sys.modules["slicer"]


def _setter(widget, name):
    return lambda value: setattr(widget, name, value)


def _check_box(widget, base, annotations, kind):
    if base is bool and type(widget) in (QtWidgets.QCheckBox, _ctk().ctkCheckBox):
        return Connector(widget, widget.stateChanged, lambda: widget.checked, _setter(widget, "checked"))
    return None


def _push_button(widget, base, annotations, kind):
    if base is bool and type(widget) in (QtWidgets.QPushButton, _ctk().ctkCheckablePushButton):
        if not widget.checkable:
            logging.warning("Making push button checkable for conversion to bool: %s", widget.objectName)
            widget.checkable = True
        return Connector(widget, widget.toggled, lambda: widget.checked, _setter(widget, "checked"))
    return None


def _limits(annotations):
    within = validators.first(annotations, validators.WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    low, high = (validators.first(annotations, k) for k in (validators.Minimum, validators.Maximum))
    return (low.minimum if low else None, high.maximum if high else None)


def _integer(widget, base, annotations, kind):
    if base is not int or type(widget) not in (QtWidgets.QSlider, QtWidgets.QSpinBox):
        return None
    low, high = _limits(annotations)
    if type(widget) is QtWidgets.QSlider and (low is None or high is None):
        raise RuntimeError("Cannot have a connection to QSlider where the int type is unbounded.")
    step = validators.first(annotations, validators.SingleStep)
    if step is not None:
        widget.singleStep = int(step.value)
    widget.setRange(-(2**31) if low is None else low, 2**31 - 1 if high is None else high)
    return Connector(widget, widget.valueChanged, lambda: widget.value, _setter(widget, "value"))


def _real(widget, base, annotations, kind):
    ctk, slicer = _ctk(), _slicer()
    sliders = (ctk.ctkSliderWidget, slicer.qMRMLSliderWidget)
    known = (*sliders, QtWidgets.QDoubleSpinBox, ctk.ctkDoubleSlider, ctk.ctkDoubleSpinBox, slicer.qMRMLSpinBox)
    if base not in (int, float) or type(widget) not in known:
        return None
    low, high = _limits(annotations)
    if type(widget) in sliders and (low is None or high is None):
        raise RuntimeError("Cannot have a connection to ctkSliderWidget where the float types is unbounded.")
    decimals = validators.first(annotations, validators.Decimals)
    if type(widget) is not ctk.ctkDoubleSlider:
        if base is int:
            widget.decimals = 0
        elif decimals is not None:
            widget.decimals = decimals.value
    step = validators.first(annotations, validators.SingleStep)
    if step is not None:
        widget.singleStep = step.value
    widget.minimum = -math.inf if low is None else low
    widget.maximum = math.inf if high is None else high
    convert = int if base is int else float
    return Connector(
        widget,
        widget.valueChanged,
        lambda: convert(widget.value),
        lambda value: setattr(widget, "value", convert(value)),
    )


def _choices(widget, base, annotations, kind):
    if type(widget) not in (QtWidgets.QComboBox, _ctk().ctkComboBox):
        return None
    if base in (int, float, str, bool):
        choice = validators.first(annotations, validators.Choice)
        if choice is None:
            raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
        values = list(choice.choices)
        labels = [str(value) for value in values]
        saved = None
    elif isinstance(base, type) and issubclass(base, enum.Enum):
        values = list(base)
        label = getattr(base, "label", lambda member: member.name)
        labels = [label(value) for value in values]
        saved = values[widget.currentIndex]
    else:
        return None
    widget.clear()
    for text in labels:
        widget.addItem(text)

    def write(value):
        if value not in values:
            raise ValueError(f"Unable to find value {value} in choices {values}")
        widget.currentIndex = values.index(value)

    if saved is not None:
        write(saved)
    return Connector(widget, widget.currentIndexChanged, lambda: values[widget.currentIndex], write)


def _text(widget, base, annotations, kind):
    if base is not str:
        return None
    if type(widget) is QtWidgets.QLineEdit:

        def write(value):
            if value != widget.text:
                widget.text = value

        return Connector(widget, widget.textChanged, lambda: widget.text, write)
    if type(widget) is QtWidgets.QLabel:
        return Connector(widget, None, lambda: widget.text, _setter(widget, "text"))
    if type(widget) is QtWidgets.QTextEdit:
        return Connector(widget, widget.textChanged, widget.toPlainText, widget.setPlainText)
    return None


def _path(widget, base, annotations, kind):
    if not (isinstance(base, type) and issubclass(base, pathlib.PurePath)):
        return None
    ctk = _ctk()
    if type(widget) is ctk.ctkPathLineEdit:
        return Connector(
            widget,
            widget.currentPathChanged,
            lambda: base(widget.currentPath),
            lambda value: setattr(widget, "currentPath", str(value)),
        )
    if type(widget) is ctk.ctkDirectoryButton:
        return Connector(
            widget,
            widget.directoryChanged,
            lambda: base(widget.directory),
            lambda value: setattr(widget, "directory", str(value)),
        )
    return None


def _range(widget, base, annotations, kind):
    ctk, slicer = _ctk(), _slicer()
    known = (ctk.ctkRangeWidget, ctk.ctkDoubleRangeSlider, slicer.qMRMLRangeWidget)
    if getattr(base, "__name__", "") != "FloatRange" or type(widget) not in known:
        return None
    bounds = validators.first(annotations, validators.RangeBounds)
    if bounds is None:
        raise RuntimeError("Cannot have a connection to a range widget where the float is unbounded.")
    widget.setRange(bounds.minimum, bounds.maximum)
    return Connector(
        widget,
        widget.valuesChanged,
        lambda: base(widget.minimumValue, widget.maximumValue),
        lambda value: widget.setValues(value.minimum, value.maximum),
    )


def _node(widget, base, annotations, kind):
    classes = node_classes(kind)
    if not classes or type(widget) is not _slicer().qMRMLNodeComboBox:
        return None
    widget.nodeTypes = classes
    return Connector(widget, widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)


_OFFERS = (_check_box, _push_button, _integer, _real, _choices, _text, _path, _range, _node)

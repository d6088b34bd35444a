"""Which widget can show which type of parameter, and how it is read, written and followed.

Classes of widgets are compared exactly: a subclass of a supported widget is not supported.
"""

import abc
import dataclasses

import ctk
import qt
import slicer

from .types import first, node_class_names, split_annotations
from .validators import Choice, Maximum, Minimum, WithinRange


@dataclasses.dataclass
class Decimals:
    """Annotation: digits that a spin box or slider shows."""

    value: int


@dataclasses.dataclass
class SingleStep:
    """Annotation: step of a spin box or slider."""

    value: float


class GuiConnector(abc.ABC):
    """A widget as a place to read and write a value."""

    def __init__(self, widget):
        self._widget, self._callback = widget, None

    def widget(self):
        return self._widget

    def onChanged(self, callback):
        """Follow the widget; None ends it."""
        self._callback = callback
        if callback is None:
            self._signal().disconnect(self.changed)
        else:
            self._signal().connect(self.changed)

    def changed(self):
        if self._callback:
            self._callback()

    @abc.abstractmethod
    def _signal(self):
        """The signal of the widget that says that its value changed."""

    @abc.abstractmethod
    def read(self):
        """The widget's value."""

    @abc.abstractmethod
    def write(self, value):
        """Let the widget show a value."""


class _Checked(GuiConnector):
    def _signal(self):
        return self._widget.stateChanged if hasattr(self._widget, "stateChanged") else self._widget.toggled

    def read(self):
        return self._widget.checked

    def write(self, value):
        self._widget.checked = value


class _Number(GuiConnector):
    def __init__(self, widget, kind):
        super().__init__(widget)
        self._kind = kind

    def _signal(self):
        return self._widget.valueChanged

    def read(self):
        return self._kind(self._widget.value)

    def write(self, value):
        self._widget.value = self._kind(value)


class _Text(GuiConnector):
    def _signal(self):
        return self._widget.textChanged

    def read(self):
        return self._widget.text

    def write(self, value):
        if value != self._widget.text:  # setting the same text would move the cursor
            self._widget.text = value


class _Choices(GuiConnector):
    def __init__(self, widget, choices):
        super().__init__(widget)
        self._choices = choices
        widget.clear()
        for choice in choices:
            widget.addItem(str(choice))

    def _signal(self):
        return self._widget.currentIndexChanged

    def read(self):
        return self._choices[self._widget.currentIndex]

    def write(self, value):
        if value not in self._choices:
            raise ValueError(f"{value!r} is none of {self._choices}")
        self._widget.currentIndex = list(self._choices).index(value)


class _Node(GuiConnector):
    def __init__(self, widget, class_names):
        super().__init__(widget)
        widget.nodeTypes = class_names

    def _signal(self):
        return self._widget.currentNodeChanged

    def read(self):
        return self._widget.currentNode()

    def write(self, value):
        self._widget.setCurrentNode(value)


def _limits(annotations, low, high):
    within = first(annotations, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    least, most = first(annotations, Minimum), first(annotations, Maximum)
    return (low if least is None else least.minimum), (high if most is None else most.maximum)


def _bounded(annotations):
    return None not in _limits(annotations, None, None)


def _checked(widget, kind, annotations):
    if kind is not bool or type(widget) not in (qt.QCheckBox, ctk.ctkCheckBox):
        return None
    return _Checked(widget)


def _integer(widget, kind, annotations):
    if kind is not int or type(widget) not in (qt.QSlider, qt.QSpinBox):
        return None
    if isinstance(widget, qt.QSlider) and not _bounded(annotations):
        raise RuntimeError("A QSlider needs a parameter with bounds")
    for annotation, name in ((Decimals, "decimals"), (SingleStep, "singleStep")):
        if first(annotations, annotation) is not None:
            setattr(widget, name, first(annotations, annotation).value)
    widget.setRange(*_limits(annotations, -(2**31), 2**31 - 1))
    return _Number(widget, int)


def _real(widget, kind, annotations):
    sliders = (ctk.ctkSliderWidget, slicer.qMRMLSliderWidget)
    boxes = (qt.QDoubleSpinBox, ctk.ctkDoubleSlider, ctk.ctkDoubleSpinBox, slicer.qMRMLSpinBox)
    if kind not in (int, float) or type(widget) not in sliders + boxes:
        return None
    if not isinstance(widget, ctk.ctkDoubleSlider):
        decimals = Decimals(0) if kind is int else first(annotations, Decimals)
        if decimals is not None:
            widget.decimals = decimals.value
    if first(annotations, SingleStep) is not None:
        widget.singleStep = first(annotations, SingleStep).value
    if type(widget) in sliders and not _bounded(annotations):
        raise RuntimeError("A ctkSliderWidget needs a parameter with bounds")
    widget.minimum, widget.maximum = _limits(annotations, float("-inf"), float("inf"))
    return _Number(widget, int if kind is int else float)


def _choices(widget, kind, annotations):
    if type(widget) not in (qt.QComboBox, ctk.ctkComboBox):
        return None
    if not isinstance(kind, type):
        raise TypeError(f"A combo box cannot show the union {kind}")
    if kind not in (int, float, str, bool):
        return None
    choice = first(annotations, Choice)
    if choice is None:
        raise RuntimeError("A combo box needs a parameter with the annotation Choice")
    return _Choices(widget, choice.choices)


def _text(widget, kind, annotations):
    return _Text(widget) if kind is str and type(widget) is qt.QLineEdit else None


def _node(widget, kind, annotations):
    class_names = node_class_names(kind)
    if not class_names or type(widget) is not slicer.qMRMLNodeComboBox:
        return None
    return _Node(widget, class_names)


def createGuiConnector(widget, datatype):
    """A connector for a widget and a type.

    Raises:
        RuntimeError: the widget cannot show that type, or the type lacks bounds or a Choice that it needs.
    """
    kind, annotations = split_annotations(datatype)
    for offer in (_checked, _integer, _real, _choices, _text, _node):
        connector = offer(widget, kind, annotations)
        if connector is not None:
            return connector
    raise RuntimeError(f"No connector between a parameter of type {datatype} and a {type(widget).__name__}")

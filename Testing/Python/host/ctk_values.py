"""CTK's widgets of real numbers: spin boxes, sliders, ranges."""

import math

from PySide6 import QtCore, QtWidgets

from .ctk_classes import ctk_widget

Property, Signal = QtCore.Property, QtCore.Signal


@ctk_widget
class ctkDoubleSpinBox(QtWidgets.QWidget):
    """A spin box of real numbers."""

    valueChanged = Signal(float)
    decimalsChanged = Signal(int)
    editingFinished = Signal()

    def __init__(self, parent=None):
        super().__init__(parent)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._spin)
        self._spin.valueChanged.connect(self.valueChanged)
        self._spin.editingFinished.connect(self.editingFinished)

    def setValue(self, value):
        self._spin.setValue(value)

    def setRange(self, minimum, maximum):
        self._spin.setRange(_finite(minimum), _finite(maximum))

    def setMinimum(self, value):
        self._spin.setMinimum(_finite(value))

    def setMaximum(self, value):
        self._spin.setMaximum(_finite(value))

    def setDecimals(self, value):
        self._spin.setDecimals(value)

    def setSingleStep(self, value):
        self._spin.setSingleStep(value)

    value = Property(float, lambda self: self._spin.value, setValue)
    minimum = Property(float, lambda self: self._spin.minimum, setMinimum)
    maximum = Property(float, lambda self: self._spin.maximum, setMaximum)
    decimals = Property(int, lambda self: self._spin.decimals, setDecimals)
    singleStep = Property(float, lambda self: self._spin.singleStep, setSingleStep)
    suffix = Property(str, lambda self: self._spin.suffix, lambda self, text: self._spin.setSuffix(text))
    prefix = Property(str, lambda self: self._spin.prefix, lambda self, text: self._spin.setPrefix(text))


def _finite(value):
    return value if math.isfinite(value) else math.copysign(1e300, value)


@ctk_widget
class ctkDoubleSlider(QtWidgets.QWidget):
    """A slider of real numbers."""

    valueChanged = Signal(float)
    sliderReleased = Signal()

    def __init__(self, *args):
        orientation = next((a for a in args if isinstance(a, QtCore.Qt.Orientation)), QtCore.Qt.Horizontal)
        super().__init__(next((a for a in args if isinstance(a, QtWidgets.QWidget)), None))
        self._slider = QtWidgets.QSlider(orientation, self)
        self._slider.setRange(0, 1000)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        self._minimum, self._maximum, self._value, self._step = 0.0, 99.0, 0.0, 1.0
        self._moving = False
        self._slider.valueChanged.connect(self._from_slider)
        self._slider.sliderReleased.connect(self.sliderReleased)

    def _from_slider(self, position):
        if self._moving:
            return
        value = self._minimum + (self._maximum - self._minimum) * position / 1000
        self.setValue(round(value / self._step) * self._step if self._step else value)

    def setValue(self, value):
        value = min(max(float(value), self._minimum), self._maximum)
        changed = value != self._value
        self._value = value
        self._moving = True
        span = self._maximum - self._minimum
        self._slider.setValue(round(1000 * (value - self._minimum) / span) if span > 0 else 0)
        self._moving = False
        if changed:
            self.valueChanged.emit(value)

    def setRange(self, minimum, maximum):
        self._minimum, self._maximum = float(minimum), float(max(minimum, maximum))
        self.setValue(self._value)

    def setMinimum(self, value):
        self.setRange(value, max(value, self._maximum))

    def setMaximum(self, value):
        self.setRange(min(value, self._minimum), value)

    def setSingleStep(self, value):
        self._step = float(value)

    value = Property(float, lambda self: self._value, setValue)
    minimum = Property(float, lambda self: self._minimum, setMinimum)
    maximum = Property(float, lambda self: self._maximum, setMaximum)
    singleStep = Property(float, lambda self: self._step, setSingleStep)


@ctk_widget
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider = ctkDoubleSlider(self)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin)
        self._value, self._page, self._tracking = 0.0, 10.0, True
        self._slider.valueChanged.connect(self.setValue)
        self._spin.valueChanged.connect(self.setValue)
        self.setRange(0.0, 99.0)

    def setValue(self, value):
        value = round(min(max(float(value), self.minimum), self.maximum), self._spin.decimals)
        changed = value != self._value
        self._value = value
        for part in (self._slider, self._spin):
            blocked = part.blockSignals(True)
            part.setValue(value)
            part.blockSignals(blocked)
        if changed:
            self.valueChanged.emit(value)

    def setRange(self, minimum, maximum):
        self._slider.setRange(minimum, maximum)
        blocked = self._spin.blockSignals(True)
        self._spin.setRange(minimum, maximum)
        self._spin.blockSignals(blocked)
        self.setValue(self._value)

    def setMinimum(self, value):
        self.setRange(value, max(value, self.maximum))

    def setMaximum(self, value):
        self.setRange(min(value, self.minimum), value)

    def setDecimals(self, value):
        self._spin.setDecimals(value)

    def setSingleStep(self, value):
        self._slider.setSingleStep(value)
        self._spin.setSingleStep(value)

    def spinBox(self):
        return self._spin

    def slider(self):
        return self._slider

    value = Property(float, lambda self: self._value, setValue)
    minimum = Property(float, lambda self: self._slider.minimum, setMinimum)
    maximum = Property(float, lambda self: self._slider.maximum, setMaximum)
    decimals = Property(int, lambda self: self._spin.decimals, setDecimals)
    singleStep = Property(float, lambda self: self._spin.singleStep, setSingleStep)
    pageStep = Property(float, lambda self: self._page, lambda self, value: setattr(self, "_page", value))
    suffix = Property(str, lambda self: self._spin.suffix, lambda self, text: self._spin.setSuffix(text))
    prefix = Property(str, lambda self: self._spin.prefix, lambda self, text: self._spin.setPrefix(text))
    tracking = Property(bool, lambda self: self._tracking, lambda self, value: setattr(self, "_tracking", value))
    spinBoxVisible = Property(
        bool, lambda self: not self._spin.isHidden(), lambda self, value: self._spin.setVisible(value)
    )


@ctk_widget
class ctkRangeWidget(QtWidgets.QWidget):
    """Two numbers, the lower never above the upper."""

    valuesChanged = Signal(float, float)
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._low, self._high = QtWidgets.QDoubleSpinBox(self), QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._low)
        layout.addWidget(self._high)
        self._values = (0.0, 99.0)
        self.setRange(0.0, 99.0)
        self.setValues(0.0, 99.0)
        self._low.valueChanged.connect(lambda value: self.setValues(value, max(value, self._values[1])))
        self._high.valueChanged.connect(lambda value: self.setValues(min(value, self._values[0]), value))

    def setRange(self, minimum, maximum):
        for spin in (self._low, self._high):
            blocked = spin.blockSignals(True)
            spin.setRange(minimum, maximum)
            spin.blockSignals(blocked)
        self.setValues(*self._values)

    def setValues(self, low, high):
        values = tuple(min(max(float(v), self._low.minimum), self._low.maximum) for v in (low, high))
        old, self._values = self._values, values
        for spin, value in zip((self._low, self._high), values):
            blocked = spin.blockSignals(True)
            spin.setValue(value)
            spin.blockSignals(blocked)
        if old[0] != values[0]:
            self.minimumValueChanged.emit(values[0])
        if old[1] != values[1]:
            self.maximumValueChanged.emit(values[1])
        if old != values:
            self.valuesChanged.emit(*values)

    def _set_decimals(self, value):
        self._low.setDecimals(value)
        self._high.setDecimals(value)

    def _set_step(self, value):
        self._low.setSingleStep(value)
        self._high.setSingleStep(value)

    minimumValue = Property(
        float, lambda self: self._values[0], lambda self, v: self.setValues(v, max(v, self._values[1]))
    )
    maximumValue = Property(
        float, lambda self: self._values[1], lambda self, v: self.setValues(min(v, self._values[0]), v)
    )
    minimum = Property(float, lambda self: self._low.minimum, lambda self, v: self.setRange(v, self._low.maximum))
    maximum = Property(float, lambda self: self._low.maximum, lambda self, v: self.setRange(self._low.minimum, v))
    decimals = Property(int, lambda self: self._low.decimals, _set_decimals)
    singleStep = Property(float, lambda self: self._low.singleStep, _set_step)


@ctk_widget
class ctkDoubleRangeSlider(ctkRangeWidget):
    """The range without spin boxes; drawn here as the range widget."""

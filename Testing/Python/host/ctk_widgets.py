"""The ``ctk`` module: CTK's widgets over Qt, with the properties and signals that modules use."""

import math
import types
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import declare_host_class
from .ui_files import custom_widget, custom_widgets

Property, Signal = QtCore.Property, QtCore.Signal


def ctk_widget(cls):
    """Declare a class as one of CTK's: offered to .ui files and to the ctk module."""
    return custom_widget(declare_host_class(cls))


def build():
    """Make the ``ctk`` module."""
    module = types.ModuleType("ctk", "CTK as 3D Slicer's Python sees it")
    for name, cls in custom_widgets.items():
        if name.startswith("ctk"):
            setattr(module, name, cls)
    module.ctkWidgetsUtils = ctkWidgetsUtils
    module.ctkFlowLayout = ctkFlowLayout
    return module


@ctk_widget
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A titled section that opens and closes."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *args):
        text = args[0] if args and isinstance(args[0], str) else ""
        parent = next((a for a in args if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self._collapsed = False
        self._flat = False
        self._height_collapsed = 0
        self._hidden_by_collapse = []
        self.setCheckable(True)
        self.setChecked(True)
        if text:
            self.setText(text)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._header_height(), 0, 0)
        self.toggled.connect(lambda opened: self.setCollapsed(not opened))

    def _header_height(self):
        return self.fontMetrics().height() + 10

    def _collapsed_value(self):
        return self._collapsed

    def setCollapsed(self, collapsed):
        if collapsed == self._collapsed:
            return
        self._collapsed = bool(collapsed)
        children = [c for c in self.children() if isinstance(c, QtWidgets.QWidget)]
        if self._collapsed:
            self._hidden_by_collapse = [c for c in children if not c.isHidden()]
            for child in self._hidden_by_collapse:
                child.hide()
            self.setMaximumHeight(self._header_height())
        else:
            self.setMaximumHeight(16777215)
            for child in self._hidden_by_collapse:
                child.show()
            self._hidden_by_collapse = []
        self.setChecked(not self._collapsed)
        self.updateGeometry()
        self.contentsCollapsed.emit(self._collapsed)

    def childEvent(self, event):
        super().childEvent(event)
        if self._collapsed and event.type() == QtCore.QEvent.ChildPolished:
            child = event.child()
            if isinstance(child, QtWidgets.QWidget) and not child.isHidden():
                self._hidden_by_collapse.append(child)
                child.hide()

    collapsed = Property(bool, _collapsed_value, setCollapsed)
    flat = Property(bool, lambda self: self._flat, lambda self, value: setattr(self, "_flat", value))
    collapsedHeight = Property(
        int, lambda self: self._height_collapsed, lambda self, value: setattr(self, "_height_collapsed", value)
    )

    def sizeHint(self):
        header = self._header_height()
        width = self.fontMetrics().horizontalAdvance(self.text) + 40
        layout = self.layout()
        if layout is None or self._collapsed:
            return QtCore.QSize(width, header)
        return layout.totalSizeHint().expandedTo(QtCore.QSize(width, header))

    def minimumSizeHint(self):
        layout = self.layout()
        header = self._header_height()
        if layout is None or self._collapsed:
            return QtCore.QSize(header, header)
        return layout.totalMinimumSize().expandedTo(QtCore.QSize(header, header))

    def hitButton(self, position):
        return position.y() <= self._header_height()

    def paintEvent(self, event):
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._header_height())
        option.state |= QtWidgets.QStyle.State_Raised
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        size = 9
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(9, (option.rect.height() - size) // 2, size, size)
        primitive = QtWidgets.QStyle.PE_IndicatorArrowRight
        if not self._collapsed:
            primitive = QtWidgets.QStyle.PE_IndicatorArrowDown
        painter.drawPrimitive(primitive, arrow)
        text_rect = option.rect.adjusted(26, 0, -4, 0)
        flags = QtCore.Qt.AlignLeft | QtCore.Qt.AlignVCenter | QtCore.Qt.TextShowMnemonic
        painter.drawText(text_rect, int(flags), self.text)


@ctk_widget
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box that closes."""

    def __init__(self, *args):
        super().__init__(*args)
        self.setCheckable(True)
        self.toggled.connect(self._show_contents)

    def _show_contents(self, opened):
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(opened)

    def setCollapsed(self, collapsed):
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: not self.checked, setCollapsed)
    collapsedHeight = Property(int, lambda self: 14, lambda self, value: None)


@declare_host_class
class ctkFlowLayout(QtWidgets.QVBoxLayout):
    """Widgets in rows; here below each other."""

    def __init__(self, *args):
        super().__init__(*args)
        self._directions = QtCore.Qt.Horizontal

    preferredExpandingDirections = Property(
        QtCore.Qt.Orientations, lambda self: self._directions, lambda self, value: setattr(self, "_directions", value))


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


@ctk_widget
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box that shows a default text while nothing is chosen."""

    defaultText = Property(str, lambda self: self.placeholderText, lambda self, text: self.setPlaceholderText(text))

    def setDefaultText(self, text):
        self.setPlaceholderText(text)


@ctk_widget
class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box."""


@ctk_widget
class ctkCheckablePushButton(QtWidgets.QPushButton):
    """A push button with a check box."""

    checkBoxToggled = Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._controls_button, self._controls_toggle = False, True

    checkBoxControlsButton = Property(
        bool, lambda self: self._controls_button, lambda self, value: setattr(self, "_controls_button", value)
    )
    checkBoxControlsButtonToggleState = Property(
        bool, lambda self: self._controls_toggle, lambda self, value: setattr(self, "_controls_toggle", value)
    )


@ctk_widget
class ctkMenuButton(QtWidgets.QPushButton):
    """A push button with a menu of its own."""


@ctk_widget
class ctkExpandButton(QtWidgets.QToolButton):
    """A tool button that shows which way it opens."""


@ctk_widget
class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with a browse button and a history."""

    Dirs, Drives, Files = QtCore.QDir.Dirs, QtCore.QDir.Drives, QtCore.QDir.Files
    NoDot, NoDotDot = QtCore.QDir.NoDot, QtCore.QDir.NoDotDot
    Readable, Writable, Executable = QtCore.QDir.Readable, QtCore.QDir.Writable, QtCore.QDir.Executable
    Hidden = QtCore.QDir.Hidden

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        layout.addWidget(self._button)
        self._path, self._label, self._name_filters, self._key = "", "", [], ""
        self._filters = QtCore.QDir.AllEntries
        self._combo.currentTextChanged.connect(self.setCurrentPath)
        self._button.clicked.connect(lambda *_: self.browse())

    def setCurrentPath(self, path):
        path = str(path)
        if path == self._path:
            return
        self._path = path
        blocked = self._combo.blockSignals(True)
        self._combo.setEditText(path)
        self._combo.blockSignals(blocked)
        self.currentPathChanged.emit(path)

    def browse(self):
        directory = bool(self._filters & QtCore.QDir.Dirs) and not self._filters & QtCore.QDir.Files
        ask = QtWidgets.QFileDialog.getExistingDirectory if directory else QtWidgets.QFileDialog.getOpenFileName
        path = ask(self, self._label, self._path)
        if path:
            self.setCurrentPath(path)

    def addCurrentPathToHistory(self):
        if self._path and self._combo.findText(self._path) < 0:
            blocked = self._combo.blockSignals(True)
            self._combo.insertItem(0, self._path)
            self._combo.blockSignals(blocked)

    def _set_filters(self, value):
        self._filters = QtCore.QDir.Filter(value) if isinstance(value, int) else value

    currentPath = Property(str, lambda self: self._path, setCurrentPath)
    label = Property(str, lambda self: self._label, lambda self, text: setattr(self, "_label", text))
    settingKey = Property(str, lambda self: self._key, lambda self, text: setattr(self, "_key", text))
    nameFilters = Property(
        "QStringList", lambda self: self._name_filters, lambda self, rows: setattr(self, "_name_filters", list(rows))
    )
    filters = Property(object, lambda self: self._filters, _set_filters)
    showHistoryButton = Property(bool, lambda self: False, lambda self, value: None)
    showBrowseButton = Property(
        bool, lambda self: not self._button.isHidden(), lambda self, value: self._button.setVisible(value)
    )


@ctk_widget
class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder."""

    directoryChanged = Signal(str)
    directorySelected = Signal(str)

    def __init__(self, *args):
        super().__init__(next((a for a in args if isinstance(a, QtWidgets.QWidget)), None))
        self._directory, self._caption = str(Path.cwd()), ""
        self._button = QtWidgets.QPushButton(self._directory, self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._button.clicked.connect(lambda *_: self.browse())

    def setDirectory(self, path):
        path = str(path)
        if path != self._directory:
            self._directory = path
            self._button.setText(path)
            self.directoryChanged.emit(path)

    def browse(self):
        path = QtWidgets.QFileDialog.getExistingDirectory(self, self._caption, self._directory)
        if path:
            self.setDirectory(path)
            self.directorySelected.emit(path)

    directory = Property(str, lambda self: self._directory, setDirectory)
    caption = Property(str, lambda self: self._caption, lambda self, text: setattr(self, "_caption", text))


@ctk_widget
class ctkColorPickerButton(QtWidgets.QPushButton):
    """A button that shows a color."""

    colorChanged = Signal(QtGui.QColor)

    def __init__(self, *args):
        super().__init__(next((a for a in args if isinstance(a, QtWidgets.QWidget)), None))
        self._color = QtGui.QColor("black")
        self._show_name = True

    def setColor(self, color):
        color = QtGui.QColor(color)
        if color != self._color:
            self._color = color
            self.colorChanged.emit(color)

    color = Property(QtGui.QColor, lambda self: self._color, setColor)
    displayColorName = Property(
        bool, lambda self: self._show_name, lambda self, value: setattr(self, "_show_name", value)
    )


@ctk_widget
class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    """A text browser as high as its text."""

    collapsibleText = Property(bool, lambda self: False, lambda self, value: None)


@ctk_widget
class ctkSearchBox(QtWidgets.QLineEdit):
    """A line to search with."""


@ctk_widget
class ctkDynamicSpacer(QtWidgets.QWidget):
    """Space that can be switched off."""


@ctk_widget
class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box with "don't show again"; exec records, see `message_boxes`."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._settings_key = ""

    dontShowAgainSettingsKey = Property(
        str, lambda self: self._settings_key, lambda self, key: setattr(self, "_settings_key", key)
    )


class ctkWidgetsUtils:
    """Functions on widgets."""

    @staticmethod
    def grabWidget(widget):
        return widget.grab().toImage()

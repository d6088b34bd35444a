"""The ``ctk`` module: CTK's widgets over Qt, with the properties and signals that modules use."""

import types
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from . import ctk_combo_box, ctk_values  # noqa: F401  # declare their classes
from .ctk_classes import ctk_widget
from .pythonqt import declare_host_class
from .ui_files import custom_widgets

Property, Signal = QtCore.Property, QtCore.Signal


def build():
    """Make the ``ctk`` module."""
    module = types.ModuleType("ctk", "CTK as 3D Slicer's Python sees it")
    for name, cls in custom_widgets.items():
        if name.startswith("ctk"):
            setattr(module, name, cls)
    module.ctkSettings = ctkSettings
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
        self._collapsed = self._forcing = False
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
                self._force_hidden(child)
            self.setMaximumHeight(self._header_height())
        else:
            self.setMaximumHeight(16777215)
            shown, self._hidden_by_collapse = self._hidden_by_collapse, []
            for child in shown:
                child.show()
        self.setChecked(not self._collapsed)
        self.updateGeometry()
        self.contentsCollapsed.emit(self._collapsed)

    def eventFilter(self, child, event):
        """A child that is shown or hidden while the section is closed is so once it opens."""
        if self._collapsed and not self._forcing and isinstance(child, QtWidgets.QWidget):
            if event.type() == QtCore.QEvent.ShowToParent:
                if child not in self._hidden_by_collapse:
                    self._hidden_by_collapse.append(child)
                self._force_hidden(child)
            elif event.type() == QtCore.QEvent.HideToParent and child in self._hidden_by_collapse:
                self._hidden_by_collapse.remove(child)
        return super().eventFilter(child, event)

    def _force_hidden(self, child):
        """Hide a child without the mark of an explicit hide, so that Qt tells when it is hidden by others."""
        self._forcing = True
        try:
            child.hide()
            child.setAttribute(QtCore.Qt.WA_WState_ExplicitShowHide, False)
        finally:
            self._forcing = False

    def childEvent(self, event):
        super().childEvent(event)
        if event.type() == QtCore.QEvent.ChildPolished and isinstance(event.child(), QtWidgets.QWidget):
            event.child().installEventFilter(self)
        if self._collapsed and event.type() == QtCore.QEvent.ChildPolished:
            child = event.child()
            if isinstance(child, QtWidgets.QWidget) and not child.isHidden():
                self._hidden_by_collapse.append(child)
                self._force_hidden(child)

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


@declare_host_class
class ctkSettings(QtCore.QSettings):
    """The application's settings."""


class ctkWidgetsUtils:
    """Functions on widgets."""

    @staticmethod
    def grabWidget(widget):
        return widget.grab().toImage()

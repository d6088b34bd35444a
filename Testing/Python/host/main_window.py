"""The main window with the module selector."""

from PySide6 import QtCore, QtWidgets

from .pythonqt import declare_host_class


@declare_host_class
class ModuleSelector(QtCore.QObject):
    """Chooses the module that is shown; calls exit of the old and enter of the new one."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, window, manager):
        super().__init__(window)
        self._window = window
        self._manager = manager
        self._selected = ""

    def selectModule(self, name):
        if name == self._selected:
            return
        if name and self._manager.module(name) is None:
            raise RuntimeError(f"There is no module {name!r}")
        old = self._manager.module(self._selected) if self._selected else None
        if old is not None and old.hasWidgetRepresentation():
            old.widgetRepresentation().exit()
        self._selected = name
        if name:
            widget = self._manager.module(name).widgetRepresentation()
            if widget is not None:
                self._window.show_module(widget)
                widget.enter()
        self.moduleSelected.emit(name)

    selectedModule = QtCore.Property(str, lambda self: self._selected)


@declare_host_class
class qSlicerMainWindow(QtWidgets.QMainWindow):
    """Holds the module panel, the status bar and the selector."""

    def __init__(self, manager):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = ModuleSelector(self, manager)
        self._stack = QtWidgets.QStackedWidget(self)
        self.setCentralWidget(self._stack)
        self.statusBar()
        self.menuBar().addMenu("File").setObjectName("FileMenu")

    def moduleSelector(self):
        return self._selector

    def pythonConsole(self):
        return None

    def show_module(self, widget):
        """Make a module's panel the visible one; as in Slicer it is as high as it needs to be, and scrolled."""
        areas = (self._stack.widget(index) for index in range(self._stack.count))
        area = next((area for area in areas if area.widget() is widget), None)
        if area is None:
            area = QtWidgets.QScrollArea()
            area.setWidgetResizable(True)
            area.setFrameShape(QtWidgets.QFrame.NoFrame)
            area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
            area.setWidget(widget)
            widget.destroyed.connect(area.deleteLater)
            self._stack.addWidget(area)
        self._stack.setCurrentWidget(area)

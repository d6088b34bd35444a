"""slicer.app.moduleManager() and the modules it knows: slicer-core's logics and our scripted modules."""

import importlib.util
import sys
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .mrml_widgets import mrml_widget, qSlicerWidget
from .pythonqt import declare_host_class


@declare_host_class
class CoreModule(QtCore.QObject):
    """A module of Slicer itself: a name and the real logic."""

    def __init__(self, name, logic, parent=None):
        super().__init__(parent)
        self._name, self._logic = name, logic
        self.setObjectName(name)

    name = QtCore.Property(str, lambda self: self._name)
    title = QtCore.Property(str, lambda self: self._name)
    path = QtCore.Property(str, lambda self: "")

    def logic(self):
        return self._logic

    def hasWidgetRepresentation(self):
        return False

    def widgetRepresentation(self):
        return None


@declare_host_class
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The C++ side of a scripted module: holds what the Python class sets, makes the widget."""

    _TEXTS = ("title", "helpText", "acknowledgementText")
    _LISTS = ("categories", "dependencies", "contributors", "associatedNodeTypes")

    def __init__(self, path, parent=None):
        super().__init__(parent)
        self._path = str(path)
        self._name = Path(path).stem
        self.setObjectName(self._name)
        self._values = dict.fromkeys(self._TEXTS, "") | {key: [] for key in self._LISTS}
        self._values |= {"hidden": False, "icon": QtGui.QIcon(), "index": -1}
        self._values["widgetRepresentationCreationEnabled"] = True
        self._python = None
        self._widget = None
        self._logic = slicer.vtkSlicerScriptedLoadableModuleLogic()

    def _text(key):
        def put(self, value):
            if not isinstance(value, str):
                raise TypeError(f"{key} expects a text, got {type(value).__name__}")
            self._values[key] = value

        return QtCore.Property(str, lambda self: self._values[key], put)

    def _texts(key):
        def put(self, value):
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise TypeError(f"{key} expects a list of texts, got {value!r}")
            self._values[key] = list(value)

        return QtCore.Property("QStringList", lambda self: list(self._values[key]), put)

    title, helpText, acknowledgementText = _text("title"), _text("helpText"), _text("acknowledgementText")
    categories, dependencies = _texts("categories"), _texts("dependencies")
    contributors, associatedNodeTypes = _texts("contributors"), _texts("associatedNodeTypes")
    hidden = QtCore.Property(
        bool, lambda self: self._values["hidden"], lambda self, value: self._values.update(hidden=value)
    )
    index = QtCore.Property(
        int, lambda self: self._values["index"], lambda self, value: self._values.update(index=value)
    )
    icon = QtCore.Property(
        QtGui.QIcon, lambda self: self._values["icon"], lambda self, value: self._values.update(icon=value)
    )
    widgetRepresentationCreationEnabled = QtCore.Property(
        bool,
        lambda self: self._values["widgetRepresentationCreationEnabled"],
        lambda self, value: self._values.update(widgetRepresentationCreationEnabled=value),
    )
    name = QtCore.Property(str, lambda self: self._name)
    path = QtCore.Property(str, lambda self: self._path)
    defaultDocumentationLink = QtCore.Property(
        str, lambda self: f'<p><a href="{slicer.app.moduleDocumentationUrl(self._name)}">Documentation</a></p>'
    )
    del _text, _texts

    def set_python_source(self):
        """Import the file and make the Python module object."""
        source = import_file(self._name, self._path)
        if not hasattr(source, self._name):
            raise RuntimeError(f"{self._path} has no class {self._name}")
        self._python = getattr(source, self._name)(self)
        setattr(slicer.modules, f"{self._name}Instance", self._python)
        if not hasattr(source, f"{self._name}Widget"):
            self.widgetRepresentationCreationEnabled = False

    def setup(self):
        """Called when all modules are known."""
        setup = getattr(self._python, "setup", None)
        if setup is not None:
            setup()

    def self(self):
        return self._python

    def logic(self):
        return self._logic

    def hasWidgetRepresentation(self):
        return self._widget is not None

    def widgetRepresentation(self):
        """The module's panel, made at the first call."""
        if self._widget is None and self.widgetRepresentationCreationEnabled:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self):
        widget = qSlicerScriptedLoadableModuleWidget()
        widget.set_python_source(self._name, self._path)
        widget.setMRMLScene(slicer.mrmlScene)
        widget.setup()
        return widget

    def drop_widget(self):
        """Take the panel away, as when the application ends."""
        widget, self._widget = self._widget, None
        if widget is not None:
            widget.deleteLater()


@mrml_widget
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The panel of a scripted module; `self()` is the Python widget object."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._python = None
        self._source = ""
        self._module_name = ""
        self._entered = False
        QtWidgets.QVBoxLayout(self)

    isEntered = QtCore.Property(bool, lambda self: self._entered)

    def set_python_source(self, name, path):
        source = sys.modules[name]
        self._module_name, self._source = name, path
        self.setObjectName(f"{name}Widget")
        self._python = getattr(source, f"{name}Widget")(self)
        setattr(slicer.modules, f"{name}Widget", self._python)

    def self(self):
        return self._python

    def setup(self):
        self._python.setup()

    def enter(self):
        self._entered = True
        self._call("enter")

    def exit(self):
        self._entered = False
        self._call("exit")

    def _call(self, name):
        function = getattr(self._python, name, None)
        if function is not None:
            function()

    def reload(self):
        """Make a new Python widget from the reloaded file in the same panel; as in Slicer, enter is not called."""
        self.set_python_source(self._module_name, self._source)
        self.setup()


def import_file(name, path):
    """Import a module file as Slicer does: under its own name, its folder on sys.path."""
    folder = str(Path(path).parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, str(path))
    source = importlib.util.module_from_spec(spec)
    sys.modules[name] = source
    try:
        spec.loader.exec_module(source)
    except BaseException:
        del sys.modules[name]
        raise
    return source


@declare_host_class
class FactoryManager(QtCore.QObject):
    """Names of the loaded modules."""

    def __init__(self, manager):
        super().__init__(manager)
        self._manager = manager

    def loadedModuleNames(self):
        return self._manager.modulesNames()

    def isLoaded(self, name):
        return name in self._manager.modulesNames()


@declare_host_class
class ModuleManager(QtCore.QObject):
    """All modules by name."""

    moduleLoaded = QtCore.Signal(str)
    modulesLoaded = QtCore.Signal(list)
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleUnloaded = QtCore.Signal(str)

    def __init__(self, services):
        super().__init__()
        self._modules = {name: CoreModule(name, logic, self) for name, logic in services.logics.items()}
        self._factory = FactoryManager(self)

    def factoryManager(self):
        return self._factory

    def module(self, name):
        return self._modules.get(name)

    def modulesNames(self):
        return list(self._modules)

    def publish(self):
        """Set the attributes of slicer.modules and slicer.moduleNames."""
        for name, module in self._modules.items():
            setattr(slicer.modules, name.lower(), module)
            setattr(slicer.moduleNames, name, name)

    def load_scripted(self, path):
        """Load a scripted module file and return its qSlicerScriptedLoadableModule."""
        module = qSlicerScriptedLoadableModule(path, self)
        module.set_python_source()
        self._modules[module.name] = module
        self.publish()
        module.setup()
        self.moduleLoaded.emit(module.name)
        return module

    def unload_scripted(self, name):
        """Unload as at application exit: cleanup is called and the panel goes."""
        module = self._modules.get(name)
        if module is None or isinstance(module, CoreModule):
            return
        self.moduleAboutToBeUnloaded.emit(name)
        module.drop_widget()
        del self._modules[name]
        for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)
        sys.modules.pop(name, None)
        self.moduleUnloaded.emit(name)

"""The ``qt`` module of Slicer: every Qt class and ``Qt`` itself in one flat module."""

import types

from PySide6 import QtCore

from . import pythonqt, ui_files


def build():
    """Make the module; the classes are PySide's own, changed by `pythonqt.install`."""
    module = types.ModuleType("qt", "Qt as 3D Slicer's Python sees it")
    for name, value in pythonqt.qt_classes().items():
        setattr(module, name, value)
    module.Qt = QtCore.Qt
    module.QUiLoader = ui_files.UiLoader
    return module

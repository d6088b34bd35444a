"""MedDL's actions in the right-click menu of the Data module."""

from pathlib import Path

import slicer

NAME = "MedDL"


def register() -> None:
    """Add the actions, once; without a main window there is no menu."""
    if slicer.util.mainWindow() is None:
        return
    if slicer.qSlicerSubjectHierarchyPluginHandler.instance().pluginByName(NAME) is None:
        plugin = slicer.qSlicerSubjectHierarchyScriptedPlugin(None)
        plugin.setPythonSource(str(Path(__file__).with_name("MedDLSubjectHierarchyPlugin.py")))

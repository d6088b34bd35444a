"""The base class of subject hierarchy plugins in Python."""

import slicer


class AbstractScriptedSubjectHierarchyPlugin:
    """Registers the plugin that it is the Python side of."""

    def __init__(self, scriptedPlugin):
        self.scriptedPlugin = scriptedPlugin
        self.register()

    def register(self):
        slicer.qSlicerSubjectHierarchyPluginHandler.instance().registerPlugin(self.scriptedPlugin)

"""Loading, showing and reloading MedDL's modules as the application does."""

import sys
from dataclasses import dataclass
from pathlib import Path

from . import stand_ins


@dataclass
class LoadedModule:
    """A loaded module. `widget` is made at the first use, as in Slicer when the module is first shown."""

    name: str
    module: object

    @property
    def representation(self):
        """The panel: a QWidget."""
        return self.module.widgetRepresentation()

    @property
    def widget(self):
        """The Python widget object, after setup()."""
        return self.representation.self()

    @property
    def logic(self):
        """What slicer.util.getModuleLogic gives."""
        import slicer

        return slicer.util.getModuleLogic(self.name)

    @property
    def source(self):
        """The Python source module."""
        return sys.modules[self.name]


def load_module(name, folder=None):
    """Load <repository>/<name>/<name>.py as Slicer does and return a LoadedModule; again: the same one.

    `folder` is the module's folder where it is elsewhere, and then the only one on sys.path for it; of a module in
    the repository MedDLLib is there too, as in an installed extension. The first load signals startupCompleted.
    """
    import slicer

    app = stand_ins.install()
    library = str(stand_ins.repository / "MedDLLib")
    if folder is None and library not in sys.path:
        sys.path.insert(0, library)
    manager = app.moduleManager()
    known = manager.module(name)
    if known is None:
        path = Path(folder or stand_ins.repository / name) / f"{name}.py"
        if not path.exists():
            raise FileNotFoundError(f"There is no module file {path}")
        known = manager.load_scripted(path)
        app.startupCompleted.emit()
        stand_ins.process_events()
    assert_published(slicer, name)
    return LoadedModule(name, known)


def assert_published(slicer, name):
    """The module has to be reachable as scripts reach it."""
    if getattr(slicer.modules, name.lower(), None) is None:
        raise RuntimeError(f"slicer.modules.{name.lower()} is missing")


def reload_module(name):
    """What the Reload button does; returns the LoadedModule."""
    import slicer

    module = load_module(name)
    if not module.module.hasWidgetRepresentation():
        module.module.widgetRepresentation()
    slicer.util.reloadScriptedModule(name)
    return module


def select_module(name):
    """Show a module: exit of the one shown before, enter of this one. An empty name leaves the current one."""
    import slicer

    slicer.util.selectModule(name)
    stand_ins.process_events()


def unload_module(name):
    """Unload as at application exit: cleanup is called, the panel is removed."""
    import slicer

    window = slicer.util.mainWindow()
    if window.moduleSelector().selectedModule == name:
        window.moduleSelector().selectModule("")
    slicer.app.moduleManager().unload_scripted(name)
    stand_ins.process_events()

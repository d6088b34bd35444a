"""A stand-in for the 3D Slicer application in tests.

slicer-core brings the real MRML: scene, nodes, logics, displayable managers and slicer.util. What is missing, the
application and Qt, is built here over PySide6, without a screen. It means to be never kinder than Slicer: what
Slicer does not know raises here.

    import host
    host.install()                        # slicer, qt, ctk ... can be imported from now on
    module = host.load_module("MedDLSeg")
    module.widget.ui.applyButton.click()
"""

from . import python_runs, render
from . import pytorch_utils as pytorch
from .installed_packages import hide as hide_package
from .installed_packages import pretend as pretend_package
from .loading import LoadedModule, load_module, reload_module, select_module, unload_module
from .message_boxes import answer, dialogs, errors, under_wait_cursor
from .pictures import screenshot
from .stand_ins import (
    clear_scene,
    install,
    installed,
    process_events,
    repository,
    wait_until,
)
from .uncaught import take as take_unhandled
from .uncaught import unhandled

__all__ = [
    "LoadedModule",
    "answer",
    "clear_scene",
    "dialogs",
    "errors",
    "hide_package",
    "install",
    "installed",
    "load_module",
    "pretend_package",
    "process_events",
    "python_runs",
    "pytorch",
    "reload_module",
    "render",
    "repository",
    "screenshot",
    "select_module",
    "take_unhandled",
    "under_wait_cursor",
    "unhandled",
    "unload_module",
    "wait_until",
]

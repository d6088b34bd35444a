"""A stand-in for the 3D Slicer application in tests.

slicer-core brings the real MRML: scene, nodes, logics, displayable managers and slicer.util. What is missing, the
application and Qt, is built here over PySide6, without a screen. It means to be never kinder than Slicer: what
Slicer does not know raises here.

    import host
    host.install()                        # slicer, qt, ctk ... can be imported from now on
    module = host.load_module("MedDLSeg")
    module.widget.ui.applyButton.click()
"""

from . import render
from .loading import LoadedModule, load_module, reload_module, select_module, unload_module
from .message_boxes import answer, dialogs, errors
from .packages import hide as hide_package
from .packages import requests as package_requests
from .pictures import screenshot
from .pytorch_utils import state as pytorch
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
    "package_requests",
    "process_events",
    "pytorch",
    "reload_module",
    "render",
    "repository",
    "screenshot",
    "select_module",
    "take_unhandled",
    "unhandled",
    "unload_module",
    "wait_until",
]

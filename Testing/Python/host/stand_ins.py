"""Putting the stand-ins in place, and cleaning between tests."""

import os
import sys
import time
from pathlib import Path

repository = Path(__file__).resolve().parents[3]

_state = {"installed": False, "application": None}


def installed():
    """Whether install() was called."""
    return _state["installed"]


def install(main_window=True):
    """Make ``slicer``, ``qt``, ``ctk`` and their companions importable; returns slicer.app. Once per process.

    Without main window it is ``Slicer --no-main-window``: no layout manager, no slice and 3D views either.
    """
    if _state["installed"]:
        return _state["application"]
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from . import refcounts

    refcounts.keep_singletons_alive()
    import slicer

    from . import message_boxes, pythonqt, slicer_python

    slicer_python.install()
    pythonqt.install()
    message_boxes.install()
    from . import fonts, qt_module, uncaught

    sys.modules["qt"] = qt_module.build()
    from . import (
        ctk_widgets,
        markups_widgets,
        mrml_widgets,
        node_combo_box,
        segment_editor_effects,
        segmentation_widgets,
        subject_hierarchy,
    )

    sys.modules["ctk"] = ctk_widgets.build()
    for source in (mrml_widgets, node_combo_box, markups_widgets, segmentation_widgets, segment_editor_effects,
                   subject_hierarchy):
        for name, value in vars(source).items():
            if name.startswith("q") and isinstance(value, type):
                setattr(slicer, name, value)
    from . import application, module_manager, scripted_modules

    slicer.qSlicerScriptedLoadableModule = module_manager.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = module_manager.qSlicerScriptedLoadableModuleWidget
    slicer.app = app = application.make(main_window)
    sys.modules["qt"].qApp = app
    fonts.ensure_fonts(app)
    from . import installed_packages, python_runs, pytorch_utils

    installed_packages.install()
    python_runs.install()
    pytorch_utils.install()
    app.moduleManager().publish()
    if main_window:
        app.make_main_window()
    scripted_modules.load()
    uncaught.install()
    _state.update(installed=True, application=app)
    return app


def process_events(seconds=0.0):
    """Run the event loop for a time; 0 runs what is waiting."""
    end = time.monotonic() + seconds
    app = _state["application"]
    app.processEvents()
    while time.monotonic() < end:
        time.sleep(0.002)
        app.processEvents()


def wait_until(condition, seconds=10.0):
    """Run the event loop until a condition holds; returns True.

    Raises:
        TimeoutError: it did not hold in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"The condition did not hold within {seconds} s")
        process_events(0.005)
    return True


def clear_scene():
    """Close the scene and forget dialogs, package requests and unhandled exceptions."""
    import slicer

    from . import installed_packages, message_boxes, python_runs, pytorch_utils, uncaught

    slicer.mrmlScene.Clear(0)
    process_events()
    message_boxes.clear()
    installed_packages.clear()
    python_runs.clear()
    pytorch_utils.install()
    uncaught.unhandled.clear()
    _state["application"].set_testing_enabled(False)

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


def install():
    """Make ``slicer``, ``qt``, ``ctk`` and their companions importable; returns slicer.app. Once per process."""
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
    from . import ctk_widgets, markups_widgets, mrml_widgets, node_combo_box, segmentation_widgets, subject_hierarchy

    sys.modules["ctk"] = ctk_widgets.build()
    for source in (mrml_widgets, node_combo_box, markups_widgets, segmentation_widgets, subject_hierarchy):
        for name, value in vars(source).items():
            if name.startswith("q") and isinstance(value, type):
                setattr(slicer, name, value)
    slicer.modules.sampleDataSources = {}
    from . import application, module_manager, scripted_modules

    slicer.qSlicerScriptedLoadableModule = module_manager.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = module_manager.qSlicerScriptedLoadableModuleWidget
    slicer.app = app = application.make()
    sys.modules["qt"].qApp = app
    fonts.ensure_fonts(app)
    from . import packages, pytorch_utils, sample_data

    _submodule(slicer, "packaging", packages.build())
    sys.modules["SampleData"] = sample_data.build()
    pytorch_utils.install()
    app.moduleManager().publish()
    slicer.modules.sampledata = app.moduleManager().module("SampleData")
    app.make_main_window()
    scripted_modules.load()
    uncaught.install()
    _state.update(installed=True, application=app)
    return app


def _submodule(package, name, module):
    sys.modules[f"{package.__name__}.{name}"] = module
    setattr(package, name, module)
    return module


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

    from . import message_boxes, packages, pytorch_utils, uncaught

    slicer.mrmlScene.Clear(0)
    process_events()
    message_boxes.clear()
    packages.clear()
    pytorch_utils.state.clear()
    uncaught.unhandled.clear()
    _state["application"].set_testing_enabled(False)

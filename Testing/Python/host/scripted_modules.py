"""Slicer's own scripted modules that MedDL goes to: from Slicer's source where SLICER_SOURCE names it, else ours."""

import sys
import types
from pathlib import Path

import slicer

from . import segment_editor_effects, segmentation_widgets, slicer_python, subject_hierarchy


def load():
    """Load them, and what their plugins need, before any module of an extension."""
    source = slicer_python.source()
    subject_hierarchy.install(source)
    segment_editor_effects.install()
    widgets = types.ModuleType("qSlicerSegmentationsModuleWidgetsPythonQt")
    widgets.qMRMLSegmentEditorWidget = segmentation_widgets.qMRMLSegmentEditorWidget
    sys.modules[widgets.__name__] = widgets
    folder = source / "Modules" / "Scripted" if source else Path(__file__).parent / "slicer_modules"
    for name in ("SampleData", "SegmentEditor"):
        slicer.app.moduleManager().load_scripted(folder / name / f"{name}.py")

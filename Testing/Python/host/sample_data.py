"""The Sample Data module: Slicer's own where SLICER_SOURCE names a work tree of its source, else the stand-in."""

from pathlib import Path

import slicer

from .slicer_python import source


def load():
    """Load it as a scripted module, before any module of an extension."""
    folder = source() / "Modules" / "Scripted" if source() else Path(__file__).parent / "slicer_modules"
    slicer.app.moduleManager().load_scripted(folder / "SampleData" / "SampleData.py")

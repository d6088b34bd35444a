"""The Sample Data module: Slicer's own where SLICER_SOURCE names a work tree of its source, else the stand-in."""

import os
from pathlib import Path

import slicer


def load():
    """Load it as a scripted module, before any module of an extension."""
    source = os.environ.get("SLICER_SOURCE")
    folder = Path(source) / "Modules" / "Scripted" if source else Path(__file__).parent / "slicer_modules"
    slicer.app.moduleManager().load_scripted(folder / "SampleData" / "SampleData.py")

"""The base class of scripted plugins, as Slicer's package of this name offers it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from AbstractScriptedSubjectHierarchyPlugin import AbstractScriptedSubjectHierarchyPlugin  # noqa: F401

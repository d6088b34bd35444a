"""What the package `slicer` holds at startup: the host has nothing there that Slicer has not."""

import ast
import os
import subprocess
import sys

import pytest
import slicer_core
from places import TESTS

from host import slicer_python

# Set by the application and its console; `cli` is tried by Slicer, and slicer-core has it not.
BY_THE_APPLICATION = {"app", "mrmlScene", "modules", "moduleNames", "util", "cli"}
SCRIPT = """
import host; host.install(); import slicer
print(*[n for n in vars(slicer) if not n.startswith("__") and not isinstance(vars(slicer)[n], type)])
"""


@pytest.mark.parametrize("source", ["", os.environ.get("SLICER_SOURCE", "")])
def test_the_host_has_no_more_than_slicer(source):
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True,
                         cwd=TESTS,
                         env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "SLICER_SOURCE": source})
    tree = ast.parse((slicer_python.source() / "Base" / "Python" / "slicer" / "__init__.py").read_text())
    imports = [alias for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    slicers_own = {alias.asname or alias.name for alias in imports} | set(vars(slicer_core)) | BY_THE_APPLICATION
    assert not set(run.stdout.split()) - slicers_own

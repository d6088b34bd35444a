"""`Slicer --no-main-window --python-script FILE [ARGUMENTS]` on the host: MedDL's modules, no window, no views.

As there, the application is started and the modules are loaded before the script runs.
"""

import runpy
import sys
from pathlib import Path

import host

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")


def main(script: str, *arguments: str) -> None:
    """Start the application and run the script in it."""
    host.install(main_window=False)
    for name in MODULES:
        host.load_module(name)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")
    host.process_events()
    left = host.take_unhandled()
    if left:
        raise left[0]


if __name__ == "__main__":
    main(*sys.argv[1:])

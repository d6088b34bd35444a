"""Where the Python files of the package `slicer` come from.

With the environment variable SLICER_SOURCE, a work tree of Slicer's source: from there (`make test-slicer`). Else from
`slicer_files`, the host's stand-ins, laid out as Slicer lays out its own; slicer-core brings `slicer.util` alone. In
both cases a submodule is imported by who needs it, and is no attribute of `slicer` before.
"""

import importlib
import os
import sys
import types
from pathlib import Path

import slicer

STAND_INS = Path(__file__).parent / "slicer_files"


def source():
    """The work tree of Slicer's source, or None.

    Raises:
        FileNotFoundError: SLICER_SOURCE names no such tree.
    """
    given = os.environ.get("SLICER_SOURCE")
    if not given:
        return None
    if not (Path(given) / "Base" / "Python" / "slicer").is_dir():
        raise FileNotFoundError(f"SLICER_SOURCE={given} is no work tree of Slicer's source")
    return Path(given)


def install():
    """Give the package `slicer` what Slicer's has at startup, and nothing more of Python."""
    _remove_what_slicer_has_not()
    if source() is None:
        slicer.__path__.insert(0, str(STAND_INS))
    else:
        slicer.__path__.insert(0, str(source() / "Base" / "Python" / "slicer"))
        del sys.modules["slicer.util"]
        slicer.util = importlib.import_module("slicer.util")
    for name in ("modules", "moduleNames"):
        module = types.ModuleType(name)
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)


def _remove_what_slicer_has_not():
    """slicer-core puts every name of `slicer.util` and of its own loader into `slicer`; Slicer does not."""
    import slicer.util

    for name in {*vars(slicer.util), "import_module", "iter_modules", "extend_path", "me", "info", "module",
                 "item_name", "slicer_core"}:
        if not name.startswith("__") and name != "util":
            vars(slicer).pop(name, None)
    slicer.os, slicer.sys = os, sys

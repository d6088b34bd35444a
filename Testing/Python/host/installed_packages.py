"""Which Python packages count as installed: those that are, less the hidden ones, and some in other versions.

All of `importlib.metadata` sees it so, and with it whatever asks there: slicer.packaging, PyTorchUtils, MedDL. What is
imported stays what it is.
"""

import atexit
import importlib.metadata
import os
import shutil
import sys
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

_hidden = set()
_folder = Path(tempfile.mkdtemp(prefix="meddl-host-packages-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


def hide(*names):
    """Let packages count as not installed."""
    _hidden.update(map(canonicalize_name, names))
    _change_folder()


def reveal(*names):
    """Take `hide` back for these packages."""
    _hidden.difference_update(map(canonicalize_name, names))
    _change_folder()


def pretend(name, version, requires=()):
    """Let a package count as installed in this version, with these requirements."""
    reveal(name)
    place = _folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (place / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {text}" for text in requires), ""]))
    (place / "RECORD").write_text(f"{place.name}/METADATA,,\n{place.name}/RECORD,,\n")
    _change_folder()


def _change_folder():
    """A folder of packages has changed, as pip changes one."""
    if sys.path[0] != str(_folder):
        sys.path.insert(0, str(_folder))
    os.utime(_folder)
    importlib.invalidate_caches()


def clear():
    """Everything counts as it is again."""
    _hidden.clear()
    for place in _folder.iterdir():
        shutil.rmtree(place)
    while str(_folder) in sys.path:
        sys.path.remove(str(_folder))
    importlib.invalidate_caches()


def install():
    """Let `importlib.metadata` leave out what is hidden."""
    discover = importlib.metadata.Distribution.discover

    def visible(**choices):
        found = discover(**choices)
        if not _hidden:
            return found
        return (one for one in found if canonicalize_name(one.metadata["Name"] or "") not in _hidden)

    importlib.metadata.Distribution.discover = staticmethod(visible)

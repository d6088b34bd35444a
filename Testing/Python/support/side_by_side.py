"""Slicer's own Python files beside the host's stand-ins for them, for tests that compare the two."""

import importlib.util
import sys

from host import slicer_python


def load(name, path):
    """A Python file or package under a name of its own, so that two of one kind can be loaded."""
    if name not in sys.modules:
        package = path.is_dir()
        spec = importlib.util.spec_from_file_location(
            name, path / "__init__.py" if package else path,
            submodule_search_locations=[str(path)] if package else None)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def both(file):
    """(Slicer's own file or package of that name, the host's stand-in for it)."""
    stem = file.removesuffix(".py")
    own = slicer_python.source() / "Base" / "Python" / "slicer" / file
    return load(f"slicer_own_{stem}", own), load(f"stand_in_{stem}", slicer_python.STAND_INS / file)


def outcome(function, *args, **kwargs):
    """What a call comes to: ("value", what it returned) or ("error", the class of what it raised)."""
    try:
        return "value", function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  whatever it is, it is compared
        return "error", type(error)

"""Python programs that Slicer would start, such as pip: recorded, and nothing is ever installed.

An installation fails where a package is really missing. `succeed()` lets those that follow end well: packages that were
hidden count as installed from then on.
"""

import importlib.metadata
import os
import re
import subprocess
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from . import installed_packages


@dataclass(frozen=True)
class PythonRun:
    """One program: its module, its arguments, whether it was waited for, and the constraints that pip would obey."""

    module: str
    arguments: tuple
    blocking: bool
    constraints: tuple = ()


runs = []
_state = {"succeed": False}


def succeed():
    """Let installations end well from now on."""
    _state["succeed"] = True


def clear():
    """Forget what was run; installations fail again."""
    runs.clear()
    _state["succeed"] = False


def execute(module, args, blocking=True, logCallback=None, completedCallback=None):
    """What slicer.util.executePythonModule does here."""
    runs.append(PythonRun(module, _without_temporary_names(args), blocking, _constraints(args)))
    code = _exit_code(args)
    if blocking:
        if code:
            raise subprocess.CalledProcessError(code, ["PythonSlicer", "-m", module, *args])
        return
    import qt

    def ended():
        if logCallback:
            logCallback(f"{module} ended with {code}")
        if completedCallback:
            completedCallback(code)

    qt.QTimer.singleShot(0, ended)


def install():
    """Let slicer.util start programs through here."""
    import slicer

    slicer.util.executePythonModule = execute


def _exit_code(args):
    if args[0] != "install":
        return 0
    wanted = _requirements(args[1:])
    if _state["succeed"]:
        installed_packages.reveal(*(requirement.name for requirement in wanted))
        return 0
    return 0 if all(map(_installed, wanted)) else 1


def _installed(requirement):
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def _requirements(args):
    found, options = [], iter(args)
    for text in options:
        if text == "-c":
            next(options)
        elif not text.startswith("-"):
            try:
                found.append(Requirement(text))
            except InvalidRequirement:
                continue
    return found


def _without_temporary_names(args):
    """The arguments with the name of a constraints file, which changes, left out."""
    return tuple("FILE" if before == "-c" else text for before, text in zip(["", *args], args))


def _constraints(args):
    files = [text for before, text in zip(args, args[1:]) if before == "-c"]
    for text in os.environ.get("PIP_CONSTRAINT", "").split():
        files.append(urllib.parse.unquote(re.sub("^file://", "", text)))
    return tuple(line for file in files if Path(file).is_file() for line in Path(file).read_text().splitlines())

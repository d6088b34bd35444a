"""Stand-in for Slicer's `slicer.packaging`, as 5.12 and later have it; programs are recorded by `host.python_runs`."""

import importlib.metadata
import logging
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import slicer.util
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_state = {"in progress": False}


def load_requirements(path):
    with Path(path).open() as file:
        lines = [line.strip() for line in file]
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def load_pyproject_dependencies(path):
    with Path(path).open("rb") as file:
        project = tomllib.load(file)["project"]
    return [Requirement(text) for text in project.get("dependencies", [])]


def pip_check(req, _seen=None):
    checked = set() if _seen is None else _seen
    return all(_satisfied(requirement, checked) for requirement in _to_requirements(req))


def pip_ensure(requirements, constraints=None, skip_packages=None, prompt_install=True, prompt_restart=True,
               requester=None, skip_in_testing=True, show_progress=True):
    missing = [requirement for requirement in _to_requirements(requirements) if not pip_check(requirement)]
    if not missing:
        return None
    testing = slicer.app.testingEnabled()
    if testing and skip_in_testing:
        logging.info("pip_ensure does nothing in testing mode")
        return None
    if prompt_install:
        text = f"Packages to install: {len(missing)}.\n\nSlicer's Python environment will change. Continue?"
        details = "\n".join(f"- {requirement}" for requirement in missing)
        if not slicer.util.confirmOkCancelDisplay(text, _title(requester, "Install Python Packages"),
                                                  detailedText=details):
            raise RuntimeError("User declined package installation")
    before = _versions()
    result = pip_install([str(requirement) for requirement in missing], constraints=constraints,
                         skip_packages=skip_packages, show_progress=show_progress, requester=requester)
    changed = _changed_in_memory(before, _versions()) if prompt_restart and not testing else []
    if changed:
        text = f"Packages in memory that were renewed: {len(changed)}.\n\nWould you like to restart now?"
        if slicer.util.confirmYesNoDisplay(text, _title(requester, "Restart Recommended"),
                                           detailedText="\n".join(changed)):
            slicer.util.restart()
    return result


def pip_install(requirements, constraints=None, no_deps_requirements=None, skip_packages=None, blocking=True,
                show_progress=True, requester=None, logCallback=None, completedCallback=None):
    if skip_packages is not None:
        if no_deps_requirements is not None or not blocking:
            raise ValueError("skip_packages goes neither with no_deps_requirements nor with blocking=False")
        raise NotImplementedError("The stand-in cannot leave packages out: skip_packages")
    if not _in_main_thread():
        if not blocking:
            raise RuntimeError("Without blocking only in the main thread")
        _install_and_wait(requirements, constraints, no_deps_requirements)
    elif slicer.app.testingEnabled():
        _install_and_wait(requirements, constraints, no_deps_requirements)
    elif not blocking:
        if _state["in progress"]:
            raise RuntimeError("Another installation is in progress")
        _install_beside(requirements, constraints, no_deps_requirements, logCallback or print, completedCallback)
    elif show_progress:
        _install_in_dialog(requirements, constraints, no_deps_requirements, requester)
    else:
        _install_and_wait(requirements, constraints, no_deps_requirements)


def pip_uninstall(requirements, blocking=True, logCallback=None, completedCallback=None):
    slicer.util.executePythonModule("pip", ["uninstall", *_arguments(requirements), "--yes"], blocking=blocking,
                                    logCallback=logCallback, completedCallback=completedCallback)


def isPipInstallInProgress():
    return _state["in progress"]


def _to_requirements(given):
    if isinstance(given, Requirement):
        return [given]
    if isinstance(given, str):
        try:
            return [Requirement(given)]
        except InvalidRequirement:
            return [Requirement(part) for part in given.split()]
    if isinstance(given, list):
        return [Requirement(item) if isinstance(item, str) else item for item in given]
    raise TypeError(f"Requirements are a str, a Requirement or a list, not {type(given).__name__}")


def _satisfied(requirement, checked):
    """Whether a requirement is met, and those of its extras. A package and its extras are looked at once."""
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    key = (requirement.name.lower(), frozenset(requirement.extras))
    if key in checked:
        return True
    checked.add(key)
    try:
        installed = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    if installed not in requirement.specifier:
        return False
    needed = [Requirement(text) for text in importlib.metadata.requires(requirement.name) or () if requirement.extras]
    for other in needed:
        if other.marker is not None and any(other.marker.evaluate({"extra": extra}) for extra in requirement.extras):
            other.marker = None
            if not _satisfied(other, checked):
                return False
    return True


def _title(requester, text):
    return f"{requester} - {text}" if requester else text


def _versions():
    importlib.invalidate_caches()
    return {canonicalize_name(one.metadata["Name"]): one.metadata["Version"]
            for one in importlib.metadata.distributions()}


def _changed_in_memory(before, after):
    """Packages that are new or have another version, and a module of which is imported."""
    modules = importlib.metadata.packages_distributions()
    loaded = {canonicalize_name(name) for module, names in modules.items() if module in sys.modules for name in names}
    return [name for name, version in after.items() if before.get(name) != version and name in loaded]


def _in_main_thread():
    import qt

    return qt.QThread.currentThread() == slicer.app.thread()


def _arguments(requirements):
    if type(requirements) is str:
        return shlex.split(requirements)
    if type(requirements) is list:
        return requirements
    raise ValueError("Requirements are a text or a list")


def _commands(requirements, constraints, no_deps_requirements):
    """The arguments of pip: first for what comes without its requirements, then for all others."""
    end = [] if constraints is None else ["-c", str(constraints)]
    if no_deps_requirements is not None:
        yield ["install", *_arguments(no_deps_requirements), "--no-deps", *end]
    yield ["install", *_arguments(requirements), *end]


def _install_and_wait(*wanted):
    for arguments in _commands(*wanted):
        slicer.util.executePythonModule("pip", arguments, blocking=True)


def _install_beside(requirements, constraints, no_deps_requirements, logCallback, completedCallback):
    left = _commands(requirements, constraints, no_deps_requirements)

    def go_on(code):
        arguments = next(left, None) if code == 0 else None
        if arguments is not None:
            slicer.util.executePythonModule("pip", arguments, blocking=False, logCallback=logCallback,
                                            completedCallback=go_on)
            return
        _state["in progress"] = False
        if completedCallback is not None:
            completedCallback(code)

    _state["in progress"] = True
    try:
        go_on(0)
    except Exception:
        _state["in progress"] = False
        raise


def _install_in_dialog(requirements, constraints, no_deps_requirements, requester):
    """Slicer shows pip's output in a dialog meanwhile, and lets the events run."""
    codes, lines = [], []
    _install_beside(requirements, constraints, no_deps_requirements, lines.append, codes.append)
    while not codes:
        slicer.app.processEvents()
        time.sleep(0.001)
    if codes[0] != 0:
        slicer.util.errorDisplay("Package installation failed.", windowTitle=_title(requester, "Installation Failed"),
                                 detailedText="\n".join(lines))
        raise subprocess.CalledProcessError(codes[0], "pip install")

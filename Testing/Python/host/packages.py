"""slicer.packaging: what is asked for is recorded; answers come from what is really installed; nothing is installed."""

import importlib.metadata
import subprocess
import types
from dataclasses import dataclass, field
from pathlib import Path

import slicer
from packaging.requirements import InvalidRequirement, Requirement


@dataclass(frozen=True)
class PackageRequest:
    """One call: its name, the requirements as texts, those missing, and the other arguments."""

    function: str
    requirements: tuple
    missing: tuple
    options: dict = field(default_factory=dict)


requests = []
_hidden = set()


def hide(*names):
    """Let packages count as not installed."""
    _hidden.update(name.lower() for name in names)


def clear():
    """Forget recorded requests and hidden packages."""
    requests.clear()
    _hidden.clear()


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
    raise TypeError(f"Expected str, Requirement, or list, got {type(given).__name__}")


def _installed(requirement):
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    if requirement.name.lower() in _hidden:
        return False
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)


def pip_check(req):
    return all(_installed(requirement) for requirement in _to_requirements(req))


def load_requirements(path):
    lines = (line.strip() for line in Path(path).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def load_pyproject_dependencies(path):
    import tomllib

    data = tomllib.loads(Path(path).read_text())
    if "project" not in data:
        raise KeyError(f"pyproject.toml has no [project] table: {path}")
    return [Requirement(dependency) for dependency in data["project"].get("dependencies", [])]


def pip_ensure(
    requirements,
    constraints=None,
    skip_packages=None,
    prompt_install=True,
    prompt_restart=True,
    requester=None,
    skip_in_testing=True,
    show_progress=True,
):
    wanted = _to_requirements(requirements)
    missing = [requirement for requirement in wanted if not _installed(requirement)]
    requests.append(
        PackageRequest("pip_ensure", tuple(map(str, wanted)), tuple(map(str, missing)), {"requester": requester})
    )
    if not missing or (skip_in_testing and slicer.app.testingEnabled()):
        return
    if prompt_install:
        title = f"{requester} - Install Python Packages" if requester else "Install Python Packages"
        text = f"{len(missing)} Python packages need to be installed.\n\nContinue?"
        detail = "\n".join(f"- {requirement}" for requirement in missing)
        if not slicer.util.confirmOkCancelDisplay(text, title, detailedText=detail):
            raise RuntimeError("User declined package installation")
    pip_install([str(requirement) for requirement in missing], constraints=constraints, requester=requester)


def pip_install(
    requirements,
    constraints=None,
    no_deps_requirements=None,
    skip_packages=None,
    blocking=True,
    show_progress=True,
    requester=None,
    logCallback=None,
    completedCallback=None,
):
    """Records; raises CalledProcessError where something is missing, since the host never changes the machine."""
    wanted = _to_requirements(requirements if not isinstance(requirements, tuple) else list(requirements))
    missing = [requirement for requirement in wanted if not _installed(requirement)]
    requests.append(
        PackageRequest("pip_install", tuple(map(str, wanted)), tuple(map(str, missing)), {"requester": requester})
    )
    if missing:
        raise subprocess.CalledProcessError(1, ["pip", "install", *map(str, missing)])


def pip_uninstall(requirements, **kwargs):
    requests.append(PackageRequest("pip_uninstall", tuple(map(str, _to_requirements(requirements))), ()))


def isPipInstallInProgress():
    return False


def build():
    """Make the module ``slicer.packaging``."""
    module = types.ModuleType("slicer.packaging", __doc__)
    for function in (
        pip_check, pip_ensure, pip_install, pip_uninstall, load_requirements, load_pyproject_dependencies,
        isPipInstallInProgress,
    ):  # fmt: skip
        setattr(module, function.__name__, function)
    module.Requirement = Requirement
    return module

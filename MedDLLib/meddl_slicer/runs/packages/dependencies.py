"""The Python packages that a run needs: installed when one is asked for, never before, and none at another's cost."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import slicer
import slicer.packaging

from meddl.core.errors import DependencyError
from meddl.core.paths import resources_folder
from meddl_slicer.runs.packages.pip_constraints import TORCH_FAMILY, constrained_pip, constraints_file
from meddl_slicer.runs.packages.torch_platforms import why_no_torch

TORCH_REQUIREMENT = ">=2.5"

_complete: tuple = ()  # `_package_folders` as they were when nothing was missing


def missing() -> list[str]:
    """What would have to be installed, as requirements. Imports none of the packages.

    Where nothing was missing, they are looked at again only after a package has come or gone.
    """
    global _complete
    folders = _package_folders()
    if folders == _complete:
        return []
    found = [] if torch_installed() else [f"torch{TORCH_REQUIREMENT}"]
    found += [str(requirement) for requirement in _lacking(_requirements())]
    _complete = () if found else folders
    return found


def ensure(requester: str = "MedDL", ask: bool = True) -> None:
    """Install what is missing, after asking the user: torch through the PyTorch extension, the rest through pip.

    Whatever else is installed keeps its version. Where nothing is missing, this takes less than a millisecond, but for
    the first time. Call it without a wait cursor.

    Args:
        requester: who needs the packages, for the title of the question.
        ask: False: install without a question, as in Slicer without a main window, where none can be shown.

    Raises:
        DependencyError: the user declined or cannot be asked, Slicer runs with --testing, where nothing is installed,
            the PyTorch extension is absent, or an installation failed.
    """
    lacking = missing()
    if not lacking:
        return
    reason = _why_not_installed(ask)
    if reason is not None:
        raise DependencyError(f"MedDL needs Python packages that are not installed: {', '.join(lacking)}. {reason}")
    if not torch_installed():
        _install_torch(ask)
    _install(_requirements(), requester, ask)
    lacking = missing()
    if lacking:
        raise DependencyError(f"The installation has ended, but Slicer does not find {', '.join(lacking)}. "
                              "Restart Slicer, then start the run again.")


def ensure_optional(requirement: str, requester: str = "MedDL") -> None:
    """Install one more package, which few runs need, after asking the user; raises as `ensure`."""
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    if slicer.packaging.pip_check(wanted):
        return
    reason = _why_not_installed(ask=True)
    if reason is not None:
        raise DependencyError(f"This needs the Python package {requirement}, which is not installed. {reason}")
    _install([wanted], requester, ask=True)


def torch_installed() -> bool:
    """Whether a torch that is new enough is installed. Looks at its metadata only: torch is not imported."""
    from packaging.specifiers import SpecifierSet

    installed = _torch_version()
    return installed is not None and SpecifierSet(TORCH_REQUIREMENT).contains(installed, prereleases=True)


def _why_not_installed(ask: bool) -> str | None:
    if slicer.app.testingEnabled():
        return "Slicer runs with --testing, where nothing is installed: install them before."
    if ask and slicer.util.mainWindow() is None:
        return ("Slicer has no main window to ask in. To install them without a question: "
                "from meddl_slicer.runs.packages import dependencies; dependencies.ensure(ask=False)")
    return None


def _install_torch(ask: bool) -> None:
    obstacle = why_no_torch()
    if obstacle is not None:
        raise DependencyError(obstacle)
    if _torch_version() is not None:
        raise DependencyError(
            f"MedDL needs torch{TORCH_REQUIREMENT}; an older one is installed. Open the module PyTorch Utils, "
            "uninstall it, restart Slicer, then start the run again.")
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise DependencyError(
            "MedDL needs the PyTorch extension. Install it in the Extensions Manager, restart Slicer, "
            "then start the run again.") from error
    try:
        with constrained_pip(TORCH_FAMILY):
            torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(
                askConfirmation=ask, torchVersionRequirement=TORCH_REQUIREMENT)
    except (subprocess.CalledProcessError, OSError, ImportError, RuntimeError) as error:
        raise DependencyError(f"PyTorch could not be installed: {error}. Open the module PyTorch Utils to choose "
                              "another version, then start the run again.") from error
    if torch is None:
        raise DependencyError("MedDL needs PyTorch to run. Start the run again and accept its installation.")


def _install(requirements: list, requester: str, ask: bool) -> None:
    names = [requirement.name for requirement in _lacking(requirements)]
    try:
        with constraints_file(leave_out=names) as constraints:
            slicer.packaging.pip_ensure(requirements, constraints=constraints, prompt_install=ask, requester=requester)
    except subprocess.CalledProcessError as error:
        raise DependencyError(
            f"The Python packages that MedDL needs could not be installed: {', '.join(names)}. Check the network or "
            "proxy, and in the log whether they conflict with packages that are installed already, which stay as they "
            f"are; then start the run again. Pip ended with: {error}") from error
    except RuntimeError as error:
        raise DependencyError(f"MedDL needs these Python packages to run: {', '.join(names)}. "
                              f"Start the run again to install them. ({error})") from error


def _package_folders() -> tuple:
    """The folders that Python imports from, each with the time at which an entry of it has last come or gone."""
    found = []
    for folder in sys.path:
        try:
            found.append((folder, Path(folder or ".").stat().st_mtime_ns))
        except OSError:  # it is not there
            continue
    return tuple(found)


def _torch_version() -> str | None:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def _lacking(requirements: list) -> list:
    return [requirement for requirement in requirements if not slicer.packaging.pip_check(requirement)]


def _requirements() -> list:
    return slicer.packaging.load_requirements(resources_folder() / "requirements.txt")

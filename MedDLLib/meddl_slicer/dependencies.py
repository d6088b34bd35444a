"""The Python packages that a run needs, installed when Apply is pressed and never before."""

import importlib.metadata
import subprocess

import slicer

from meddl.errors import DependencyError
from meddl.paths import resources_folder

TORCH_REQUIREMENT = ">=2.5"


def missing() -> list[str]:
    """What would have to be installed, as requirements. Imports none of the packages."""
    found = [] if torch_installed() else [f"torch{TORCH_REQUIREMENT}"]
    return found + [str(r) for r in _requirements() if not slicer.packaging.pip_check(r)]


def ensure(requester: str) -> None:
    """Install what is missing, after asking the person: torch through the PyTorch extension, the rest through pip.

    Raises:
        DependencyError: the person declined, the PyTorch extension is absent, or an installation failed.
    """
    if not torch_installed():
        _install_torch()
    try:
        slicer.packaging.pip_ensure(_requirements(), requester=requester)
    except subprocess.CalledProcessError as error:
        raise DependencyError(
            "The Python packages that MedDL needs could not be installed. Check the network or proxy, "
            f"then press Apply again. Pip ended with: {error}") from error
    except RuntimeError as error:
        raise DependencyError(f"MedDL needs these Python packages to run: {', '.join(missing())}. "
                              f"Press Apply again to install them. ({error})") from error


def torch_installed() -> bool:
    """Whether a torch that is new enough is installed. Looks at its metadata only: torch is not imported."""
    from packaging.specifiers import SpecifierSet

    try:
        installed = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return False
    return SpecifierSet(TORCH_REQUIREMENT).contains(installed, prereleases=True)


def _install_torch() -> None:
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise DependencyError(
            "MedDL needs the PyTorch extension. Install it in the Extensions Manager, restart Slicer, "
            "then press Apply again.") from error
    logic = PyTorchUtils.PyTorchUtilsLogic()
    if logic.torchInstalled():
        raise DependencyError(
            f"MedDL needs torch{TORCH_REQUIREMENT}; an older one is installed. Open the module PyTorch Utils, "
            "uninstall it, restart Slicer, then press Apply again.")
    try:
        torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT)
    except (subprocess.CalledProcessError, OSError, ImportError, RuntimeError) as error:
        raise DependencyError(f"PyTorch could not be installed: {error}. Open the module PyTorch Utils to choose "
                              "another version, then press Apply again.") from error
    if torch is None:
        raise DependencyError("MedDL needs PyTorch to run. Press Apply again and accept its installation.")


def _requirements():
    return slicer.packaging.load_requirements(resources_folder() / "requirements.txt")

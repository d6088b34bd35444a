"""PyTorchUtils of the PyTorch extension, over the torch that is really installed.

`host.hide_package("torch")` lets torch count as not installed; its installation is a run of `host.python_runs`.
"""

import importlib.metadata
import sys
import types
import warnings

import slicer


class PyTorchUtilsLogic:
    """The logic by which modules find and install torch."""

    def __init__(self):
        self._torch = None

    @property
    def torch(self):
        if self._torch is None:
            self._torch = self.importTorch()
        return self._torch

    @property
    def cuda(self):
        return self.getDevice() != "cpu"

    @staticmethod
    def torchInstalled():
        try:
            files = importlib.metadata.files("torch")
        except importlib.metadata.PackageNotFoundError:
            return False
        _ = next(file for file in files if "METADATA" in str(file))
        try:
            import torch  # noqa: F401
        except ModuleNotFoundError:
            return False
        return True

    def importTorch(self):
        if not self.torchInstalled():
            return self.installTorch()
        import torch

        return torch

    def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
                     torchvisionVersionRequirement=None):
        """The torch module, or None where the user refuses. In testing mode nobody is asked."""
        args = ["install", f"torch{torchVersionRequirement or ''}", f"torchvision{torchvisionVersionRequirement or ''}"]
        if forceComputationBackend is not None:
            args.append(f"--pytorch-computation-backend={forceComputationBackend}")
        if askConfirmation and not slicer.app.commandOptions().testingEnabled:
            question = f"PyTorch will be downloaded and installed (ltt {' '.join(args)})."
            if not slicer.util.confirmOkCancelDisplay(question):
                return None
        if not _light_the_torch_installed():
            slicer.util.pip_install("light-the-torch>=0.5")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            slicer.util._executePythonModule("light_the_torch", args)
        import torch

        return torch

    def uninstallTorch(self, askConfirmation=False, forceComputationBackend=None):
        slicer.util.pip_uninstall("torch torchvision")

    def getDevice(self):
        """A torch.device of CUDA, or the text "cpu"."""
        return self.torch.device("cuda") if self.torch.cuda.is_available() else "cpu"


def _light_the_torch_installed():
    try:
        import light_the_torch._patch  # noqa: F401
    except ImportError:
        return False
    return True


def remove_extension():
    """Let `import PyTorchUtils` fail, as where the extension is not installed, until the next clear."""
    sys.modules["PyTorchUtils"] = None


def install():
    """Put the module in sys.modules."""
    module = types.ModuleType("PyTorchUtils", __doc__)
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    sys.modules["PyTorchUtils"] = module

"""PyTorchUtils of the PyTorch extension: answers with the torch that is really installed.

``host.pytorch.present = False`` lets the extension be absent to `import PyTorchUtils` after the next clear;
``host.pytorch.torch_hidden = True`` lets torch count as not installed, so that installTorch is asked.
"""

import importlib
import importlib.util
import sys
import types
from dataclasses import dataclass, field


@dataclass
class PyTorchState:
    """What the stand-in is asked and how it answers."""

    torch_hidden: bool = False
    install_refused: bool = False
    calls: list = field(default_factory=list)

    def clear(self):
        self.torch_hidden = self.install_refused = False
        self.calls.clear()
        install()

    def remove_extension(self):
        """Let `import PyTorchUtils` fail, as where the extension is not installed."""
        sys.modules["PyTorchUtils"] = None


state = PyTorchState()


class PyTorchUtilsLogic:
    """The logic that modules use to install and find torch."""

    @staticmethod
    def torchInstalled():
        state.calls.append(("torchInstalled", {}))
        return not state.torch_hidden and importlib.util.find_spec("torch") is not None

    @staticmethod
    def installTorch(
        askConfirmation=False,
        forceComputationBackend=None,
        torchVersionRequirement=None,
        torchvisionVersionRequirement=None,
    ):
        """The torch module, or None where the person refuses."""
        state.calls.append(
            (
                "installTorch",
                {
                    "askConfirmation": askConfirmation,
                    "forceComputationBackend": forceComputationBackend,
                    "torchVersionRequirement": torchVersionRequirement,
                },
            )
        )
        if state.install_refused:
            return None
        state.torch_hidden = False
        return importlib.import_module("torch")

    @property
    def torch(self):
        return importlib.import_module("torch")

    @staticmethod
    def getDevice():
        torch = importlib.import_module("torch")
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")

    @staticmethod
    def getPyTorchHubModel(*args, **kwargs):
        raise RuntimeError("Tests have no network")

    @staticmethod
    def cuda():
        return importlib.import_module("torch").cuda.is_available()

    def torchVersionInstalled(self):
        return importlib.import_module("torch").__version__


def install():
    """Put the module in sys.modules."""
    module = types.ModuleType("PyTorchUtils", __doc__)
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    sys.modules["PyTorchUtils"] = module

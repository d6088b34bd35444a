"""From the architecture that a card names to a torch module."""

from torch import nn

from meddl.core.errors import ModelError
from meddl.networks.architectures.denoisers import DenoisingAutoencoder3D, ResidualDenoiser3D
from meddl.networks.architectures.edsr3d import EDSR3D
from meddl.networks.architectures.nnunet import PlainConvUNet, ResidualEncoderUNet
from meddl.networks.architectures.of_monai import PREFIX, monai_network
from meddl.networks.architectures.shuffle_unet import ShuffleUNet
from meddl.networks.architectures.sided_unet import SidedUNet
from meddl.networks.architectures.srcnn import SRCNN3D
from meddl.networks.architectures.srresnet import SRResNet3D
from meddl.networks.architectures.through_plane import ThroughPlaneNetwork
from meddl.networks.architectures.torchscript import TorchScriptNetwork
from meddl.networks.recurrent.recurrent_gain import RecurrentGain3D

_ARCHITECTURES: dict[str, type[nn.Module]] = {network.__name__: network for network in (
    ShuffleUNet, SidedUNet, ThroughPlaneNetwork, EDSR3D, SRCNN3D, SRResNet3D, ResidualDenoiser3D,
    DenoisingAutoencoder3D, RecurrentGain3D, PlainConvUNet, ResidualEncoderUNet, TorchScriptNetwork)}


def build_network(architecture: str, arguments: dict) -> nn.Module:
    """The network of this name, with random weights.

    Raises:
        ModelError: the name is not known, or the arguments do not fit it.
    """
    if architecture.startswith(PREFIX):
        return monai_network(architecture.removeprefix(PREFIX))(**arguments)
    if architecture not in _ARCHITECTURES:
        raise ModelError(f"The card names the architecture '{architecture}'; "
                         f"this version knows {', '.join(sorted(_ARCHITECTURES))}. Update MedDL.")
    try:
        return _ARCHITECTURES[architecture](**arguments)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError, ArithmeticError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"The card's arguments for {architecture} do not fit it: {error}") from error

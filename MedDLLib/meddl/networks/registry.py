"""From the architecture that a card names to a torch module."""

from torch import nn

from meddl.errors import ModelError
from meddl.networks.shuffle_unet import ShuffleUNet
from meddl.networks.sided_unet import SidedUNet
from meddl.networks.through_plane import ThroughPlaneNetwork

_ARCHITECTURES: dict[str, type[nn.Module]] = {
    "ShuffleUNet": ShuffleUNet, "SidedUNet": SidedUNet, "ThroughPlaneNetwork": ThroughPlaneNetwork}


def build_network(architecture: str, arguments: dict) -> nn.Module:
    """The network of this name, with random weights.

    Raises:
        ModelError: the name is not known, or the arguments do not fit it.
    """
    if architecture not in _ARCHITECTURES:
        raise ModelError(f"The card names the architecture '{architecture}'; "
                         f"this version knows {', '.join(sorted(_ARCHITECTURES))}. Update MedDL.")
    try:
        return _ARCHITECTURES[architecture](**arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(f"The card's arguments for {architecture} do not fit it: {error}") from error

"""The layers of a network, the sizes of their features, and the memory that gradients after one of them take."""

from dataclasses import dataclass

import torch
from torch import nn

from meddl.core.errors import InputError
from meddl.models.cards import NetworkSpec
from meddl.models.cost.network_cost import build_without_memory

_FEWEST_VOXELS = 5
_GRADIENTS = 2.5  # of features that are held: themselves, their gradient, and work space


@dataclass(frozen=True)
class Layer:
    """A layer or a block of layers of a network, for windows of one size.

    Attributes:
        name: in the network.
        shape: voxels of its features.
        convolution: whether it is one.
        bytes_after: memory of a forward and a backward pass from there to the scores.
    """

    name: str
    shape: tuple[int, ...]
    convolution: bool
    bytes_after: int


def convolutions(spec: NetworkSpec, channels: int, patch: tuple[int, ...]) -> list[Layer]:
    """All convolutions in the order in which they run; nothing is computed.

    Raises:
        InputError: a network whose layers cannot be seen, such as a program.
    """
    return [layer for layer in features(spec, channels, patch) if layer.convolution]


def features(spec: NetworkSpec, channels: int, patch: tuple[int, ...]) -> list[Layer]:
    """All layers and blocks of layers that give features of an image, in the order in which they end; arguments and
    errors as of `convolutions`."""
    if spec.architecture == "TorchScriptNetwork":
        raise InputError("This model is a program (TorchScript), whose layers cannot be seen. Choose occlusion.")
    network = build_without_memory(spec.architecture, dict(spec.arguments)).eval()
    sizes: list[int] = []
    found: list[tuple[str, tuple[int, ...], bool, int]] = []

    def note(name: str, module: nn.Module, output: torch.Tensor) -> None:
        if not list(module.children()):
            sizes.append(output.numel() * 4)
        if name and output.ndim > 2:
            found.append((name, tuple(output.shape[2:]), isinstance(module, nn.modules.conv._ConvNd), len(sizes)))

    for name, module in network.named_modules():
        module.register_forward_hook(
            lambda module, _inputs, output, name=name: note(name, module, output)
            if isinstance(output, torch.Tensor) else None)
    with torch.no_grad():
        network(torch.zeros(1, channels, *patch, device="meta"))
    return [Layer(name, shape, convolution, int(_GRADIENTS * sum(sizes[seen:])))
            for name, shape, convolution, seen in found]


def choose_layer(layers: list[Layer], name: str = "") -> Layer:
    """The convolution of this name; without one the last of those with the coarsest features.

    Raises:
        InputError: there is none of this name.
    """
    if not name:
        least = min(_voxels(layer) for layer in layers)
        return [layer for layer in layers if _voxels(layer) == least][-1]
    found = [layer for layer in layers if layer.name == name]
    if not found:
        raise InputError(f"The network has no convolution '{name}'; it has {', '.join(one.name for one in layers)}.")
    return found[-1]


def choose_features(layers: list[Layer], name: str = "") -> Layer:
    """Of a classifier, the layer or block of this name; without one the last one with so many voxels along each axis
    that a map of them shows a place.

    Raises:
        InputError: there is none of this name.
    """
    found = [layer for layer in layers if layer.name == name] if name else (
        [layer for layer in layers if min(layer.shape) >= _FEWEST_VOXELS] or layers[:1])
    if not found:
        raise InputError(f"The network has no layer '{name}'; it has {', '.join(one.name for one in layers)}.")
    return found[-1]


def _voxels(layer: Layer) -> int:
    count = 1
    for size in layer.shape:
        count *= size
    return count

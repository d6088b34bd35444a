"""The convolutions of a network, the sizes of their features, and the memory that gradients after one of them take."""

from dataclasses import dataclass

import torch
from torch import nn

from meddl.core.errors import InputError
from meddl.models.cards import NetworkSpec
from meddl.models.cost.network_cost import build_without_memory

_GRADIENTS = 2.5  # of features that are held: themselves, their gradient, and work space


@dataclass(frozen=True)
class Layer:
    """A convolution of a network, for windows of one size.

    Attributes:
        name: in the network.
        shape: voxels of its features.
        bytes_after: memory of a forward and a backward pass from there to the scores.
    """

    name: str
    shape: tuple[int, ...]
    bytes_after: int


def convolutions(spec: NetworkSpec, channels: int, patch: tuple[int, ...]) -> list[Layer]:
    """All convolutions in the order in which they run; nothing is computed.

    Raises:
        InputError: a network whose layers cannot be seen, such as a program.
    """
    if spec.architecture == "TorchScriptNetwork":
        raise InputError("This model is a program (TorchScript), whose layers cannot be seen. Choose occlusion.")
    network = build_without_memory(spec.architecture, dict(spec.arguments)).eval()
    sizes: list[int] = []
    found: list[tuple[str, tuple[int, ...], int]] = []

    def note(name: str, module: nn.Module, output: torch.Tensor) -> None:
        sizes.append(output.numel() * 4)
        if isinstance(module, nn.modules.conv._ConvNd):
            found.append((name, tuple(output.shape[2:]), len(sizes)))

    for name, module in network.named_modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda module, _inputs, output, name=name: note(name, module, output)
                if isinstance(output, torch.Tensor) else None)
    with torch.no_grad():
        network(torch.zeros(1, channels, *patch, device="meta"))
    return [Layer(name, shape, int(_GRADIENTS * sum(sizes[seen:]))) for name, shape, seen in found]


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


def _voxels(layer: Layer) -> int:
    count = 1
    for size in layer.shape:
        count *= size
    return count

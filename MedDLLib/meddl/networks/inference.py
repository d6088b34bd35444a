"""Networks made ready for inference."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from meddl.networks.cpu.exchange import exchange_layers
from meddl.networks.cpu.fast_layers import FASTER
from meddl.networks.cpu.folding import fold
from meddl.networks.cpu.monai_blocks import with_faster_blocks


def ready_for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on the device, in evaluation mode, channels-last, without gradients, its layers exchanged.

    Only layers of exactly torch's own kinds are exchanged. Where a batch normalization follows a convolution, it
    becomes part of its weights; other parameters stay as they are. The network given is used up.
    """
    volumes = any(parameter.ndim == 5 for parameter in network.parameters())
    layout = torch.channels_last_3d if volumes else torch.channels_last
    network = network.to(device, memory_format=layout).eval().requires_grad_(False)
    network = exchange_layers(network, lambda layer: FASTER.get(type(layer)))
    with torch.no_grad():
        fold(network)
    return with_faster_blocks(network)


@contextmanager
def between_layers(networks: list[nn.Module], call: Callable[..., None]) -> Iterator[int]:
    """Call a function before each layer of some networks; gives how many layers they have, 1 at least."""
    layers = {id(layer): layer for network in networks for layer in network.modules() if not list(layer.children())}
    hooks = [layer.register_forward_pre_hook(call) for layer in layers.values()]
    try:
        yield max(1, len(layers))
    finally:
        for hook in hooks:
            hook.remove()

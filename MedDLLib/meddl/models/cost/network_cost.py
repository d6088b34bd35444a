"""What one pass of a network costs, counted without computing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from json import dumps, loads
from typing import Any

import torch

from meddl.core.errors import ModelError
from meddl.networks import build_network


@dataclass(frozen=True)
class Cost:
    """Of one window: 1e9 multiply-adds, and the bytes of its largest layer's input and output in float32."""

    gigamacs: float
    layer_bytes: int


def network_cost(architecture: str, arguments: dict, channels: int, patch: Sequence[int],
                 extra: tuple[float, ...] = ()) -> Cost:
    """The cost of an image (1, channels, *patch); the network is built without memory, nothing is computed.

    Args:
        extra: what the network is called with after the image.

    Raises:
        ModelError: an architecture or arguments that this version does not know.
    """
    return _count(architecture, dumps(arguments, sort_keys=True), channels, tuple(patch), extra)


@lru_cache(maxsize=32)
def _count(architecture: str, arguments: str, channels: int, patch: tuple[int, ...],
           extra: tuple[float, ...]) -> Cost:
    from torch.utils.flop_counter import FlopCounterMode

    network = build_without_memory(architecture, loads(arguments)).eval()
    image = torch.zeros(1, channels, *patch, device="meta")
    largest = [0]

    def weigh(_module: torch.nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        held = [part for part in (*inputs, output) if isinstance(part, torch.Tensor)]
        largest[0] = max(largest[0], sum(part.numel() * 4 for part in held))

    hooks = [module.register_forward_hook(weigh) for module in network.modules() if not list(module.children())]
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(image, *extra)
    for hook in hooks:
        hook.remove()
    return Cost(counter.get_total_flops() / 2e9, largest[0])


def build_without_memory(architecture: str, arguments: dict) -> torch.nn.Module:
    """A network on torch's device "meta"; built on the CPU before where it computes with numbers as it is built."""
    try:
        with torch.device("meta"):
            return build_network(architecture, arguments)
    except (ModelError, RuntimeError, NotImplementedError):
        return build_network(architecture, arguments).to("meta")

"""Replacement of a network's layers by others with the same parameters."""

from collections.abc import Callable

from torch import nn


def exchange_layers(network: nn.Module, kind_of: Callable[[nn.Module], type[nn.Module] | None]) -> nn.Module:
    """The network with layers of other classes in place of some; it may itself be one of these.

    A new layer shares the parameters, buffers, sub-layers, hooks and settings of the old one. A layer that has several
    places is replaced by one layer.

    Args:
        kind_of: the class of the layer that takes a layer's place; None: it stays.
    """
    made: dict[nn.Module, nn.Module] = {}

    def exchange_layer(layer: nn.Module) -> nn.Module:
        if layer not in made:
            kind = kind_of(layer)
            made[layer] = layer if kind is None else _sharing(layer, kind)
        return made[layer]

    for owner in list(network.modules()):
        for name, layer in owner._modules.items():
            if layer is not None and exchange_layer(layer) is not layer:
                owner._modules[name] = exchange_layer(layer)
    return exchange_layer(network)


def _sharing(layer: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """A layer of `kind` that has what `layer` has."""
    new = kind.__new__(kind)
    new.__dict__.update(layer.__dict__)
    return new

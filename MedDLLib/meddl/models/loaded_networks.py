"""The networks of an installed model, in memory and kept warm between runs."""

from collections import OrderedDict

import torch
from torch import nn

from meddl.core.errors import ModelError
from meddl.models.cards import ModelCard
from meddl.models.store.store import ModelStore
from meddl.models.weights import load_into, load_weights
from meddl.networks import build_network
from meddl.networks.inference import ready_for_inference

_KEPT = 6  # so that a model of five parts stays
_loaded: OrderedDict[tuple, dict[str, nn.Module]] = OrderedDict()


def load_networks(identifier: str, task: str, device: torch.device,
                  store: ModelStore | None = None) -> tuple[ModelCard, dict[str, nn.Module]]:
    """A model's card and its networks by name, in evaluation mode, channels-last, on the device.

    Raises:
        ModelNotFoundError: it is not installed.
        ModelError: it does another task, or its weights do not fit its networks.
        IntegrityError: its weights are not the ones that its card states.
    """
    store = store or ModelStore()
    card = store.card(identifier)
    if card.task != task:
        raise ModelError(f"The model '{identifier}' is for {card.task}; one for {task} was expected.")
    key = (identifier, card.own_weights.sha256, str(device), repr(card.networks))
    if key in _loaded:
        _loaded.move_to_end(key)
        return card, _loaded[key]
    tensors = load_weights(store.weights_path(identifier))
    networks = {name: ready_for_inference(_build(card, name, tensors), device) for name in card.networks}
    _loaded[key] = networks
    while len(_loaded) > _KEPT:
        _loaded.popitem(last=False)
    return card, networks


def read_network(card: ModelCard, name: str, store: ModelStore | None = None) -> nn.Module:
    """One network of an installed model with the layers of its architecture under their own names, in evaluation mode,
    on the CPU; gradients pass through it. Raises as `load_networks`."""
    return _build(card, name, load_weights((store or ModelStore()).weights_path(card.id))).eval()


def _build(card: ModelCard, name: str, tensors: dict[str, torch.Tensor]) -> nn.Module:
    """The network of this name with its weights in float32."""
    spec, prefix = card.networks[name], f"{name}."
    network = build_network(spec.architecture, dict(spec.arguments))
    load_into(network, {k.removeprefix(prefix): v.float() if v.is_floating_point() else v
                        for k, v in tensors.items() if k.startswith(prefix)})
    return network

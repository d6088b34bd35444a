"""A model in memory: its card and its networks, kept warm between runs."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn

from meddl.errors import ModelError
from meddl.models.cards import ModelCard
from meddl.models.store import ModelStore
from meddl.models.weights import load_into, load_weights
from meddl.networks import build_network

_KEPT = 3
_loaded: OrderedDict[tuple, "SegmentationModel"] = OrderedDict()


@dataclass(frozen=True)
class SegmentationModel:
    """Networks ready to run.

    Attributes:
        card: what the model is.
        networks: by name, in evaluation mode, on `device`, channels-last.
        device: where they are.
        values: label value of each class, background first.
        mirror: class on the other side of each class, for averaging over flips.
    """

    card: ModelCard
    networks: dict[str, nn.Module]
    device: torch.device
    values: tuple[int, ...]
    mirror: tuple[int, ...]


def load_model(identifier: str, device: torch.device, store: ModelStore | None = None) -> SegmentationModel:
    """The segmentation model of this identifier, from memory where it was used before.

    Raises:
        ModelNotFoundError: it is not installed.
        ModelError: it does another task, or its weights do not fit its networks.
        IntegrityError: its weights are not the ones that its card states.
    """
    store = store or ModelStore()
    card = store.card(identifier)
    key = (identifier, card.weights.sha256, str(device))
    if key in _loaded:
        _loaded.move_to_end(key)
        return _loaded[key]
    if card.task != "segmentation":
        raise ModelError(f"The model '{identifier}' is for {card.task}; a segmentation model was expected.")
    tensors = load_weights(store.weights_path(identifier))
    networks = {}
    for name, spec in card.networks.items():
        network = build_network(spec.architecture, dict(spec.arguments))
        prefix = f"{name}."
        load_into(network, {k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)})
        networks[name] = network.to(device, memory_format=torch.channels_last_3d).eval().requires_grad_(False)
    values = (0, *(label.value for label in card.labels))
    mirrors = (0, *(label.mirror for label in card.labels))
    model = SegmentationModel(card, networks, device, values, tuple(values.index(m) for m in mirrors))
    _loaded[key] = model
    while len(_loaded) > _KEPT:
        _loaded.popitem(last=False)
    return model

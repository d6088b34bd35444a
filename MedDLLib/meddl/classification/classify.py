"""The verb `meddl.classify`."""

import time

import torch
from torch import nn

from meddl.classification.result import UNKNOWN, Classification
from meddl.classification.view import NETWORK, cube_for
from meddl.core.device import describe, select_device
from meddl.core.device_fallback import with_cpu_fallback
from meddl.core.errors import ModelError
from meddl.io import VolumeLike, as_volume
from meddl.models.cards import ModelCard
from meddl.models.loaded_networks import load_networks
from meddl.models.store.store import ModelStore
from meddl.recognition.fit import reasons_against
from meddl.spatial.volume import Volume

TASK = "classification"


def classify(volume: VolumeLike, model: str, *, device: str = "auto",
             store: ModelStore | None = None) -> Classification:
    """Say which of a model's classes a volume belongs to.

    A volume of another body region or modality than those that the model was trained on, as far as that is seen, is
    "unknown"; the report says why.

    Args:
        volume: (C, I, J, K), or the path of a file; the first channel is looked at.
        model: identifier of an installed classifier, as `meddl.train_classifier` makes them.
        device: auto, cpu, cuda, cuda:N or mps.
        store: where models are installed; the usual place where None.

    Raises:
        ModelNotFoundError, ModelError: there is no such model, or it is no classifier.
        InputError: the volume is constant, or has no finite value.
        FileFormatError, GeometryError: a file that cannot be read.
    """
    begin = time.perf_counter()
    volume = as_volume(volume, component="all")
    card = check_classifier(model, store)
    warnings = list(reasons_against(volume, card))
    unknown = bool(warnings)
    chosen = select_device(device, warnings)

    def run(where: torch.device) -> torch.Tensor:
        networks = load_networks(model, TASK, where, store)[1]
        return class_probabilities(volume, card, networks[NETWORK], where)

    probabilities, used = with_cpu_fallback(run, chosen, warnings, "The network needs more memory than is free.")
    ordered = dict(sorted(zip(card.classes, probabilities.tolist(), strict=True), key=lambda one: -one[1]))
    return Classification(UNKNOWN if unknown else next(iter(ordered)), ordered, {
        "model": model, "seconds": {"total": round(time.perf_counter() - begin, 3)}, "device": describe(used),
        "warnings": warnings})


def check_classifier(model: str, store: ModelStore | None = None) -> ModelCard:
    """The card of an installed classifier.

    Raises:
        ModelNotFoundError, ModelError: there is no such model, or it is for another task.
    """
    card = (store or ModelStore()).card(model)
    if card.task != TASK or NETWORK not in card.networks:
        raise ModelError(f"The model '{model}' is for {card.task}; one for {TASK} was expected.")
    return card


def class_probabilities(volume: Volume, card: ModelCard, network: nn.Module, device: torch.device) -> torch.Tensor:
    """Probabilities (classes,) float64 on the CPU, in the order of the card.

    Args:
        network: of the card, on the device, in evaluation mode.

    Raises:
        ModelError: the network has another number of outputs than the card has classes.
    """
    cube = cube_for(volume, card.networks[NETWORK]).image
    with torch.no_grad():
        logits = network(cube[None].to(device))[0]
    if logits.shape != (len(card.classes),):
        raise ModelError(f"The network of '{card.id}' has {logits.numel()} outputs; its card names {len(card.classes)} "
                         "classes.")
    return logits.double().softmax(dim=0).cpu()

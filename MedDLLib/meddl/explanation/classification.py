"""The class of a volume as what is explained."""

from typing import ClassVar

import numpy as np
import torch

from meddl.classification.classify import TASK, class_probabilities
from meddl.classification.view import NETWORK, cube_for
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report
from meddl.explanation.layers import Layer, choose_features, features
from meddl.explanation.network_view import NetworkView
from meddl.explanation.subject import Networks, Request, Target
from meddl.models.cards import NetworkSpec
from meddl.models.loaded_networks import load_networks
from meddl.models.recipes import Windows
from meddl.segmentation.channels import with_finite_values
from meddl.segmentation.region_of_interest import body_mask
from meddl.spatial.volume import Volume


class VolumeClass:
    """One of a classifier's classes: the one that is named, else the likeliest.

    Args:
        request: see there.

    Raises:
        InputError: the model has no such class, or takes one volume alone.
    """

    readings: ClassVar[dict[str, str]] = {
        "occlusion": "How much of the probability that '{model}' gives to {names} is lost where this part of the "
                     "volume is hidden: 0 nothing, 1 all of it.",
        "grad-cam": "Where features of the network of '{model}' speak for {names}, relative to the strongest: 1 most, "
                    "0 not at all."}

    def __init__(self, request: Request):
        if request.others:
            raise InputError(f"'{request.card.id}' looks at one volume; further channels were given.")
        self._card, self._device = request.card, request.device
        self.volume, notes = with_finite_values(request.volume)
        request.warnings.extend(notes)
        before = self._probabilities(self.volume)
        self._number = _number_of(request.structures, request.card.classes, int(before.argmax()))
        self.names: tuple[str, ...] = (request.card.classes[self._number],)
        self._before = float(before[self._number])

    def body(self) -> np.ndarray:
        return body_mask(self.volume, "auto")

    def score(self, hidden: Volume, on_progress: ProgressCallback | None) -> float:
        """The probability of the class, relative to that of the volume as it is."""
        report(on_progress, 0.0, "Classifying")
        return float(self._probabilities(hidden)[self._number]) / max(self._before, 1e-12)

    def networks(self, device: torch.device, on_progress: ProgressCallback | None) -> Networks:
        cube = cube_for(self.volume, self._card.networks[NETWORK])
        view = NetworkView(cube.image, cube.grid, Windows((0, 0, 0)), (NETWORK,), {})
        mask = torch.ones(cube.image.shape[1:], dtype=torch.bool)
        return Networks(self._card, view, (Target(NETWORK, mask, self._number),), _choose, in_parts=False)

    def _probabilities(self, volume: Volume) -> torch.Tensor:
        network = load_networks(self._card.id, TASK, self._device)[1][NETWORK]
        return class_probabilities(volume, self._card, network, self._device)


def _choose(spec: NetworkSpec, channels: int, patch: tuple[int, ...], name: str) -> Layer:
    return choose_features(features(spec, channels, patch), name)


def _number_of(names, classes: tuple[str, ...], likeliest: int) -> int:
    """The number of the class that is asked for."""
    asked = [one.strip() for one in names.split(",")] if isinstance(names, str) else [str(one) for one in names]
    asked = [one for one in asked if one]
    known = [one.casefold() for one in classes]
    if not asked:
        return likeliest
    if len(asked) > 1 or asked[0].casefold() not in known:
        raise InputError(f"One class was expected, of {', '.join(classes)}; got {', '.join(asked)}.")
    return known.index(asked[0].casefold())

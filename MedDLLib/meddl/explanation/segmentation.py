"""A structure of a segmentation as what is explained."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.explanation.layers import Layer, choose_layer, convolutions
from meddl.explanation.network_view import view_of_networks
from meddl.explanation.subject import Networks, Request, Target
from meddl.measures.overlap import dice
from meddl.models.cards import ModelCard, NetworkSpec
from meddl.models.catalog.structure_names import match_structures
from meddl.models.store.store import ModelStore
from meddl.results import Segmentation
from meddl.segmentation import segment
from meddl.segmentation.brain.loaded_model import load_model
from meddl.segmentation.channels import join_channels, with_finite_values
from meddl.segmentation.region_of_interest import body_mask
from meddl.spatial.resample import resample
from meddl.spatial.volume import Volume


class SegmentedStructure:
    """One structure, or several as one, as the whole volume shows it.

    Args:
        request: see there.
        on_progress: of the segmentation.

    Raises:
        InputError: the model has no such structure, or does not find it in this volume.
    """

    readings: ClassVar[dict[str, str]] = {
        "occlusion": "How much of {names} the whole pipeline of '{model}' loses where this part of the volume is "
                     "hidden: 0 nothing, 1 all of it.",
        "grad-cam": "Where features of the network of '{model}' speak for {names}, relative to the strongest: 1 most, "
                    "0 not at all; what comes after the network is not explained."}

    def __init__(self, request: Request, on_progress: ProgressCallback | None):
        if isinstance(request.structures, str) and not request.structures.strip(" ,;"):
            raise InputError("Name the structure that is to be explained.")
        wanted = match_structures(request.card.labels, request.structures)
        self.names = tuple(label.name for label in wanted)
        self._values = tuple(label.value for label in wanted)
        self._card, self._device = request.card, request.device
        self._config = replace(request.config, structures=self.names, confidence=False)
        volume, notes = join_channels(request.volume, request.others, request.card.channel_names, on_progress)
        self.volume, more = with_finite_values(volume)
        request.warnings.extend([*notes, *more])
        self._found = self._segment(self.volume, on_progress)
        if not self._found.labels.any():
            raise InputError(f"'{self._card.id}' does not find {', '.join(self.names)} in this volume: there is "
                             "nothing to explain.")
        self._whole = (self._found.labels > 0).astype(np.uint8)

    def body(self) -> np.ndarray:
        return body_mask(self.volume, self._config.modality)

    def score(self, hidden: Volume, on_progress: ProgressCallback | None) -> float:
        """Dice of the structure with that of the volume as it is."""
        labels = self._segment(hidden, on_progress).labels
        return float(dice((labels > 0).astype(np.uint8), self._whole, [1])[0])

    def networks(self, device: torch.device, on_progress: ProgressCallback | None) -> Networks:
        card, values = _card_of_networks(self._card, self._values)
        view = view_of_networks(load_model(card.id, device), self.volume, self._config, on_progress)
        labels = resample(Volume.scalar(self._found.labels, self.volume.affine), view.grid, "nearest").data[0]
        targets = [Target(name, torch.from_numpy(labels == value), view.channels[own]) for name in view.networks
                   for own, value in zip(values, self._values, strict=True)]
        return Networks(card, view, tuple(targets), _choose, in_parts=True)

    def _segment(self, volume: Volume, on_progress: ProgressCallback | None) -> Segmentation:
        return segment(volume, self._card.id, self._config, device=str(self._device), on_progress=on_progress)


def _choose(spec: NetworkSpec, channels: int, patch: tuple[int, ...], name: str) -> Layer:
    return choose_layer(convolutions(spec, channels, patch), name)


def _card_of_networks(card: ModelCard, values: tuple[int, ...]) -> tuple[ModelCard, tuple[int, ...]]:
    """The card of the model whose networks know the structures, and their values there: a part of a collection.

    Raises:
        InputError: no one part knows all of them.
    """
    if not card.parts:
        return card, values
    for part in card.parts:
        own = {new: old for old, new in part.values.items()}
        if all(value in own for value in values):
            return ModelStore().card(part.model), tuple(own[value] for value in values)
    raise InputError("These structures come from several parts of the model. Choose one structure, or occlusion.")

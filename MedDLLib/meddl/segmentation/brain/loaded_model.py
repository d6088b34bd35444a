"""A segmentation model in memory: its card, its networks and its labels."""

from dataclasses import dataclass

import torch
from torch import nn

from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import ModelCard
from meddl.models.loaded_networks import load_networks
from meddl.models.store.store import ModelStore
from meddl.segmentation.atlas.probabilistic_atlas import Atlas, load_atlas


@dataclass(frozen=True)
class SegmentationModel:
    """Networks ready to run.

    Attributes:
        card: what the model is.
        networks: by name, in evaluation mode, on `device`; channels-last where they are our own.
        device: where they are.
        values: label value of each class, background first.
        mirror: class of the other hemisphere for each class, for test-time mirroring.
        atlas: probabilistic atlas, None where the model has none.
    """

    card: ModelCard
    networks: dict[str, nn.Module]
    device: torch.device
    values: tuple[int, ...]
    mirror: tuple[int, ...]
    atlas: Atlas | None


def load_model(identifier: str, device: torch.device, store: ModelStore | None = None,
               on_progress: ProgressCallback | None = None) -> SegmentationModel:
    """The segmentation model of this identifier, from memory where it was used before; raises as `load_networks`."""
    card, networks = load_networks(identifier, "segmentation", device, store)
    report(on_progress, 0.5, "Loading the model")
    values = (0, *(label.value for label in card.labels))
    mirrors = (0, *(label.mirror for label in card.labels))
    mirror = tuple(values.index(m) for m in mirrors)
    return SegmentationModel(card, networks, device, values, mirror, load_atlas(
        card, mirror, device, store, span(on_progress, 0.5, 1.0)))

"""What can be explained: a structure of a segmentation, or the class of a volume."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch

from meddl.core.config import SegmentConfig
from meddl.core.progress import ProgressCallback
from meddl.explanation.layers import Layer
from meddl.explanation.network_view import NetworkView
from meddl.models.cards import ModelCard, NetworkSpec
from meddl.spatial.volume import Volume


@dataclass(frozen=True, eq=False)
class Request:
    """What `meddl.explain` was asked; `structures`, `others` and `config` as there."""

    volume: Volume
    card: ModelCard
    structures: str | Iterable[str | int]
    config: SegmentConfig
    others: Sequence[Volume] | Mapping[str, Volume]
    device: torch.device
    warnings: list[str]


class Target(NamedTuple):
    """A network by its name in the card, the part of its image (x, y, z) bool that counts, and the channel of its
    scores."""

    network: str
    mask: torch.Tensor
    channel: int


@dataclass(frozen=True, eq=False)
class Networks:
    """What Grad-CAM looks at.

    Attributes:
        card: of the networks.
        view: of them on the volume.
        targets: what is explained in each.
        choose: the layer whose features are weighted, of a network for so many channels and windows of this size; by
            its name, or "" for the usual one.
        in_parts: whether the image may be given in smaller windows.
    """

    card: ModelCard
    view: NetworkView
    targets: tuple[Target, ...]
    choose: Callable[[NetworkSpec, int, tuple[int, ...], str], Layer]
    in_parts: bool


class Subject(Protocol):
    """A result that is explained.

    Attributes:
        names: of what is explained, as one.
        readings: sentences on how to read a map, by method, with {names} and {model}.
        volume: on whose grid the map lies.
    """

    names: tuple[str, ...]
    readings: ClassVar[dict[str, str]]
    volume: Volume

    def body(self) -> np.ndarray:
        """Where parts are hidden, (I, J, K) bool, if no region is given."""

    def score(self, hidden: Volume, on_progress: ProgressCallback | None) -> float:
        """What is left of the result of a volume with hidden parts: 1 all, 0 nothing."""

    def networks(self, device: torch.device, on_progress: ProgressCallback | None) -> Networks:
        """The networks that the result comes from."""

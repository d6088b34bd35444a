"""A model of landmarks and boxes on a volume."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from meddl.core.errors import ModelError
from meddl.core.progress import ProgressCallback, report
from meddl.detection.peaks import read_peaks
from meddl.detection.result import Detection
from meddl.detection.view import NETWORK, image_of, windows_of
from meddl.models.cards import ModelCard, NetworkSpec
from meddl.models.recipes import LandmarkOutput
from meddl.models.store.store import ModelStore
from meddl.segmentation.imported.sliding_window import score_rows
from meddl.spatial.points import Boxes, Points
from meddl.spatial.volume import Volume

TASK = "landmarks"
PEAK_SIGMAS = 3.0  # about a peak: nearly all of a Gaussian


def check_landmark_model(model: str, store: ModelStore | None = None) -> tuple[ModelCard, LandmarkOutput]:
    """The card of an installed model of landmarks and boxes, and what its channels mean.

    Raises:
        ModelNotFoundError, ModelError: there is no such model, or it is for another task.
    """
    card = (store or ModelStore()).card(model)
    if card.task != TASK or card.landmarks is None or NETWORK not in card.networks:
        raise ModelError(f"The model '{model}' is for {card.task}; one for {TASK} was expected.")
    return card, card.landmarks


def detect(volume: Volume, spec: NetworkSpec, output: LandmarkOutput, network: nn.Module, device: torch.device,
           on_progress: ProgressCallback | None = None) -> Detection:
    """The likeliest positions of all landmarks and boxes of a model.

    Args:
        volume: (C, I, J, K), any axes and spacing; the first channel is looked at.
        spec, output: of the model's card.
        network: on the device, in evaluation mode.

    Raises:
        ModelError: the network has another number of outputs than the card says.
        Cancelled: from `on_progress`.
    """
    image, grid = image_of(volume, spec.spacing_mm)
    points, boxes = len(output.points), len(output.boxes)
    windows = windows_of(spec)

    def pieces() -> Iterator[torch.Tensor]:
        for piece in score_rows(_check_channels(network, points + 4 * boxes), image.to(device), windows,
                                points + 4 * boxes, exact=True,
                                on_progress=lambda fraction, _: report(on_progress, fraction, "Finding landmarks")):
            yield piece.cpu()

    radius = math.ceil(PEAK_SIGMAS * output.sigma_mm / spec.spacing_mm)
    peaks = read_peaks(pieces(), image.shape[1], points + boxes, radius)
    positions = grid.points_mm(np.array([peak.index.numpy() for peak in peaks]))
    sizes = [np.array(mean) * np.exp(peak.values.numpy()[3 * n:3 * n + 3].clip(-2, 2))
             for n, (peak, mean) in enumerate(zip(peaks[points:], output.boxes.values(), strict=True))]
    return Detection(Points(positions[:points], output.points),
                     Boxes(positions[points:], np.array(sizes).reshape(-1, 3), tuple(output.boxes)),
                     tuple(round(peak.confidence, 4) for peak in peaks))


def _check_channels(network: nn.Module, channels: int):
    def forward(image: torch.Tensor) -> torch.Tensor:
        scores = network(image)
        if scores.shape[1] != channels:
            raise ModelError(f"The network has {scores.shape[1]} outputs; the card says {channels}.")
        return scores
    return forward

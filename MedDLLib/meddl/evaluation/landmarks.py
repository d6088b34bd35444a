"""`meddl evaluate landmarks`: the figures of a model of landmarks and boxes on volumes whose places are known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from meddl.core.progress import ProgressCallback, span

if TYPE_CHECKING:
    from meddl.training.supervised.landmarks.figures import MeasuredLandmarks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--model", required=True, help="identifier of a model, from `meddl train landmarks`")
    parser.add_argument("--images", type=Path, required=True, help="folder of the volumes")
    parser.add_argument("--points", type=Path, required=True, help="folder of their markups, as of the training")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for the tables")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Measure, and write `MODEL.md` and `MODEL.csv`.

    Returns:
        The table in Markdown.

    Raises:
        InputError, ModelNotFoundError, ModelError: as of `measure_landmark_model`.
    """
    from meddl.training.supervised.landmarks.figures import write_landmark_figures

    found = measure_landmark_model(arguments.images, arguments.points, arguments.model, arguments.device, on_progress)
    return write_landmark_figures(found, arguments.out, arguments.model)


def measure_landmark_model(images: Path, points: Path, model: str, device: str = "auto",
                           on_progress: ProgressCallback | None = None) -> MeasuredLandmarks:
    """Find landmarks and boxes in the volumes of a folder, and compare with the markups of another.

    Raises:
        InputError: no data set, none of the model's landmarks in it, or no case that can be used.
        ModelNotFoundError, ModelError: there is no such model of landmarks.
    """
    from meddl.core.device import select_device
    from meddl.detection.detect import TASK, check_landmark_model
    from meddl.detection.view import NETWORK
    from meddl.models.loaded_networks import load_networks
    from meddl.training.supervised.data.page import warn_of_cases
    from meddl.training.supervised.landmarks.dataset import find_marked
    from meddl.training.supervised.landmarks.figures import measure_landmarks
    from meddl.training.supervised.landmarks.inspection import inspect_marked

    card, output = check_landmark_model(model)
    inspection = inspect_marked(find_marked(images, points), span(on_progress, 0.0, 0.2))
    warn_of_cases(inspection, f"'{images}' holds no volume with markups that can be used.")
    where = select_device(device)
    network = load_networks(model, TASK, where)[1][NETWORK]
    return measure_landmarks(inspection.cases, card.networks[NETWORK], output, network, where,
                             span(on_progress, 0.2, 1.0))

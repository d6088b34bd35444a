"""`meddl evaluate classification`: the figures of a classifier on volumes whose classes are known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from meddl.core.progress import ProgressCallback, span

if TYPE_CHECKING:
    from meddl.training.supervised.classification.figures import MeasuredCases


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path, required=True,
                        help="folder with a folder for each class; or a table (.csv, .tsv) with the columns file, "
                             "class and, if known, patient")
    parser.add_argument("--model", required=True, help="identifier of a classifier")
    parser.add_argument("--patient", metavar="TEXT", default=None, help="regular expression whose first group in a "
                        "volume's name is its patient, where no table names it")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for tables and confusion matrix")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Measure, and write `MODEL.md`, `MODEL.csv` and `MODEL.png`.

    Returns:
        The table in Markdown.

    Raises:
        InputError, ModelNotFoundError, ModelError: as of `measure_model`.
    """
    from meddl.training.supervised.classification.figures import write_figures

    found = measure_model(arguments.data, arguments.model, arguments.patient, arguments.device, on_progress)
    return write_figures(found, arguments.out, arguments.model)


def measure_model(data: Path, model: str, patient: str | None = None, device: str = "auto",
                  on_progress: ProgressCallback | None = None) -> MeasuredCases:
    """Classify the volumes of a folder with a folder for each class, or of a table, and compare.

    Raises:
        InputError: no data set, a class that the model does not have, or no case that can be used.
        ModelNotFoundError, ModelError: there is no such classifier.
    """
    from meddl.classification.classify import TASK, check_classifier
    from meddl.classification.view import NETWORK
    from meddl.core.device import select_device
    from meddl.models.loaded_networks import load_networks
    from meddl.training.supervised.classification.dataset import find_classes
    from meddl.training.supervised.classification.figures import measure_cases
    from meddl.training.supervised.classification.inspection import inspect_classes
    from meddl.training.supervised.data.page import warn_of_cases

    card = check_classifier(model)
    inspection = inspect_classes(find_classes(data, patient), span(on_progress, 0.0, 0.2))
    warn_of_cases(inspection, f"'{data}' holds no volume that can be classified.")
    where = select_device(device)
    network = load_networks(model, TASK, where)[1][NETWORK]
    return measure_cases(inspection.cases, card, network, where, span(on_progress, 0.2, 1.0))

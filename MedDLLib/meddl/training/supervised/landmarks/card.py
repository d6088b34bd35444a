"""A trained model of landmarks and boxes: card and safetensors, with the figures on what was held out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import nn

from meddl.core.progress import ProgressCallback
from meddl.detection.detect import TASK
from meddl.detection.view import NETWORK
from meddl.models.cards import ModelCard
from meddl.training.supervised.data.case_card import content_of_cases, held_out, save_named, write_card
from meddl.training.supervised.landmarks.figures import MeasuredLandmarks, measure_landmarks
from meddl.training.supervised.landmarks.inspection import MarkedFigures
from meddl.training.supervised.landmarks.network import LandmarkPlan
from meddl.training.supervised.run_record import TrainingRecord

_USUAL = 5               # percentile of the confidence in the validation that is usual
_LEAST = (0.05, 0.5)     # between these half of the usual confidence is the least with which something is found


def write_landmark_model(folder: Path, plan: LandmarkPlan, network: nn.Module,
                         parts: tuple[Sequence[MarkedFigures], Sequence[MarkedFigures]], record: TrainingRecord,
                         on_progress: ProgressCallback | None = None) -> tuple[ModelCard, MeasuredLandmarks]:
    """Write card and weights, and measure the model on the cases that were held out.

    Args:
        parts: the cases trained on, and those held out.

    Raises:
        ModelError: the disk is full, or the card does not pass its schema.
        Cancelled: from `on_progress`.
    """
    network = network.eval()
    stated = save_named(folder, network.state_dict(), NETWORK)
    device = next(network.parameters()).device
    first = measure_landmarks(parts[1], plan.spec, plan.output(), network, device, on_progress)
    usual = float(np.percentile(first.confidence[np.isfinite(first.errors_mm)], _USUAL))
    output = plan.output(round(float(np.clip(usual / 2, *_LEAST)), 4), round(usual, 4))
    measured = MeasuredLandmarks(first.cases, first.names, first.errors_mm, first.confidence, first.ious,
                                 output.least_confidence)
    accuracy = [{"case": held_out(parts[1]), "structure": one.name, "metric": metric, "value": round(value, 4)}
                for one in measured.figures for metric, value in (
                    ("mean error (mm)", one.mean_mm), ("median error (mm)", one.median_mm),
                    ("95 % of errors below (mm)", one.p95_mm), ("IoU", one.iou)) if value is not None]
    content = _content(plan, parts, record) | {"weights": stated, "landmarks": asdict(output), "accuracy": accuracy}
    return write_card(folder, content, record.command), measured


def _content(plan: LandmarkPlan, parts: tuple[Sequence[MarkedFigures], Sequence[MarkedFigures]],
             record: TrainingRecord) -> dict:
    """The content of card.json, but for weights, output and accuracy."""
    return content_of_cases(record, parts) | {
        "task": TASK,
        "description": f"Finds {', '.join((*plan.points, *plan.boxes))}. Trained on {len(parts[0])} cases.",
        "networks": {NETWORK: {"architecture": plan.architecture, "arguments": plan.arguments,
                               "spacing_mm": plan.spacing_mm, "patch_voxels": plan.patch_voxels}},
        "limits": f"Validated on {len(parts[1])} cases of the same data set, which also chose the best weights and the "
                  "least confidence; other scanners and patients may differ. Boxes lie along R, A and S. Check every "
                  "result."}

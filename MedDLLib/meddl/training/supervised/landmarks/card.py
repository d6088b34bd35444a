"""A trained model of landmarks and boxes: card and safetensors, with the figures on what was held out."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import nn

from meddl.core.progress import ProgressCallback
from meddl.detection.detect import TASK
from meddl.detection.view import NETWORK
from meddl.models.cards import ModelCard, parse_card
from meddl.models.store.archive import CARD_FILE
from meddl.models.weights import save_weights
from meddl.training.supervised.data.volumes import common_region, modalities
from meddl.training.supervised.landmarks.figures import MeasuredLandmarks, measure_landmarks
from meddl.training.supervised.landmarks.inspection import MarkedFigures
from meddl.training.supervised.landmarks.network import LandmarkPlan
from meddl.training.supervised.run_record import TrainingRecord

WEIGHTS = "weights.safetensors"
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
    folder.mkdir(parents=True, exist_ok=True)
    network = network.eval()
    stated = save_weights({f"{NETWORK}.{name}": tensor for name, tensor in network.state_dict().items()},
                          folder / WEIGHTS)
    device = next(network.parameters()).device
    first = measure_landmarks(parts[1], plan.spec, plan.output(), network, device, on_progress)
    usual = float(np.percentile(first.confidence[np.isfinite(first.errors_mm)], _USUAL))
    output = plan.output(round(float(np.clip(usual / 2, *_LEAST)), 4), round(usual, 4))
    measured = MeasuredLandmarks(first.cases, first.names, first.errors_mm, first.confidence, first.ious,
                                 output.least_confidence)
    content = _content(plan, parts, record) | {"weights": stated, "landmarks": asdict(output)}
    case = f"{len(parts[1])} held-out cases of {len({one.case.patient for one in parts[1]})} patients"
    content["accuracy"] = [
        {"case": case, "structure": one.name, "metric": metric, "value": round(value, 4), "command": record.command,
         "sha256": stated["sha256"]}
        for one in measured.figures for metric, value in (
            ("mean error (mm)", one.mean_mm), ("median error (mm)", one.median_mm),
            ("95 % of errors below (mm)", one.p95_mm), ("IoU", one.iou)) if value is not None]
    content = json.loads(json.dumps(content))
    card = parse_card(content, f"of '{record.identifier}'")
    (folder / CARD_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return card, measured


def _content(plan: LandmarkPlan, parts: tuple[Sequence[MarkedFigures], Sequence[MarkedFigures]],
             record: TrainingRecord) -> dict:
    """The content of card.json, but for weights, output and accuracy. No case is named in it."""
    cases = (*parts[0], *parts[1])
    patients = len({one.case.patient for one in cases})
    region, names = common_region(cases), (*plan.points, *plan.boxes)
    return {
        "id": record.identifier, "version": "1.0.0", "name": record.name, "task": TASK,
        "description": f"Finds {', '.join(names)}. Trained on {len(parts[0])} cases.",
        "modality": modalities(cases), "labels": [],
        "networks": {NETWORK: {"architecture": plan.architecture, "arguments": plan.arguments,
                               "spacing_mm": plan.spacing_mm, "patch_voxels": plan.patch_voxels}},
        **({} if region is None else {"region": region}),
        "license": {"code": "Apache-2.0", "weights": record.license},
        "source": {"name": "Trained with MedDL", "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": f"{len(cases)} cases of {patients} patients: {len(parts[0])} to train on, "
                             f"{len(parts[1])} to validate with",
                     "data_license": "as of the data set", "steps": record.steps, "hours": round(record.hours, 3),
                     "device": record.device, "command": record.command, "date": datetime.date.today().isoformat()},
        "accuracy": [], "intended_use": "Research: volumes like those it was trained on. Not for diagnosis.",
        "limits": f"Validated on {len(parts[1])} cases of the same data set, which also chose the best weights and the "
                  "least confidence; other scanners and patients may differ. Boxes lie along R, A and S. Check every "
                  "result.",
        "citation": ""}

"""A trained classifier as a model: card and safetensors, with the figures on what was held out."""

import datetime
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from meddl.classification.classify import TASK
from meddl.classification.view import NETWORK
from meddl.core.progress import ProgressCallback
from meddl.models.cards import ModelCard, parse_card
from meddl.models.weights import save_weights
from meddl.training.supervised.classification.figures import MeasuredCases, measure_cases
from meddl.training.supervised.classification.network import ClassifierPlan
from meddl.training.supervised.data.volumes import CaseFigures, common_region, modalities
from meddl.training.supervised.run_record import TrainingRecord

WEIGHTS, CARD_FILE = "weights.safetensors", "card.json"


def write_classifier(folder: Path, plan: ClassifierPlan, classes: tuple[str, ...], network: nn.Module,
                     parts: tuple[Sequence[CaseFigures], Sequence[CaseFigures]], record: TrainingRecord,
                     on_progress: ProgressCallback | None = None) -> tuple[ModelCard, MeasuredCases]:
    """Write card and weights, and measure the classifier on the cases that were held out.

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
    content = _content(plan, classes, parts, record) | {"weights": stated}
    card = parse_card(content, f"of '{record.identifier}'")
    measured = measure_cases(parts[1], card, network, next(network.parameters()).device, on_progress)
    case = f"{len(parts[1])} held-out cases of {measured.patients} patients"
    content["accuracy"] = [
        {"case": case, "structure": one.subject, "metric": one.name, "value": round(one.value, 4),
         "command": record.command, "sha256": stated["sha256"]}
        | ({} if one.interval is None else {"interval": [round(end, 4) for end in one.interval]})
        for one in measured.figures.figures]
    card = parse_card(content, f"of '{record.identifier}'")
    (folder / CARD_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return card, measured


def _content(plan: ClassifierPlan, classes: tuple[str, ...],
             parts: tuple[Sequence[CaseFigures], Sequence[CaseFigures]], record: TrainingRecord) -> dict:
    """The content of card.json, but for weights and accuracy. No case is named in it."""
    cases = (*parts[0], *parts[1])
    counts = Counter(one.case.label for one in cases)
    patients = len({one.case.patient for one in cases})
    counted = ", ".join(f"{counts[name]} {name}" for name in classes)
    region, started = common_region(cases), f"; started from {plan.start}" if plan.start else ""
    return {
        "id": record.identifier, "version": "1.0.0", "name": record.name, "task": TASK,
        "description": f"Classifies volumes: {', '.join(classes)}. Trained on {len(parts[0])} cases.",
        "modality": modalities(cases), "labels": [], "classes": list(classes),
        "networks": {NETWORK: {"architecture": plan.architecture, "arguments": plan.arguments,
                               "spacing_mm": plan.spacing_mm, "patch_voxels": [plan.size] * 3}},
        **({} if region is None else {"region": region}),
        "license": {"code": "Apache-2.0", "weights": record.license},
        "source": {"name": "Trained with MedDL", "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": f"{len(cases)} cases of {patients} patients ({counted}): {len(parts[0])} to train on, "
                             f"{len(parts[1])} to validate with{started}",
                     "data_license": "as of the data set", "steps": record.steps, "hours": round(record.hours, 3),
                     "device": record.device, "command": record.command, "date": datetime.date.today().isoformat()},
        "accuracy": [], "intended_use": "Research: volumes like those it was trained on. Not for diagnosis.",
        "limits": f"Validated on {len(parts[1])} cases of the same data set, which also chose the best weights; other "
                  "scanners and patients may differ. A volume of none of the classes gets one of them, unless body "
                  "region or modality show that it is another. Classes count as equally frequent in the probabilities.",
        "citation": ""}

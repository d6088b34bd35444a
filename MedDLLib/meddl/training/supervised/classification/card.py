"""A trained classifier as a model: card and safetensors, with the figures on what was held out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from meddl.classification.classify import TASK
from meddl.classification.view import NETWORK
from meddl.core.progress import ProgressCallback
from meddl.models.cards import ModelCard, parse_card
from meddl.training.supervised.classification.figures import MeasuredCases, measure_cases
from meddl.training.supervised.classification.network import ClassifierPlan
from meddl.training.supervised.data.case_card import content_of_cases, held_out, save_named, write_card
from meddl.training.supervised.data.volumes import CaseFigures
from meddl.training.supervised.run_record import TrainingRecord


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
    network = network.eval()
    content = _content(plan, classes, parts, record) | {"weights": save_named(folder, network.state_dict(), NETWORK)}
    card = parse_card(content, f"of '{record.identifier}'")
    measured = measure_cases(parts[1], card, network, next(network.parameters()).device, on_progress)
    content["accuracy"] = [
        {"case": held_out(parts[1]), "structure": one.subject, "metric": one.name, "value": round(one.value, 4)}
        | ({} if one.interval is None else {"interval": [round(end, 4) for end in one.interval]})
        for one in measured.figures.figures]
    return write_card(folder, content, record.command), measured


def _content(plan: ClassifierPlan, classes: tuple[str, ...],
             parts: tuple[Sequence[CaseFigures], Sequence[CaseFigures]], record: TrainingRecord) -> dict:
    """The content of card.json, but for weights and accuracy."""
    counts = Counter(one.case.label for part in parts for one in part)
    counted = ", ".join(f"{counts[name]} {name}" for name in classes)
    return content_of_cases(record, parts, f" ({counted})", f"; started from {plan.start}" if plan.start else "") | {
        "task": TASK, "classes": list(classes),
        "description": f"Classifies volumes: {', '.join(classes)}. Trained on {len(parts[0])} cases.",
        "networks": {NETWORK: {"architecture": plan.architecture, "arguments": plan.arguments,
                               "spacing_mm": plan.spacing_mm, "patch_voxels": [plan.size] * 3}},
        "limits": f"Validated on {len(parts[1])} cases of the same data set, which also chose the best weights; other "
                  "scanners and patients may differ. A volume of none of the classes gets one of them, unless body "
                  "region or modality show that it is another. Classes count as equally frequent in the probabilities."}

"""From a trained network to a model like any other: weights, and a card with its recipe, data, split and accuracy."""

import datetime
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from meddl.core.progress import ProgressCallback, report
from meddl.core.stage_clock import StageClock
from meddl.measures.overlap import dice
from meddl.models.cards import ModelCard, Training, parse_card
from meddl.models.formats.imported import label_entries
from meddl.models.weights import load_into
from meddl.networks import build_network
from meddl.networks.inference import ready_for_inference
from meddl.segmentation.brain.loaded_model import SegmentationModel
from meddl.segmentation.imported.segment_by_recipe import labels_by_recipe
from meddl.training.supervised.data.case_card import save_named, write_card
from meddl.training.supervised.data.cases import IGNORED, Structures, classes_of, labels_by_structure, load_case
from meddl.training.supervised.data.inspection import Inspection
from meddl.training.supervised.plan import NETWORK, Plan

_DIGITS = 12  # of an image's hash


@dataclass(frozen=True)
class TrainingRecord:
    """What a card says of a training.

    Attributes:
        identifier, name: of the model.
        license: of the weights, as the user chose it.
        training, held_out: names of the cases.
        steps, hours, device, command: of the run.
        earlier: what the card says of the training before, where this is a further round.
    """

    identifier: str
    name: str
    license: str
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    steps: int
    hours: float
    device: str
    command: str
    earlier: Training | None = None


def write_model(folder: Path, plan: Plan, weights: dict[str, torch.Tensor], inspection: Inspection,
                record: TrainingRecord, device: torch.device,
                on_progress: ProgressCallback | None = None) -> ModelCard:
    """Write card and weights to `folder`, with the accuracy on the cases that were held out, measured on their own
    voxels by the code that segments with the model later.

    Raises:
        ModelError: the disk is full, or the card does not pass its schema.
        Cancelled: from `on_progress`.
    """
    content = card_content(plan, inspection, record) | {"weights": save_named(folder, weights, NETWORK)}
    card = parse_card(content, f"of '{record.identifier}'")
    network = build_network(plan.architecture, dict(plan.arguments))
    load_into(network, {name: tensor.cpu() for name, tensor in weights.items()})
    values = (0, *(label.value for label in card.labels))
    model = SegmentationModel(card, {NETWORK: ready_for_inference(network, device)}, device, values,
                              tuple(range(len(values))), None)
    accuracy = []
    for n, name in enumerate(record.held_out):
        report(on_progress, n / len(record.held_out), f"Measuring {name}")
        accuracy += _accuracy_of(model, inspection, name)
    content["accuracy"] = accuracy
    content["training"] |= _rounds(accuracy, inspection, record)
    return write_card(folder, content, record.command)


def _rounds(accuracy: list[dict], inspection: Inspection, record: TrainingRecord) -> dict:
    """The rounds of active learning, this one the last, as a card's training states them."""
    before = record.earlier
    digests = [one.digest[:_DIGITS] for one in inspection.fingerprints if one.case.name in record.held_out]
    dice_of_round = [round(float(np.mean([entry["value"] for entry in accuracy])), 4)] if accuracy else []
    return {"round_cases": [*(before.round_cases if before else ()), len(record.training)],
            "round_dice": [*(before.round_dice if before else ()), *dice_of_round],
            "held_out": sorted({*(before.held_out if before else ()), *digests})}


def _accuracy_of(model: SegmentationModel, inspection: Inspection, name: str) -> list[dict]:
    """Dice of each structure that the case has, as a card states it."""
    case = next(one.case for one in inspection.fingerprints if one.case.name == name)
    volume, segmentation, _ = load_case(case, inspection.dataset)
    labels = labels_by_structure(segmentation, case, inspection.structures)
    found = labels_by_recipe(model, volume, StageClock())
    true = compose_labels(labels, inspection.structures)
    counted = classes_of(labels, inspection.structures) != IGNORED
    structures = inspection.structures
    figures = dice(np.where(counted, found, 0), np.where(counted, true, 0), structures.values)
    present = set(np.unique(true).tolist())
    return [{"case": name, "structure": title, "metric": "Dice", "value": round(float(figure), 4)}
            for title, value, figure in zip(structures.names, structures.values, figures, strict=True)
            if value in present]


def compose_labels(labels: np.ndarray, structures: Structures) -> np.ndarray:
    """A label map in the values under which structures are written; of regions the later ones over the earlier."""
    found = np.zeros(labels.shape, dtype=np.uint16)
    for members, value in zip(structures.members, structures.values, strict=True):
        found[np.isin(labels, members)] = value
    return found


def mean_accuracy(card: ModelCard) -> float:
    """Mean Dice of a card's measurements; NaN where there is none."""
    return float(np.mean([entry.value for entry in card.accuracy])) if card.accuracy else float("nan")


def finished_weights(plan: Plan, network: nn.Module) -> dict[str, torch.Tensor]:
    """The weights by name that the network without scores of coarser stages has."""
    wanted = build_network(plan.architecture, dict(plan.arguments)).state_dict()
    weights = network.state_dict()
    return {name: weights[name] for name in wanted}


def _version(record: TrainingRecord) -> str:
    """A further round is a new version."""
    return f"1.{len(record.earlier.round_cases) if record.earlier else 0}.0"


def card_content(plan: Plan, inspection: Inspection, record: TrainingRecord) -> dict:
    """The content of card.json, but for weights and accuracy. No case is named in it."""
    structures, dataset = inspection.structures, inspection.dataset
    names = dict(zip(structures.values, structures.names, strict=True))
    patients = {one.case.patient for one in inspection.fingerprints}
    data = (f"{len(inspection.fingerprints)} cases of {len(patients)} patients: {len(record.training)} to train on, "
            f"{len(record.held_out)} to validate with")
    spacing = [size for size in plan.spacing_mm if size]
    return {
        "id": record.identifier, "version": _version(record), "name": record.name, "task": "segmentation",
        "description": f"{', '.join(structures.names)}, trained on {len(record.training)} cases.",
        "modality": list(dataset.channels), "labels": label_entries(names), "recipe": plan.recipe,
        "networks": {NETWORK: {"architecture": plan.architecture, "arguments": plan.arguments,
                               "spacing_mm": float(min(spacing, default=1.0)),
                               "patch_voxels": list(plan.patch_voxels)}},
        "license": {"code": "Apache-2.0", "weights": record.license},
        "source": {"name": "Trained with MedDL", "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": data, "data_license": "as of the data set", "steps": record.steps,
                     "hours": round(record.hours, 3), "device": record.device, "command": record.command,
                     "date": datetime.date.today().isoformat()},
        "accuracy": [], "intended_use": "Research: volumes like those it was trained on. Not for diagnosis.",
        "limits": f"Validated on {len(record.held_out)} cases of the same data set, which also chose the best weights; "
                  "other scanners and patients may differ. Check every result.",
        "citation": ""}

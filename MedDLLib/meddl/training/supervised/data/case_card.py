"""Card and weights of a model that was trained on single volumes: what all such cards say alike, and their writing."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from meddl.models.cards import ModelCard, parse_card
from meddl.models.store.archive import CARD_FILE
from meddl.models.weights import save_weights
from meddl.training.supervised.data.volumes import CaseFigures, common_region, modalities
from meddl.training.supervised.run_record import TrainingRecord

WEIGHTS = "weights.safetensors"


def save_named(folder: Path, weights: dict[str, torch.Tensor], network: str) -> dict:
    """Write the weights of a network under its name; what a card says of their file.

    Raises:
        ModelError: the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return save_weights({f"{network}.{name}": tensor for name, tensor in weights.items()}, folder / WEIGHTS)


def content_of_cases(record: TrainingRecord, parts: tuple[Sequence[CaseFigures], Sequence[CaseFigures]],
                     counted: str = "", started: str = "") -> dict:
    """What a card says of its training on cases and of their volumes. No case is named in it.

    Args:
        parts: the cases trained on, and those held out.
        counted: how many there are of what, in brackets after the number of patients.
        started: what the training began with.
    """
    cases = (*parts[0], *parts[1])
    patients, region = len({one.case.patient for one in cases}), common_region(cases)
    return {
        "id": record.identifier, "version": "1.0.0", "name": record.name, "modality": modalities(cases), "labels": [],
        **({} if region is None else {"region": region}),
        "license": {"code": "Apache-2.0", "weights": record.license},
        "source": {"name": "Trained with MedDL", "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": f"{len(cases)} cases of {patients} patients{counted}: {len(parts[0])} to train on, "
                             f"{len(parts[1])} to validate with{started}",
                     "data_license": "as of the data set", "steps": record.steps, "hours": round(record.hours, 3),
                     "device": record.device, "command": record.command, "date": datetime.date.today().isoformat()},
        "accuracy": [], "intended_use": "Research: volumes like those it was trained on. Not for diagnosis.",
        "citation": ""}


def held_out(cases: Sequence[CaseFigures]) -> str:
    """The cases of a measurement in words."""
    return f"{len(cases)} held-out cases of {len({one.case.patient for one in cases})} patients"


def write_card(folder: Path, content: dict, command: str) -> ModelCard:
    """Write card.json beside the weights that it states; each measurement gets the command and their SHA-256.

    Raises:
        ModelError: it does not pass its schema.
    """
    made_by = {"command": command, "sha256": content["weights"]["sha256"]}
    content = json.loads(json.dumps(content | {"accuracy": [one | made_by for one in content["accuracy"]]}))
    card = parse_card(content, f"of '{content['id']}'")
    (folder / CARD_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return card

"""From trained networks to a model that ships: weights in safetensors, and their card."""

import argparse
import datetime
import hashlib
import json
from pathlib import Path

import torch
from torch import nn

from meddl.models.cards import load_card
from meddl.models.weights import save_weights
from meddl.training.log import TrainingLog
from meddl.training.segmentation.brain_structures import card_label
from meddl.training.segmentation.head_tasks import HeadTask
from meddl.training.segmentation.schedule import options_for_card
from meddl.training.start import StartModel

CARD = "card.json"
WEIGHTS = "weights.safetensors"


def export_brain(arguments: argparse.Namespace, table, locator: tuple[HeadTask, nn.Module],
                 segmenter: tuple[HeadTask, nn.Module], device: str, start: StartModel | None = None) -> Path:
    """Write `card.json` and `weights.safetensors` (float16) to the folder named as the model in the run's folder.

    Args:
        arguments: the options of `meddl train segmentation`.
        locator, segmenter: each a task and its averaged network.
        table: the label table of the training data.
        device: of this training, for the card.
        start: the model that it went on from.

    Raises:
        ModelError: the card does not pass its schema.
    """
    parts = {"locator": locator, "segmenter": segmenter}
    folder, identifier = arguments.out, arguments.id
    target = folder / identifier
    target.mkdir(parents=True, exist_ok=True)
    tensors = {f"{name}.{key}": value.to(torch.float16).contiguous().cpu()
               for name, (_, network) in parts.items() for key, value in network.state_dict().items()}
    save_weights(tensors, target / WEIGHTS)
    networks = {name: {"architecture": task.architecture, "arguments": task.arguments,
                       "spacing_mm": task.synthesis.spacing_mm, "patch_voxels": list(task.synthesis.shape)}
                for name, (task, _) in parts.items()}
    steps, hours = 0, 0.0
    for name in parts:
        if not (folder / name).is_dir():  # not trained: it came from another model
            continue
        curves = TrainingLog(folder / name, ("step", "hours", "score")).curves()
        steps += int(max(curves["score"][0], default=0))
        hours += max(curves["hours"][1], default=0.0)
    command = f"meddl train segmentation --data LABELMAPS --out RUN {options_for_card(arguments, hours)}"
    if start is not None:
        steps, hours = steps + start.steps, hours + start.hours
        command = f"{command} --from {start.name}"
    content = (target / WEIGHTS).read_bytes()
    card = {
        "id": identifier,
        "version": "0.1.0",
        "name": "Brain structures, any contrast",
        "task": "segmentation",
        "description": "32 brain structures in head or skull-stripped volumes, in MR of any contrast and in CT.",
        "modality": ["MR", "CT"],
        "labels": [card_label(table, int(value)) for value in table.structures],
        "networks": networks,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
        "license": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "source": {"name": "MedDL, trained by `meddl train segmentation`", "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {
            "data": "SynthSeg label maps head_01 to head_12 (BBillot/SynthSeg), random synthetic images only; "
                    "head_13 to head_16 held out",
            "data_license": "Apache-2.0", "steps": steps, "hours": round(hours, 2), "device": device,
            "command": command,
            "date": datetime.date.today().isoformat()},
        "accuracy": [],
        "intended_use": "Research: volumes and masks of brain structures in adult heads. Not for diagnosis.",
        "limits": "Trained on twelve adult anatomies without tumors or surgery. Check every result.",
        "citation": "Billot et al., SynthSeg, Medical Image Analysis 86 (2023), doi:10.1016/j.media.2023.102789",
    }
    (target / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    load_card(target / CARD)
    return target

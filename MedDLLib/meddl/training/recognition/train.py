"""Training and export of the classifier: a pool is made once, the loop augments what it takes from it."""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from meddl.core.device import describe, select_device
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import load_card
from meddl.models.weights import save_weights
from meddl.recognition.coarse import SIZE, SPACING_MM
from meddl.recognition.recognize import MODEL
from meddl.synthesis import load_label_maps
from meddl.training.log import TrainingLog
from meddl.training.loop import LoopOptions, train
from meddl.training.recognition.pool import Pool, make_pool
from meddl.training.recognition.task import ARCHITECTURE, ARGUMENTS, RecognitionTask

TRAINING_MAPS, VALIDATION_MAPS = (1, 10), (11, 12)  # 13 to 16 are for evaluation alone
_DATA = ("synthetic heads of the SynthSeg label maps head_01 to head_12 (BBillot/SynthSeg; 11 and 12 for "
         "validation and the thresholds), random contrasts, whole and stripped, of any pitch; synthetic limbs, trunks, "
         "necks, phantoms and random shapes. No real volume was trained on")
_LIMITS = ("Trained on synthetic volumes alone. It knows adult heads; a part of a head, a deformed one, and vessels "
           "are often unknown. The contrast is mostly unknown, that of real heads nearly always. Left and right cannot "
           "be distinguished: a head that is mirrored alone is not found. It names no body region but the head.")


@dataclass(frozen=True)
class PoolSize:
    """How many volumes are made: heads of each contrast, whole and stripped each, and volumes that are no heads."""

    heads: int = 120
    others: int = 800
    validation_heads: int = 10
    validation_others: int = 100


def train_recognition(data: Path, out: Path, steps: int, batch: int = 16, seed: int = 0, device: str = "auto",
                      sizes: PoolSize = PoolSize(), on_progress: ProgressCallback | None = None) -> Path:
    """Train the classifier and export the model.

    Args:
        data: folder with labels.csv and heads/head_NN.nii.gz.
        out: folder for pools, checkpoints, log and the model; an unfinished run there is resumed.
        steps: length of the training; the same seed and steps give the same weights, also where it was stopped.

    Returns:
        The folder with `card.json` and `weights.safetensors`.

    Raises:
        InputError: there are no label maps.
        Cancelled: from `on_progress`; the last checkpoint is kept.
    """
    where = select_device(device)
    torch.manual_seed(seed)
    pool = _pool(out / "pool.pt", data, TRAINING_MAPS, sizes.heads, sizes.others, seed, span(on_progress, 0.0, 0.2))
    held_out = _pool(out / "held_out.pt", data, VALIDATION_MAPS, sizes.validation_heads, sizes.validation_others,
                     seed + 1000, span(on_progress, 0.2, 0.25))
    task = RecognitionTask(pool, held_out, batch, where, seed)
    options = LoopOptions.of_length(0.0, steps, learning_rate=2e-3, half_precision=False, ema_decay=0.995)
    network = train(task, out / "network", options, where, span(on_progress, 0.25, 0.99)).eval()
    folder = export_network(out, network, task.validate(network), steps, describe(where))
    report(on_progress, 1.0, "Done")
    return folder


def export_network(out: Path, network: nn.Module, score: float, steps: int, device: str) -> Path:
    """Write `card.json` and `weights.safetensors`, in float16, to a folder named like the model in `out`."""
    target = out / MODEL
    target.mkdir(parents=True, exist_ok=True)
    stored = save_weights({f"network.{name}": tensor for name, tensor in network.state_dict().items()},
                          target / "weights.safetensors", dtype=torch.float16)
    curves = TrainingLog(out / "network", ("step", "hours", "score")).curves()
    command = f"meddl train recognition --data LABELMAPS --out RUN --steps {steps}"
    card = {
        "id": MODEL, "version": "0.1.0", "name": "What is this volume?", "task": "recognition",
        "description": "Tells heads from other volumes, the contrast of a head, whether it is stripped, and whether "
                       "its axes fit the anatomy; or that it does not know.",
        "modality": ["MR", "CT"], "labels": [], "region": "head",
        "networks": {"network": {"architecture": ARCHITECTURE, "arguments": ARGUMENTS, "spacing_mm": SPACING_MM,
                                 "patch_voxels": [SIZE] * 3}},
        "weights": stored, "license": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "source": {"name": "MedDL, trained by `meddl train recognition`",
                   "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": _DATA, "data_license": "Apache-2.0", "steps": steps,
                     "hours": round(max(curves["hours"][1], default=0.0), 2), "device": device, "command": command,
                     "date": datetime.date.today().isoformat()},
        "accuracy": [{"case": "synthetic volumes of maps 11 and 12", "structure": "head, contrast, stripped, axes",
                      "metric": "mean accuracy", "value": round(score, 3), "command": command,
                      "sha256": stored["sha256"]}],
        "intended_use": "Research: to notice a wrong file or header before a run. Not for diagnosis.",
        "limits": _LIMITS, "citation": "He et al., CVPR 2016, doi:10.1109/CVPR.2016.90"}
    (target / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    load_card(target / "card.json")
    return target


def _pool(file: Path, data: Path, maps: tuple[int, int], each: int, others: int, seed: int,
          on_progress: ProgressCallback | None) -> Pool:
    if not file.is_file():
        make_pool(load_label_maps(data, *maps), each, others, seed, on_progress).save(file)
    return Pool.read(file)

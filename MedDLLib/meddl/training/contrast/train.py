"""Training and export of the network of contrast synthesis."""

import datetime
import json
from pathlib import Path

import torch
from torch import nn

from meddl.contrast_synthesis.contrasts import MODEL, TASK
from meddl.contrast_synthesis.network_input import SPACING_MM
from meddl.core.device import describe, select_device
from meddl.core.progress import ProgressCallback, report, span
from meddl.models.cards import load_card
from meddl.models.weights import save_weights
from meddl.synthesis import load_label_maps
from meddl.training.contrast.task import ARCHITECTURE, ARGUMENTS, SHAPE, ContrastTask
from meddl.training.log import TrainingLog
from meddl.training.loop import LoopOptions, train

TRAINING_MAPS, HELD_OUT_MAPS = (1, 12), (13, 16)
_DATA = ("rendered heads of the SynthSeg label maps head_01 to head_12 (BBillot/SynthSeg), random contrasts, whole and "
         "stripped, some with lesions of white matter; 13 to 16 held out. No real volume was trained on")
_LIMITS = ("What it makes was not measured: it shows what tissues look like on average, and what the two contrasts do "
           "not share is invented. Trained on adult heads without tumor, bleeding or contrast agent, whose lesions are "
           "random blobs in white matter: pathology is often missed or made up. Intensities are arbitrary units.")


def train_contrast(data: Path, out: Path, minutes: float = 20.0, steps: int | None = None, seed: int = 0,
                   device: str = "auto", on_progress: ProgressCallback | None = None) -> Path:
    """Train the network and export the model.

    Args:
        data: folder with labels.csv and heads/head_NN.nii.gz.
        out: folder for checkpoints, log and the model; an unfinished run there is resumed.
        minutes: length of the training.
        steps: instead of minutes; the same seed and steps give the same weights.

    Returns:
        The folder with `card.json` and `weights.safetensors`.

    Raises:
        InputError: there are no label maps.
        Cancelled: from `on_progress`; the last checkpoint is kept.
    """
    where = select_device(device)
    torch.manual_seed(seed)
    maps, held_out = (load_label_maps(data, *numbers).to(where) for numbers in (TRAINING_MAPS, HELD_OUT_MAPS))
    task = ContrastTask(maps, held_out, seed=seed)
    options = LoopOptions.of_length(minutes, steps, learning_rate=2e-3, half_precision=False, ema_decay=0.99)
    network = train(task, out / "network", options, where, span(on_progress, 0.05, 0.99)).eval()
    length = f"--minutes {minutes:g}" if steps is None else f"--steps {steps}"
    folder = export_network(out, network, task.validate(network), length, describe(where))
    report(on_progress, 1.0, "Done")
    return folder


def export_network(out: Path, network: nn.Module, score: float, length: str, device: str) -> Path:
    """Write `card.json` and `weights.safetensors`, in float16, to a folder named like the model in `out`."""
    target = out / MODEL
    target.mkdir(parents=True, exist_ok=True)
    stored = save_weights({f"network.{name}": tensor for name, tensor in network.state_dict().items()},
                          target / "weights.safetensors", dtype=torch.float16)
    curves = TrainingLog(out / "network", ("step", "hours", "score")).curves()
    command = f"meddl train contrast --data LABELMAPS --out RUN {length}"
    card = {
        "id": MODEL, "version": "0.1.0", "name": "Contrast synthesis: T1, T2, FLAIR", "task": TASK,
        "description": "Synthesizes what T1, T2 and FLAIR would show of a head, from one volume of MR of any contrast.",
        "modality": ["MR"], "labels": [], "region": "head",
        "networks": {"network": {"architecture": ARCHITECTURE, "arguments": ARGUMENTS, "spacing_mm": SPACING_MM,
                                 "patch_voxels": list(SHAPE)}},
        "weights": stored, "license": {"code": "Apache-2.0", "weights": "Apache-2.0"},
        "source": {"name": "MedDL, trained by `meddl train contrast`",
                   "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": _DATA, "data_license": "Apache-2.0",
                     "steps": int(max(curves["hours"][0], default=0)),
                     "hours": round(max(curves["hours"][1], default=0.0), 2), "device": device, "command": command,
                     "date": datetime.date.today().isoformat()},
        "accuracy": [{"case": "rendered heads of maps 13 to 16", "structure": "head",
                      "metric": "PSNR, mean of the three contrasts, dB", "value": round(score, 2), "command": command,
                      "sha256": stored["sha256"]}],
        "intended_use": "Research: registration, and models that miss a contrast. Not for diagnosis or measurement.",
        "limits": _LIMITS, "citation": "Iglesias et al., SynthSR, Science Advances 2023, doi:10.1126/sciadv.add3607"}
    (target / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    load_card(target / "card.json")
    return target

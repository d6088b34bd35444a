"""What the cards of the networks of super-resolution and denoising say, and their export."""

import datetime
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from meddl.models.cards import load_card
from meddl.models.weights import save_weights
from meddl.training.log import TrainingLog

CARD = "card.json"
WEIGHTS = "weights.safetensors"
CURVES = "losses.png"
_LIMITS = ("Detail that was not measured is inferred from the training data: check every result, and "
           "trust no detail of one or two voxels that the input does not suggest. ")


@dataclass(frozen=True)
class ModelMetadata:
    """What is known of a network before it is trained.

    Attributes:
        identifier: of the model that ships.
        task: of the card, "superres" or "denoise".
        name, description, limits, citation: of the card.
        patch_voxels: what the network gets in training, (i, j, k).
        metric: what its score means.
    """

    identifier: str
    task: str
    name: str
    description: str
    limits: str
    citation: str
    patch_voxels: tuple[int, int, int]
    metric: str


_GAIN = "gain in PSNR over cubic, dB"
_DENOISED = "gain in PSNR at 5 % noise, dB"
METADATA: dict[str, ModelMetadata] = {
    "through-plane": ModelMetadata(
        "superres-through-plane", "superres", "Through-plane super-resolution",
        "Through-plane super-resolution of thick slices of any modality, by any factor from 1.5 to 4.5, image by "
        "image, in both planes across the slices.", _LIMITS + "It was not trained above a factor of 4.5. At a "
        "factor of 4 lesions of one or two voxels keep less of their contrast than under cubic interpolation.",
        "Lim et al., EDSR, CVPR Workshops 2017, doi:10.1109/CVPRW.2017.151", (1, 40, 24), _GAIN),
    "edsr3d": ModelMetadata(
        "superres-edsr3d", "superres", "EDSR in 3D, isotropic x2",
        "Halves the voxel size along every axis of volumes of any modality.",
        _LIMITS + "For nearly isotropic voxels.",
        "Lim et al., EDSR, CVPR Workshops 2017, doi:10.1109/CVPRW.2017.151", (14, 14, 14), _GAIN),
    "srcnn": ModelMetadata(
        "superres-srcnn", "superres", "SRCNN in 3D, isotropic x2",
        "Halves the voxel size along every axis with the first super-resolution network: for comparison and teaching.",
        _LIMITS + "For nearly isotropic voxels; EDSR is more accurate.",
        "Dong et al., SRCNN, ECCV 2014, doi:10.1007/978-3-319-10593-2_13", (14, 14, 14), _GAIN),
    "srresnet": ModelMetadata(
        "superres-srresnet", "superres", "SRResNet in 3D, isotropic x2",
        "Halves the voxel size along every axis with the generator of SRGAN before adversarial training.",
        _LIMITS + "For nearly isotropic voxels.",
        "Ledig et al., SRGAN, CVPR 2017, doi:10.1109/CVPR.2017.19", (14, 14, 14), _GAIN),
    "srgan": ModelMetadata(
        "superres-srgan", "superres", "SRGAN in 3D, isotropic x2",
        "Halves the voxel size along every axis, with synthesized texture that looks real and was not measured: for "
        "teaching, never for measurement.", "Adversarial texture is synthesized, not measured. " + _LIMITS,
        "Ledig et al., SRGAN, CVPR 2017, doi:10.1109/CVPR.2017.19", (14, 14, 14), _GAIN),
    "denoiser": ModelMetadata(
        "denoise-residual", "denoise", "Residual denoiser in 3D",
        "Denoises volumes of any modality for a given noise level; Gaussian noise, or that of magnitude images "
        "(Rician).",
        _LIMITS + "For noise that is independent from voxel to voxel: not for streaks, ghosts or smoothed noise. "
        "An edge 2.1 voxels wide (10 to 90 %) becomes 0.1 to 0.2 voxel wider at 5 % noise, one of 1.1 voxels by 0.5 to "
        "0.9, most where its contrast is only four times the noise.",
        "Zhang et al., FFDNet, IEEE TIP 2018, doi:10.1109/TIP.2018.2839891", (28, 28, 28), _DENOISED),
    "autoencoder": ModelMetadata(
        "denoise-autoencoder", "denoise", "Denoising autoencoder in 3D",
        "Denoises volumes of any modality without a given noise level (blind): for comparison and teaching.",
        _LIMITS + "For noise that is independent from voxel to voxel. Texture that resembles noise is lost.",
        "Vincent et al., ICML 2008, doi:10.1145/1390156.1390294", (28, 28, 28), _DENOISED),
    "series-denoiser": ModelMetadata(
        "denoise-series", "denoise", "Recurrent denoiser of series",
        "Denoises a series of volumes of any modality: says at each voxel how far the mean of the frames so far still "
        "holds, for a temporal filter before the spatial denoiser.",
        "The result is a weighted mean of measured frames, denoised spatially: what changes by less than the noise, in "
        "a voxel and its neighbors, and for fewer frames than the filter averages, is weakened or lost. For noise that "
        "is independent from frame to frame and from voxel to voxel. It compensates no motion: what has moved starts "
        "anew.",
        "Ballas et al., ConvGRU, ICLR 2016, arXiv:1511.06432; Cho et al., EMNLP 2014, doi:10.3115/v1/D14-1179",
        (20, 20, 20), "gain in PSNR of the temporal filter, dB"),
}


@dataclass(frozen=True)
class TrainingRun:
    """What the card says about how a network was trained.

    Attributes:
        data, data_license: in words.
        command: that repeats it.
        device: in words.
        started_from: steps and hours of the model that it went on from, (0, 0.0) where there is none.
        measured: what its accuracy was measured on, in words.
        license: of the weights.
    """

    data: str
    data_license: str
    command: str
    device: str
    started_from: tuple[int, float] = (0, 0.0)
    measured: str = "held-out synthetic volumes"
    license: str = "Apache-2.0"


def export_network(folder: Path, network_name: str, identifier: str, task, network: nn.Module,
                   run: TrainingRun, title: str | None = None) -> Path:
    """Write `card.json`, `weights.safetensors` and, where it was plotted, `losses.png` to `folder/identifier`.

    The weights are stored in float16 where that costs less than 0.01 dB on the held-out data, else in float32.

    Args:
        folder: the run's, which holds its log in `folder/network_name`.
        task: with `validate`, `architecture` and `arguments`.
        title: of the model, where it has one of its own.

    Raises:
        ModelError: the card does not pass its schema.
    """
    metadata = METADATA[network_name]
    target = folder / identifier
    target.mkdir(parents=True, exist_ok=True)
    exact = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    score = task.validate(network)
    network.load_state_dict({name: tensor.half().to(tensor.dtype) for name, tensor in exact.items()})
    rounded = task.validate(network)
    half = rounded > score - 0.01
    network.load_state_dict(exact)
    stored = save_weights({f"network.{name}": tensor for name, tensor in exact.items()}, target / WEIGHTS,
                          dtype=torch.float16 if half else torch.float32)
    curves = TrainingLog(folder / network_name, ("step", "hours", "score")).curves()
    steps = run.started_from[0] + int(max(curves["hours"][0], default=0))
    hours = run.started_from[1] + max(curves["hours"][1], default=0.0)
    card: dict[str, Any] = {
        "id": identifier, "version": "0.1.0", "name": title or metadata.name, "task": metadata.task,
        "description": metadata.description, "modality": ["MR", "CT", "PET"], "labels": [],
        "networks": {"network": {"architecture": task.architecture, "arguments": task.arguments, "spacing_mm": 1.0,
                                 "patch_voxels": list(metadata.patch_voxels)}},
        "weights": stored,
        "license": {"code": "Apache-2.0", "weights": run.license},
        "source": {"name": "MedDL, trained by `meddl train superres`", "url": "https://github.com/MedDL/SlicerMedDL"},
        "training": {"data": run.data, "data_license": run.data_license, "steps": steps, "hours": round(hours, 2),
                     "device": run.device, "command": run.command, "date": datetime.date.today().isoformat()},
        "accuracy": [{"case": run.measured, "structure": "whole volume", "metric": metadata.metric,
                      "value": round(rounded if half else score, 3), "command": run.command,
                      "sha256": stored["sha256"]}],
        "intended_use": "Research: to look at volumes, and as a first step of image analysis. Not for diagnosis.",
        "limits": metadata.limits, "citation": metadata.citation,
    }
    plot = folder / network_name / "log.png"
    if plot.is_file():
        shutil.copyfile(plot, target / CURVES)
        card["training"]["curves"] = CURVES
    (target / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    load_card(target / CARD)
    return target

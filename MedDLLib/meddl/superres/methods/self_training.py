"""The method *self-training*: the network is fine-tuned on the volume that it super-resolves.

The in-plane images of a volume with thick slices are sharp in both directions. Acquired again as thick slices along
one of them, they are pairs of input and truth of exactly this contrast, noise and anatomy. The idea is that of SMORE:
C. Zhao et al., "SMORE: a self-supervised anti-aliasing and super-resolution algorithm for MRI using deep learning",
IEEE Transactions on Medical Imaging 40(3), 2021, doi:10.1109/TMI.2020.3037187.

What is kept is the network that does best on held-out images turned by 45 degrees, the one to begin with included. A
run ends when its time is over, when nothing becomes better any more, or when the callback's function `should_stop`, if
it has one, says so: in each case with the best network so far. `Cancelled` ends the run without a
result, as everywhere.
"""

import copy
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, early_stop_of, report, span
from meddl.networks import build_network
from meddl.superres.acquisition.degradation import Acquisition
from meddl.superres.acquisition.value_range import ValueRange
from meddl.superres.job import Job
from meddl.superres.methods.own_patches import OwnPatches
from meddl.superres.methods.through_plane import installed_network, through_plane

_BATCH = 8
_WARM_RATE, _COLD_RATE = 3e-4, 1e-3
_VALIDATE_EVERY = 25  # steps
_PATIENCE = 8  # validations without anything better
_LEAST_GAIN_DB = 0.002
_EDGE = 2  # slices at the ends of a patch that see a border which the volume has not


def self_training(job: Job, on_progress: ProgressCallback | None = None) -> np.ndarray:
    """The network, trained further on the data's own in-plane images, along the thick axis.

    Raises:
        InputError: several axes are to become finer (there is nothing sharper to learn from), the in-plane images
            are too small, or the time is not a positive number of seconds.
    """
    if len(job.acquisitions) != 1:
        raise InputError("Self-training learns one thick axis from the sharp images across it; here several axes are "
                         "to become finer. Choose one axis, or the method 'network'.")
    if not (math.isfinite(job.config.seconds) and job.config.seconds > 0):
        raise InputError(f"Self-training takes a positive number of seconds; got {job.config.seconds!r}.")
    acquisition = job.acquisitions[0]
    values = ValueRange.of(job.data)
    data = np.ascontiguousarray(np.moveaxis(values.to_unit(job.data), acquisition.axis, 0))
    try:
        patches = OwnPatches(data, acquisition, job.noise_sigma / values.width)
    except ValueError as error:
        raise InputError(f"This volume is too small for self-training: {error}. "
                         "Choose the method 'network'.") from error
    model, rate = _start(job)
    figures = train_on(model, patches, acquisition, rate, job.config.seconds, span(on_progress, 0.0, 0.8))
    job.figures.update(figures)
    return through_plane(model, job, span(on_progress, 0.8, 1.0))


def train_on(model: nn.Module, patches: OwnPatches, acquisition: Acquisition, rate: float, seconds: float,
             on_progress: ProgressCallback | None = None) -> dict:
    """Train `model` in place and leave it with its best weights; what was reached, for the report."""
    begin = time.perf_counter()
    should_stop = early_stop_of(on_progress)
    device = next(model.parameters()).device
    factor, thickness = acquisition.factor, acquisition.thickness
    held_out = tuple(part.to(device) for part in patches.held_out_patches())
    start_db = best_db = _score(model, held_out, acquisition)
    best, since, step, passed = _weights(model), 0, 0, 0.0
    model.train().requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    edge = round(_EDGE * factor)
    while since < _PATIENCE and passed < seconds and not (should_stop and should_stop()):
        report(on_progress, passed / seconds, f"Learning from the volume ({best_db - start_db:+.2f} dB)")
        optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * passed / seconds))
        small, large = (part.to(device) for part in patches.draw(_BATCH))
        made = model(small.contiguous(memory_format=torch.channels_last), factor, thickness)
        loss = (made - large)[..., edge:-edge].abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step % _VALIDATE_EVERY == 0:
            score = _score(model, held_out, acquisition)
            since = 0 if score > best_db + _LEAST_GAIN_DB else since + 1
            if score > best_db:
                best_db, best = score, _weights(model)
        passed = time.perf_counter() - begin
    model.load_state_dict(best)
    model.eval().requires_grad_(False)
    return {"training_steps": step, "training_seconds": round(time.perf_counter() - begin, 2),
            "held_out_psnr_db": {"before": round(start_db, 3), "after": round(best_db, 3)}}


def _start(job: Job) -> tuple[nn.Module, float]:
    """A copy of the installed network, or a new one where there is none, and the learning rate for it."""
    installed = installed_network(job)
    if installed is not None:
        return copy.deepcopy(installed), _WARM_RATE
    job.warnings.append("The network for a warm start is not installed: self-training began from nothing, which "
                        "takes longer and reaches less.")
    network = build_network("ThroughPlaneNetwork", {})
    return network.to(job.device, memory_format=torch.channels_last), _COLD_RATE


@torch.inference_mode()
def _score(model: nn.Module, held_out: tuple[torch.Tensor, torch.Tensor], acquisition: Acquisition) -> float:
    """PSNR in dB on the held-out images, for values of range 1, their ends left out."""
    edge = round(_EDGE * acquisition.factor)
    error = 0.0
    for thick, sharp in zip(*held_out, strict=True):
        made = model(thick[None], acquisition.factor, acquisition.thickness)[0]
        error += float(F.mse_loss(made[..., edge:-edge], sharp[..., edge:-edge]))
    return -10 * math.log10(max(error / len(held_out[0]), 1e-12))


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

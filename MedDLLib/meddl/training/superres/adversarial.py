"""SRGAN: adversarial training of a network that was trained on mean absolute error.

The generator starts from SRResNet's weights. Its loss is the mean absolute error, a little of what the discriminator
thinks (hinge loss), and the distance of features within the discriminator (T.-C. Wang et al., CVPR 2018,
doi:10.1109/CVPR.2018.00917). What it adds is likely, not measured: see `superres.volumetric` for what is done about it.

The discriminator is shown detail alone: what lies above the cubic spline through the input, in units of the true
detail's spread. Real and made volumes differ by a few hundredths of their range. Under spectral normalization a score
rises no faster than its input, and so the scores of whole volumes hardly differ: the hinge loss stays at 2, its value
for a guess.
"""

import copy
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from meddl.core.memory import POOLED_BYTES_IN_TRAINING, reuse_freed_memory
from meddl.core.progress import ProgressCallback, report
from meddl.networks.architectures.srresnet import PatchDiscriminator3D
from meddl.networks.cpu.fast_training import ready_for_training
from meddl.networks.cubic import cubic_twice
from meddl.training.checkpoint import read_checkpoint, write_checkpoint
from meddl.training.log import CHECKPOINT, TrainingLog
from meddl.training.loop import LoopOptions, update_average
from meddl.training.losses import check_finite

ADVERSARIAL_WEIGHT = 1e-3
FEATURE_WEIGHT = 1e-2
DISCRIMINATOR_RATE = 4.0  # of the generator's learning rate (M. Heusel et al., NeurIPS 2017, arXiv:1706.08500)
LEAST_SPREAD = 5e-3  # of detail, where a patch holds next to none; a volume's robust range is 1
_PARTS = ("pixel", "adversarial", "features", "discriminator")


@reuse_freed_memory(POOLED_BYTES_IN_TRAINING)
def train_adversarial(task, folder: Path, options: LoopOptions, device: torch.device,
                      on_progress: ProgressCallback | None = None) -> nn.Module:
    """Train `task.network` against a discriminator; resume from `folder` where a checkpoint lies there.

    Args:
        task: gives `sample(done)` with `given` and `wanted`, and `validate(network)`.

    Writes `checkpoint.pt`, `log.csv` and `log.png` with the losses of both to `folder`.

    Returns:
        The generator with the averaged weights.

    Raises:
        DivergenceError: a loss is not a number any more; the last checkpoint is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = ready_for_training(task.network.to(device))
    average = copy.deepcopy(generator).requires_grad_(False)
    discriminator = PatchDiscriminator3D().to(device)
    optimizers = [torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.99)) for network, rate in
                  ((generator, options.learning_rate),
                   (discriminator, DISCRIMINATOR_RATE * options.learning_rate))]
    saved = {"generator": generator, "average": average, "discriminator": discriminator,
            "first": optimizers[0], "second": optimizers[1]}
    step, spent = 0, 0.0
    checkpoint = folder / CHECKPOINT
    if (state := read_checkpoint(checkpoint, device)) is not None:
        for name, part in saved.items():
            part.load_state_dict(state[name])
        task.resume(state["task"])
        step, spent = state["step"], state["seconds"]
    log = TrainingLog(folder, ("step", "hours", *_PARTS, "score"))
    start, read = time.perf_counter() - spent, time.perf_counter()
    sums, count = torch.zeros(len(_PARTS), device=device), 0
    while True:
        seconds = time.perf_counter() - start
        done = max(step / options.steps, seconds / 3600 / options.hours)
        if done >= 1 or time.perf_counter() - read > 60 * options.validate_minutes:
            check_finite(float(sums.sum()), step)
            _save(checkpoint, saved, task, step, seconds)
            score = task.validate(average)
            losses = dict(zip(_PARTS, (sums / max(1, count)).tolist(), strict=True)) if count else {}
            log.add(step=step, hours=seconds / 3600, score=score, **losses)
            log.plot((*_PARTS, "score"))
            report(on_progress, min(1.0, done), f"step {step}, score {score:.3f}")
            sums, count, read = torch.zeros_like(sums), 0, time.perf_counter()
        if done >= 1:
            return average
        sums += _step(generator, discriminator, *optimizers, task.sample(done))
        count, step = count + 1, step + 1
        update_average(average, generator, min(options.ema_decay, (1 + step) / (10 + step)))


def _step(generator, discriminator, first, second, batch) -> torch.Tensor:
    """One step of both networks; the four parts of their losses."""
    made = generator(batch.given)
    shown, truth = _details(batch, made)
    discriminator.requires_grad_(False)
    judged, found = discriminator(shown)
    _, real = discriminator(truth)
    pixel = F.l1_loss(made, batch.wanted)
    adversarial = -judged.mean()
    features = sum(F.l1_loss(a, b) for a, b in zip(found, real, strict=True)) / len(real)
    first.zero_grad(set_to_none=True)
    (pixel + ADVERSARIAL_WEIGHT * adversarial + FEATURE_WEIGHT * features).backward()
    nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
    first.step()
    discriminator.requires_grad_(True)
    real_score, made_score = discriminator(truth)[0], discriminator(shown.detach())[0]
    wrong = F.relu(1 - real_score).mean() + F.relu(1 + made_score).mean()
    second.zero_grad(set_to_none=True)
    wrong.backward()
    second.step()
    return torch.stack([pixel, adversarial, features, wrong]).detach()


def _details(batch, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the generator and the truth add to the cubic spline, in units of the truth's standard deviation there."""
    smooth = cubic_twice(batch.given)
    truth = batch.wanted - smooth
    spread = truth.flatten(1).std(dim=1).clamp_min(LEAST_SPREAD).reshape(-1, 1, 1, 1, 1)
    return (made - smooth) / spread, truth / spread


def _save(path: Path, saved: dict, task, step: int, seconds: float) -> None:
    write_checkpoint(path, {name: part.state_dict() for name, part in saved.items()}
                     | {"task": task.state(), "step": step, "seconds": seconds})

"""The training loop, the same for every task and every device."""

import copy
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from meddl.core.device import in_fast_precision
from meddl.core.memory import POOLED_BYTES_IN_TRAINING, reuse_freed_memory
from meddl.core.progress import ProgressCallback, report
from meddl.networks.cpu.fast_training import ready_for_training
from meddl.training.log import TrainingLog


class Task(Protocol):
    """What the loop needs to know of a task."""

    network: nn.Module

    def sample(self, done: float):
        """Draw a training batch, on the device; `done` is the part of the schedule that is over, 0 to 1."""

    def loss(self, network: nn.Module, batch) -> torch.Tensor:
        """The loss of a batch, a scalar."""

    def validate(self, network: nn.Module) -> float:
        """A score on held-out data; higher is better."""

    def state(self) -> dict:
        """What the task needs to go on where it stopped: tensors and numbers."""

    def resume(self, state: dict) -> None:
        """Go on from such a state."""


@dataclass(frozen=True)
class LoopOptions:
    """How long and how fast to train.

    Attributes:
        steps: length of the schedule in steps.
        hours: length of the schedule in hours of this run and those that it resumes; whichever ends first.
        learning_rate: at its highest.
        weight_decay: of AdamW.
        warmup_steps: steps until the highest learning rate.
        ema_decay: of the averaged weights, the ones that are validated and exported.
        validate_minutes: time between validations, checkpoints and plots.
        half_precision: whether layers compute in 16 bits where the device does so faster.
    """

    steps: int = 100_000
    hours: float = 1.0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    ema_decay: float = 0.999
    validate_minutes: float = 5.0
    half_precision: bool = True


@reuse_freed_memory(POOLED_BYTES_IN_TRAINING)
def train(task: Task, folder: Path, options: LoopOptions, device: torch.device,
          on_progress: ProgressCallback | None = None) -> nn.Module:
    """Train `task.network` with AdamW and a cosine schedule; resume from `folder` where a checkpoint lies there.

    Writes `checkpoint.pt`, `log.csv` and `log.png` to `folder`. The schedule follows steps or hours, whichever
    is further, so that a run always ends annealed.

    Returns:
        The network with the averaged weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = ready_for_training(task.network.to(device))
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate,
                                  weight_decay=options.weight_decay, fused=True)
    checkpoint = folder / "checkpoint.pt"
    step, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        task.resume(state["task"])
        step, spent = state["step"], state["seconds"]
    log = TrainingLog(folder, ("step", "hours", "loss", "learning_rate", "score", "images_per_second",
                               "generator_share"))
    start = time.perf_counter() - spent
    meter = _Meter(device)
    done = 0.0
    while True:
        hours = (time.perf_counter() - start) / 3600
        done = max(step / options.steps, hours / options.hours)
        if done >= 1:
            break
        _set_rate(optimizer, options, step, done)
        with meter.generating():
            batch = task.sample(done)
        with in_fast_precision(device, exact=not options.half_precision):
            loss = task.loss(network, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        update_average(average, network, min(options.ema_decay, (1 + step) / (10 + step)))
        meter.add(loss)
        if meter.seconds() > 60 * options.validate_minutes:
            _checkpoint(checkpoint, network, average, optimizer, task, step, time.perf_counter() - start)
            score = task.validate(average)
            figures = meter.read()
            log.add(step=step, hours=hours, learning_rate=optimizer.param_groups[0]["lr"], score=score, **figures)
            log.plot(("loss", "score"))
            report(on_progress, done, f"step {step}, loss {figures['loss']:.3f}, score {score:.3f}")
    _checkpoint(checkpoint, network, average, optimizer, task, step, time.perf_counter() - start)
    score = task.validate(average)
    log.add(step=step, hours=(time.perf_counter() - start) / 3600, score=score, **meter.read())
    log.plot(("loss", "score"))
    report(on_progress, 1.0, f"step {step}, score {score:.3f}")
    return average


class _Meter:
    """Mean loss, speed and the generator's fraction since the last reading, without a device sync a step."""

    def __init__(self, device: torch.device):
        self.device = device
        self._clear()

    def _clear(self) -> None:
        self.begin, self.count, self.generator_seconds = time.perf_counter(), 0, 0.0
        self.total = torch.zeros((), device=self.device)

    def generating(self):
        meter = self

        class Span:
            def __enter__(self):
                self.begin = time.perf_counter()

            def __exit__(self, *_):
                meter.generator_seconds += time.perf_counter() - self.begin

        return Span()

    def add(self, loss: torch.Tensor) -> None:
        self.total += loss.detach()
        self.count += 1

    def seconds(self) -> float:
        return time.perf_counter() - self.begin

    def read(self) -> dict[str, float]:
        seconds = self.seconds()
        figures = {"loss": float(self.total) / max(1, self.count), "images_per_second": self.count / seconds,
                 "generator_share": self.generator_seconds / seconds}
        self._clear()
        return figures


def _set_rate(optimizer, options: LoopOptions, step: int, done: float) -> None:
    rate = options.learning_rate * min(1.0, (step + 1) / options.warmup_steps) * 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's by a fraction of 1 - `decay`."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def _checkpoint(path: Path, network, average, optimizer, task: Task, step: int, seconds: float) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    torch.save({"network": network.state_dict(), "average": average.state_dict(),
                "optimizer": optimizer.state_dict(), "task": task.state(), "step": step, "seconds": seconds},
               temporary)
    temporary.replace(path)

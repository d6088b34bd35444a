"""The training loop, the same for every task and every device."""

import copy
import math
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from meddl.core.device import in_fast_precision
from meddl.core.errors import InputError
from meddl.core.memory import POOLED_BYTES_IN_TRAINING, reuse_freed_memory
from meddl.core.progress import ProgressCallback, early_stop_of, preview, report
from meddl.networks.cpu.fast_training import ready_for_training
from meddl.training.checkpoint import read_checkpoint, write_checkpoint
from meddl.training.log import CHECKPOINT, TrainingLog
from meddl.training.losses import check_finite
from meddl.training.processes import broadcast_number, broadcast_weights, sum_gradients

_PLOTTED = ("loss", "score")
_NO_END = 10**9           # steps
_VALIDATIONS = 10
_MOST_VALIDATION_STEPS = 1000
_PLOT_SECONDS = 10.0  # between plots, which take a good part of one each


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
        hours: length of the schedule in hours of this run and those that it resumes; whichever ends first. Infinity:
            the schedule follows the steps alone, and a run that was stopped and resumed gives what one without a stop
            gives.
        learning_rate: at its highest.
        weight_decay: of AdamW.
        warmup_steps: steps until the highest learning rate.
        first_step: of the schedule, that a run without a checkpoint begins at: one that goes on from weights alone.
        ema_decay: of the averaged weights, the ones that are validated and exported.
        validate_minutes: time between validations, checkpoints and plots.
        validate_steps: validate also after each so many steps; None: by time alone.
        half_precision: whether layers compute in 16 bits where the device does so faster.
        validate_first: validate also before the first step: with `keep_best`, weights that a training goes on from are
            kept where none are better.
        keep_best: give the averaged weights with the best score of all validations, not the last ones.
        patience: validations without a better score after which the training ends; None: it goes on.
    """

    steps: int = 100_000
    hours: float = 1.0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    first_step: int = 0
    ema_decay: float = 0.999
    validate_minutes: float = 5.0
    validate_steps: int | None = None
    half_precision: bool = True
    validate_first: bool = False
    keep_best: bool = False
    patience: int | None = None

    @classmethod
    def of_length(cls, minutes: float, steps: int | None, **more) -> "LoopOptions":
        """A schedule in steps where they are given, else in minutes, with about ten validations; and other options."""
        if steps is None:
            return cls(steps=_NO_END, hours=minutes / 60, validate_minutes=minutes / _VALIDATIONS, **more)
        every = min(_MOST_VALIDATION_STEPS, -(-steps // _VALIDATIONS))
        return cls(steps=steps, hours=math.inf, validate_minutes=math.inf, validate_steps=every, **more)


@dataclass(frozen=True)
class TrainingFigures:
    """What the loop shows of itself after a validation, as a preview: see `meddl.core.progress.preview`.

    Attributes:
        step: how many are done.
        loss: mean since the validation before.
        score, best: of this validation, and the highest so far.
        hours: trained so far.
        hours_left: until the end of the schedule at this pace.
    """

    step: int
    loss: float
    score: float
    best: float
    hours: float
    hours_left: float


@reuse_freed_memory(POOLED_BYTES_IN_TRAINING)
def train(task: Task, folder: Path, options: LoopOptions, device: torch.device,
          on_progress: ProgressCallback | None = None) -> nn.Module:
    """Train `task.network` with AdamW and a cosine schedule; resume from `folder` where a checkpoint lies there.

    Writes `checkpoint.pt`, `log.csv` and `log.png` to `folder`, with `keep_best` also `best.pt`. The schedule follows
    steps or hours, whichever is further, so that a run always ends annealed. Parameters that need no gradient stay as
    they are. A callback whose `should_stop` says True ends the training there.

    Returns:
        The network with the averaged weights, with `keep_best` the best ones.

    Raises:
        InputError: a checkpoint cannot be written or read; the last good one is kept.
        DivergenceError: the loss is not a number any more; the last checkpoint is kept.
        Cancelled: from `on_progress`; the last checkpoint is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(task, folder, options, device, on_progress)
    should_stop = early_stop_of(on_progress)
    if options.validate_first and run.step == options.first_step:
        run.validate(0.0)
    while (done := broadcast_number(1.0 if should_stop and should_stop() else run.done)) < 1:
        run.take_step(done)
        if run.validation_is_due():
            run.validate(done)
    run.validate(1.0)
    return run.result()


def follow(task: Task, folder: Path, options: LoopOptions, device: torch.device) -> None:
    """Take the steps of a training that another process leads: see `processes`. Nothing is validated or written."""
    run = _Run(task, folder, options, device, None)
    while (done := broadcast_number(1.0)) < 1:
        run.take_step(done)


def trained_so_far(task: Task, folder: Path, device: torch.device) -> nn.Module:
    """The network with the averaged weights of the checkpoint that a run left in `folder`.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    state = read_checkpoint(folder / CHECKPOINT, device)
    if state is None:
        raise InputError(f"{folder} was expected to hold a checkpoint of a training; there is none yet.")
    network = task.network.to(device)
    network.load_state_dict(state["average"])
    return network


class _Run:
    """A training on its way."""

    def __init__(self, task: Task, folder: Path, options: LoopOptions, device: torch.device,
                 on_progress: ProgressCallback | None):
        self.task, self.options, self.device, self.on_progress = task, options, device, on_progress
        self.network = ready_for_training(task.network.to(device))
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW([one for one in self.network.parameters() if one.requires_grad],
                                           lr=options.learning_rate, weight_decay=options.weight_decay, fused=True)
        self.checkpoint, self.best_place = folder / CHECKPOINT, folder / "best.pt"
        self.step, self.best, self.waited, spent = options.first_step, -math.inf, 0, 0.0
        self.validated: int | None = None
        self.plotted = -math.inf
        self.text = "first steps"
        if (state := read_checkpoint(self.checkpoint, device)) is not None:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.task.resume(state["task"])
            self.step, spent = state["step"], state["seconds"]
            self.best, self.waited = state.get("best", -math.inf), state.get("waited", 0)  # not in version 0.1.0
        broadcast_weights(self.network)
        self.folder = folder
        self.start = time.perf_counter() - spent
        self.meter = _Meter(device)

    @cached_property
    def log(self) -> TrainingLog:
        return TrainingLog(self.folder, ("step", "hours", "loss", "learning_rate", "score", "images_per_second",
                                         "generator_share"))

    @property
    def seconds(self) -> float:
        """Trained so far, in this run and those that it resumes."""
        return time.perf_counter() - self.start

    @property
    def done(self) -> float:
        """The part of the schedule that is over; all of it where the validations no longer find better weights."""
        if self.options.patience is not None and self.waited >= self.options.patience:
            return 1.0
        return max(self.step / self.options.steps, self.seconds / 3600 / self.options.hours)

    def validation_is_due(self) -> bool:
        steps = self.options.validate_steps
        return (self.meter.seconds() > 60 * self.options.validate_minutes
                or (steps is not None and self.step % steps == 0))

    def take_step(self, done: float) -> None:
        _set_rate(self.optimizer, self.options, self.step, done)
        with self.meter.generating():
            batch = self.task.sample(done)
        with in_fast_precision(self.device, exact=not self.options.half_precision):
            loss = self.task.loss(self.network, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        sum_gradients(self.network.parameters())
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        update_average(self.average, self.network, min(self.options.ema_decay, (1 + self.step) / (10 + self.step)))
        self.meter.add(loss)
        report(self.on_progress, done, self.text)

    def validate(self, done: float) -> None:
        """Measure the averaged weights, unless this step's were; then checkpoint, log, plot and report."""
        if self.validated == self.step:
            return
        if self.meter.count:
            check_finite(self.meter.loss(), self.step)
        score = self.task.validate(self.average)
        self.validated = self.step
        better = score > self.best
        self.best, self.waited = (score, 0) if better else (self.best, self.waited + 1)
        if better and self.options.keep_best:
            write_checkpoint(self.best_place, {"average": self.average.state_dict(), "score": score})
        write_checkpoint(self.checkpoint, {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "task": self.task.state(), "step": self.step,
            "seconds": self.seconds, "best": self.best, "waited": self.waited})
        figures, hours = self.meter.read(), self.seconds / 3600
        self.log.add(step=self.step, hours=hours, learning_rate=self.optimizer.param_groups[0]["lr"], score=score,
                     **figures)
        if time.monotonic() - self.plotted > _PLOT_SECONDS:
            self.log.plot(_PLOTTED)
            self.plotted = time.monotonic()
        loss = f"loss {figures['loss']:.3f}, " if self.step > self.options.first_step else ""
        self.text = f"step {self.step}, {loss}score {score:.3f}"
        preview(self.on_progress, TrainingFigures(self.step, figures["loss"], score, self.best, hours,
                                                  hours * (1 - done) / done if done else 0.0))
        report(self.on_progress, done, self.text)

    def result(self) -> nn.Module:
        self.log.plot(_PLOTTED)
        report(self.on_progress, 1.0, self.text)
        if self.options.keep_best and (kept := read_checkpoint(self.best_place, self.device)) is not None:
            self.average.load_state_dict(kept["average"])
        return self.average


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

    def loss(self) -> float:
        return float(self.total) / self.count if self.count else math.nan

    def read(self) -> dict[str, float]:
        seconds = self.seconds()
        figures = {"loss": self.loss(), "images_per_second": self.count / seconds,
                   "generator_share": self.generator_seconds / seconds}
        self._clear()
        return figures


def _set_rate(optimizer, options: LoopOptions, step: int, done: float) -> None:
    warm = min(1.0, (step + 1 - options.first_step) / options.warmup_steps)
    rate = options.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's by a fraction of 1 - `decay`, and take over its buffers (such as
    running statistics of batch normalization)."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


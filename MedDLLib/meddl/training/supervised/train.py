"""The verb `meddl.train`: from volumes with label maps to an installed segmentation model."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from meddl.core.config import check_config
from meddl.core.device import describe, free_memory_bytes, select_device
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io.files import as_path
from meddl.models.cards import ModelCard
from meddl.models.formats.imported import identifier
from meddl.networks import build_network
from meddl.training import loop
from meddl.training.config import TrainConfig
from meddl.training.log import CHECKPOINT
from meddl.training.start import StartModel
from meddl.training.supervised.data.discovery import find_dataset
from meddl.training.supervised.data.generation import Generation, generate_cases
from meddl.training.supervised.data.inspection import Inspection, inspect_dataset, split_by_patient, split_of_round
from meddl.training.supervised.data.page import stop_at_errors, write_findings
from meddl.training.supervised.export import TrainingRecord, finished_weights, write_model
from meddl.training.supervised.fine_tuning import fit_outputs, network_from_model, plan_from_model
from meddl.training.supervised.parallel import GENERATED, ParallelSetup, devices_of, helpers, sampler_of, shared_batch
from meddl.training.supervised.plan import Plan, make_plan
from meddl.training.supervised.prepared import PreparedCase, prepare_cases
from meddl.training.supervised.run_record import (
    described_run,
    install_own,
    length_of_run,
    read_run,
    write_run,
)
from meddl.training.supervised.task import SegmentationTask, training_arguments

_MEMORY_FRACTION = 0.7  # of what is free, for training
_MOST_VALIDATED = 12  # cases, while training; the card's figures are of all
_LEARNING_RATE, _WARMUP_STEPS = 1e-3, 20
_DATA = ("--data DATA", "--images IMAGES --labels LABELS")  # as the card's command names it



@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What a training gives.

    Attributes:
        card: of the model, with its accuracy on the cases that were held out.
        folder: with card and weights.
        inspection: the data set with the findings about it.
        plan: how it was trained.
        training, held_out: names of the cases.
    """

    card: ModelCard
    folder: Path
    inspection: Inspection
    plan: Plan
    training: tuple[str, ...]
    held_out: tuple[str, ...]


def check_data(images: str | Path, labels: str | Path | None = None, config: TrainConfig | None = None,
               on_progress: ProgressCallback | None = None) -> Inspection:
    """The data set in a folder, and what speaks against training on it; arguments and errors as of `train`."""
    config = check_config(config, TrainConfig)
    dataset = find_dataset(images, labels, config.patient)
    return inspect_dataset(dataset, config.ignore_value, config.painted_slices, on_progress)


def train(images: str | Path, labels: str | Path | None = None, *, out: str | Path, name: str = "my model",
          config: TrainConfig | None = None, device: str = "auto", install: bool = True,
          on_progress: ProgressCallback | None = None) -> TrainedModel:
    """Train a segmentation model on volumes with label maps, or fine-tune one, and install it.

    Args:
        images: folder of a data set (nnU-Net raw, Medical Segmentation Decathlon, BIDS derivatives, images and
            labels), or of the volumes where `labels` is given.
        labels: folder of the label maps.
        out: folder for checkpoints, log and model; an unfinished run there is resumed.
        name: what the model is called; its identifier is made of it.
        config: configuration; the defaults where None.
        device: auto, cpu, cuda, cuda:N or mps.
        install: whether the model is then among the installed ones.
        on_progress: its `should_stop` ends the training with the best weights so far; `preview` gets the loop's
            `TrainingFigures`.

    Raises:
        InputError: no data set, errors in it (all of them are named), or options that do not fit it.
        ModelNotFoundError, ModelError: the model to start from cannot be used, or the result not be installed.
        OutOfMemoryError: not even the smallest patch fits.
        DivergenceError: the loss is not a number any more; the last checkpoint is kept.
        Cancelled: from `on_progress`; the last checkpoint is kept, and the next call resumes.
    """
    config = _with_start(check_config(config, TrainConfig))
    inspection = check_data(images, labels, config, span(on_progress, 0.0, 0.05))
    return train_inspected(inspection, out=out, name=name, config=config, device=device, install=install,
                           on_progress=span(on_progress, 0.05, 1.0), data=_DATA[labels is not None])


def train_inspected(inspection: Inspection, *, out: str | Path, name: str, config: TrainConfig, device: str = "auto",
                    install: bool = True, on_progress: ProgressCallback | None = None,
                    data: str = _DATA[0]) -> TrainedModel:
    """Train on a data set that `check_data` has inspected; arguments, result and errors as of `train`."""
    where, folder = select_device(device), as_path(out, "a folder")
    stop_at_errors(inspection, write_findings(inspection.findings, inspection.found, folder), config.leave_out)
    start = None if config.start is None else StartModel(config.start)
    earlier = start.card.training if start is not None and config.continue_from is not None else None
    training, held_out = (split_by_patient(inspection, config.fold, config.folds, config.seed) if earlier is None
                          else split_of_round(inspection, earlier.held_out))
    plan = shared_batch(_settle_plan(inspection, config, start, where, folder), config.processes, config.batch)
    cases = prepare_cases(inspection, plan.recipe, folder / "cases", config.painted_slices,
                          span(on_progress, 0.0, 0.05))
    torch.manual_seed(config.seed)
    network, new = ((build_network(plan.architecture, training_arguments(plan)), set()) if start is None
                    else network_from_model(start, plan, inspection, config.freeze_encoder))
    setup = _setup_of(inspection, plan, config, folder, network, [name in training for name in cases], where)
    own = [cases[name] for _, name in setup.cases]
    sampler = sampler_of(setup, [*own, *_generate(own, plan, config, folder, where, span(on_progress, 0.05, 0.2))])
    task = SegmentationTask(plan, inspection.structures, sampler, [cases[one] for one in held_out][:_MOST_VALIDATED],
                            torch.device(setup.devices[0]), network)
    begin = 0.2 if config.generate else 0.05
    if new and not (folder / CHECKPOINT).exists():
        fit_outputs(new, task, span(on_progress, begin, begin + 0.05))
        begin += 0.05
    report(on_progress, begin, f"Training {plan.describe()}")
    with helpers(setup, span(on_progress, begin, begin)):
        trained = loop.train(task, folder, setup.options, task.device, span(on_progress, begin, 0.95))
    record = TrainingRecord(identifier(name), name, config.license, training, held_out, *length_of_run(folder),
                            describe(where), _command(data, config, plan.start), earlier)
    target = folder / record.identifier
    card = write_model(target, plan, finished_weights(plan, trained), inspection, record, where,
                       span(on_progress, 0.95, 0.99))
    if install:
        card = install_own(target)
    report(on_progress, 1.0, "Done")
    return TrainedModel(card, target, inspection, plan, training, held_out)


def _generate(cases: list[PreparedCase], plan: Plan, config: TrainConfig, folder: Path, device: torch.device,
               on_progress: ProgressCallback | None) -> list[PreparedCase]:
    """The images that are to be generated from the cases; none where none were asked for."""
    if not config.generate:
        return []
    return generate_cases(cases, plan.patch_voxels, [size or 1.0 for size in plan.spacing_mm] or [1.0] * 3,
                          Generation(config.generate, config.generate_steps, config.seed), folder / GENERATED, device,
                          on_progress)


def _with_start(config: TrainConfig) -> TrainConfig:
    """The configuration, of a further round with the model that it goes on from.

    Raises:
        InputError: two models to go on from, or one without rounds.
    """
    if config.continue_from is None:
        return config
    if config.start not in (None, config.continue_from):
        raise InputError("Give one model to go on from: to fine-tune (--from), or for a further round "
                         "(--continue-from).")
    if not StartModel(config.continue_from).card.training.held_out:
        raise InputError(f"'{config.continue_from}' does not say what it was validated with: it was not trained on "
                         "volumes by this version. Fine-tune it (--from).")
    return replace(config, start=config.continue_from)


def _setup_of(inspection: Inspection, plan: Plan, config: TrainConfig, folder: Path, network: nn.Module,
              taken: list[bool], device: torch.device) -> ParallelSetup:
    """What each process knows; `taken` says which cases are trained on."""
    cases = tuple((n, one.case.name) for n, one in enumerate(inspection.fingerprints) if taken[n])
    frozen = tuple(name for name, one in network.named_parameters() if not one.requires_grad)
    threads = max(1, torch.get_num_threads() // config.processes)
    return ParallelSetup(str(folder), plan, inspection.structures, cases, loop_options(config), config.seed, frozen,
                 config.processes, threads, devices_of(device, config.processes), config.generate)


def loop_options(config: TrainConfig) -> loop.LoopOptions:
    """How long and how fast, in steps where they are given, else in minutes."""
    warmup = _WARMUP_STEPS if config.steps is None else min(_WARMUP_STEPS, -(-config.steps // 10))
    rate = config.learning_rate or _LEARNING_RATE
    return loop.LoopOptions.of_length(config.minutes, config.steps, learning_rate=rate, warmup_steps=warmup,
                                      keep_best=True, patience=config.patience)


def _settle_plan(inspection: Inspection, config: TrainConfig, start: StartModel | None, device: torch.device,
                 folder: Path) -> Plan:
    """The plan of the run that lies in the folder, else a new one, which is written there.

    Raises:
        InputError: the run in the folder is of other data or options.
    """
    asked = described_run(config, start=None if start is None else start.card.own_weights.sha256, data={
        one.case.name: [one.digest, *map(str, sorted(one.voxels.items()))] for one in inspection.fingerprints})
    earlier = read_run(folder, asked)
    if earlier:
        kept = earlier["plan"]
        return Plan(**(kept | {"patch_voxels": tuple(kept["patch_voxels"])}))
    kind, free = "cpu" if device.type == "cpu" else "gpu", int(_MEMORY_FRACTION * free_memory_bytes(device))
    plan = (make_plan(inspection, config, kind, free) if start is None
            else plan_from_model(start, inspection, config, kind, free))
    write_run(folder, {"asked": asked, "plan": asdict(plan)})
    return plan


def _command(data: str, config: TrainConfig, start: str) -> str:
    """The command that trains alike, from the model `start` or none, without the user's folders."""
    length = f"--minutes {config.minutes:g}" if config.steps is None else f"--steps {config.steps}"
    option = "--from" if config.continue_from is None else "--continue-from"
    start = f" {option} {start}" if start else ""
    contrast = "" if config.contrast == "own" else f" --contrast {config.contrast}"
    generate = f" --generate {config.generate} --generate-steps {config.generate_steps}" if config.generate else ""
    return (f"meddl train segmentation {data} --network {config.network} {length} --fold {config.fold} --seed "
            f"{config.seed}{start}{contrast}{generate}")

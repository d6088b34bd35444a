"""The verb `meddl.train_classifier`: from volumes in classes to an installed classifier."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from meddl.core.config import check_config
from meddl.core.device import describe, select_device
from meddl.core.progress import ProgressCallback, report, span
from meddl.io.files import as_path
from meddl.models.cards import ModelCard
from meddl.models.formats.imported import identifier
from meddl.training import loop
from meddl.training.config import ClassifierTrainConfig
from meddl.training.start import StartModel
from meddl.training.supervised.classification.card import write_classifier
from meddl.training.supervised.classification.dataset import find_classes
from meddl.training.supervised.classification.figures import MeasuredCases, write_figures
from meddl.training.supervised.classification.inspection import ClassInspection, inspect_classes, split_classes
from meddl.training.supervised.classification.network import ClassifierPlan, network_of_plan, plan_classifier
from meddl.training.supervised.classification.prepared import prepare_cubes
from meddl.training.supervised.classification.task import ClassificationTask
from meddl.training.supervised.data.page import stop_at_errors, write_text
from meddl.training.supervised.run_record import (
    TrainingRecord,
    described_run,
    install_own,
    length_of_run,
    read_run,
    write_run,
)

VALIDATION = "validation"  # files with the figures of the held-out cases
_LEARNING_RATE, _FINE_TUNING_RATE = 1e-3, 5e-4


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """What the training of a classifier gives.

    Attributes:
        card: of the model, with its figures on the cases that were held out.
        folder: with card and weights.
        inspection: the data set with the findings about it.
        plan: how it was trained.
        training: names of the cases.
        validation: the held-out cases with what was found in them.
    """

    card: ModelCard
    folder: Path
    inspection: ClassInspection
    plan: ClassifierPlan
    training: tuple[str, ...]
    validation: MeasuredCases


def train_classifier(data: str | Path, *, out: str | Path, name: str = "my classifier",
                     config: ClassifierTrainConfig | None = None, device: str = "auto", install: bool = True,
                     on_progress: ProgressCallback | None = None) -> TrainedClassifier:
    """Train a classifier of volumes, one channel each, and install it.

    Args:
        data: folder with a folder for each class; or a table (.csv, .tsv) with the columns file, class and, if known,
            patient, whose files are given from its own folder on.
        out: folder for checkpoints, log, figures and model; an unfinished run there is resumed.
        name: what the model is called; its identifier is made of it.
        config: configuration; the defaults where None.
        device: auto, cpu, cuda, cuda:N or mps.
        install: whether the model is then among the installed ones.
        on_progress: its `should_stop` ends the training with the best weights so far; `preview` gets the loop's
            `TrainingFigures`.

    Raises:
        InputError: no data set, errors in it (all of them are named), or options that do not fit it.
        ModelNotFoundError, ModelError: the model to start from cannot be used, or the result not be installed.
        Cancelled: from `on_progress`; the last checkpoint is kept, and the next call resumes.
    """
    config = check_config(config, ClassifierTrainConfig)
    where, folder = select_device(device), as_path(out, "a folder")
    inspection = inspect_classes(find_classes(data, config.patient), span(on_progress, 0.0, 0.05))
    stop_at_errors(inspection, write_text(inspection.findings, folder), config.leave_out)
    start = None if config.start is None else StartModel(config.start)
    parts = split_classes(inspection, config.fold, config.folds, config.seed)
    plan = _settle_plan(inspection, config, start, folder)
    cubes = prepare_cubes(inspection, plan, folder / "cases", span(on_progress, 0.05, 0.1))
    torch.manual_seed(config.seed)
    classes = inspection.dataset.classes
    network = network_of_plan(plan, start, classes)
    labels = np.array([classes.index(one.case.label) for one in inspection.cases])
    rows = [[inspection.cases.index(one) for one in part] for part in parts]
    task = ClassificationTask(plan, network, cubes, labels, (rows[0], rows[1]), config.batch, where, config.seed)
    report(on_progress, 0.1, f"Training {plan.describe()}")
    rate = config.learning_rate or (_LEARNING_RATE if start is None else _FINE_TUNING_RATE)
    options = loop.LoopOptions.of_length(config.minutes, config.steps, learning_rate=rate, warmup_steps=20,
                                         half_precision=False, ema_decay=0.995, keep_best=True,
                                         patience=config.patience)
    trained = loop.train(task, folder, options, where, span(on_progress, 0.1, 0.95))
    record = TrainingRecord(identifier(name), name, config.license, *length_of_run(folder), describe(where),
                              _command(config))
    target = folder / record.identifier
    card, measured = write_classifier(target, plan, classes, trained, parts, record, span(on_progress, 0.95, 0.99))
    write_figures(measured, folder, VALIDATION)
    if install:
        card = install_own(target)
    report(on_progress, 1.0, "Done")
    return TrainedClassifier(card, target, inspection, plan, tuple(one.case.name for one in parts[0]), measured)


def _settle_plan(inspection: ClassInspection, config: ClassifierTrainConfig, start: StartModel | None,
                 folder: Path) -> ClassifierPlan:
    """The plan, which is written to the folder.

    Raises:
        InputError: the run in the folder is of other data or options.
    """
    plan = plan_classifier(inspection, config, start)
    weights = None if start is None else start.card.own_weights.sha256
    asked = described_run(config, plan=asdict(plan), start=weights, data=[
        [one.case.name, one.case.label, one.case.patient, one.digest] for one in inspection.cases])
    if not read_run(folder, asked):
        write_run(folder, {"asked": asked})
    return plan


def _command(config: ClassifierTrainConfig) -> str:
    """The command that trains alike, without the user's folders."""
    length = f"--minutes {config.minutes:g}" if config.steps is None else f"--steps {config.steps}"
    start = f"--network {config.network}" if config.start is None else f"--from {Path(config.start).name}"
    return (f"meddl train classification --data DATA {start} {length} --batch {config.batch} --fold {config.fold} "
            f"--seed {config.seed}")

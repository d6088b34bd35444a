"""The verb `meddl.train_landmarks`: from volumes with markups to an installed model of landmarks and boxes."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from meddl.core.config import check_config
from meddl.core.device import describe, select_device
from meddl.core.progress import ProgressCallback, report, span
from meddl.io.files import as_path
from meddl.models.cards import ModelCard
from meddl.models.formats.imported import identifier
from meddl.networks import build_network
from meddl.training import loop
from meddl.training.config import LandmarkTrainConfig
from meddl.training.supervised.data.page import stop_at_errors, write_text
from meddl.training.supervised.landmarks.card import write_landmark_model
from meddl.training.supervised.landmarks.dataset import find_marked
from meddl.training.supervised.landmarks.figures import MeasuredLandmarks, write_landmark_figures
from meddl.training.supervised.landmarks.inspection import MarkedInspection, inspect_marked, split_marked
from meddl.training.supervised.landmarks.network import LandmarkPlan, plan_landmarks
from meddl.training.supervised.landmarks.task import LandmarkTask, prepare_images
from meddl.training.supervised.run_record import (
    TrainingRecord,
    described_run,
    install_own,
    length_of_run,
    read_run,
    write_run,
)

VALIDATION = "validation"  # files with the figures of the held-out cases
_LEARNING_RATE = 2e-3
_MOST_VALIDATED = 12  # cases, while training; the card's figures are of all


@dataclass(frozen=True, eq=False)
class TrainedLandmarks:
    """What the training of a model of landmarks gives.

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
    inspection: MarkedInspection
    plan: LandmarkPlan
    training: tuple[str, ...]
    validation: MeasuredLandmarks


def train_landmarks(images: str | Path, points: str | Path, *, out: str | Path, name: str = "my landmarks",
                    config: LandmarkTrainConfig | None = None, device: str = "auto", install: bool = True,
                    on_progress: ProgressCallback | None = None) -> TrainedLandmarks:
    """Train a model that finds landmarks and boxes in volumes of one channel, and install it.

    Args:
        images: folder of the volumes.
        points: folder of their markups: CASE.mrk.json, .fcsv or .csv with points, and CASE_NAME.mrk.json with an ROI
            for each box; equal names mean the same landmark in all cases. Boxes are taken along R, A and S.
        out: folder for checkpoints, log, figures and model; an unfinished run there is resumed.
        name: what the model is called; its identifier is made of it.
        config: configuration; the defaults where None.
        device: auto, cpu, cuda, cuda:N or mps.
        install: whether the model is then among the installed ones.
        on_progress: its `should_stop` ends the training with the best weights so far; `preview` gets the loop's
            `TrainingFigures`, whose score is the mean error in mm times -1.

    Raises:
        InputError: no data set, errors in it (all of them are named), or options that do not fit it.
        ModelError: the result cannot be installed.
        Cancelled: from `on_progress`; the last checkpoint is kept, and the next call resumes.
    """
    config = check_config(config, LandmarkTrainConfig)
    where, folder = select_device(device), as_path(out, "a folder")
    inspection = inspect_marked(find_marked(images, points, config.patient), span(on_progress, 0.0, 0.05))
    stop_at_errors(inspection, write_text(inspection.findings, folder), config.leave_out)
    parts = split_marked(inspection, config.fold, config.folds, config.seed)
    plan = _settle_plan(inspection, config, folder, "cpu" if where.type == "cpu" else "gpu")
    prepared = prepare_images(parts[0], plan, span(on_progress, 0.05, 0.1))
    torch.manual_seed(config.seed)
    network = build_network(plan.architecture, plan.arguments)
    task = LandmarkTask(plan, network, prepared, parts[1][:_MOST_VALIDATED], config.batch, where, config.seed)
    report(on_progress, 0.1, f"Training {plan.describe()}")
    options = loop.LoopOptions.of_length(config.minutes, config.steps,
                                         learning_rate=config.learning_rate or _LEARNING_RATE, warmup_steps=20,
                                         half_precision=False, ema_decay=0.99, keep_best=True,
                                         patience=config.patience)
    trained = loop.train(task, folder, options, where, span(on_progress, 0.1, 0.95))
    record = TrainingRecord(identifier(name), name, config.license, *length_of_run(folder), describe(where),
                            _command(config))
    target = folder / record.identifier
    card, measured = write_landmark_model(target, plan, trained, parts, record, span(on_progress, 0.95, 0.99))
    write_landmark_figures(measured, folder, VALIDATION)
    if install:
        card = install_own(target)
    report(on_progress, 1.0, "Done")
    return TrainedLandmarks(card, target, inspection, plan, tuple(one.case.name for one in parts[0]), measured)


def _settle_plan(inspection: MarkedInspection, config: LandmarkTrainConfig, folder: Path, kind: str) -> LandmarkPlan:
    """The plan, which is written to the folder.

    Raises:
        InputError: the run in the folder is of other data or options.
    """
    plan = plan_landmarks(inspection, config, kind)
    asked = described_run(config, plan=asdict(plan), data=[
        [one.case.name, one.case.patient, one.digest,
         {name: place.round(4).tolist() for name, place in sorted((one.points | one.boxes).items())}]
        for one in inspection.cases])
    if not read_run(folder, asked):
        write_run(folder, {"asked": asked})
    return plan


def _command(config: LandmarkTrainConfig) -> str:
    """The command that trains alike, without the user's folders."""
    length = f"--minutes {config.minutes:g}" if config.steps is None else f"--steps {config.steps}"
    return (f"meddl train landmarks --images IMAGES --points POINTS --network {config.network} {length} --batch "
            f"{config.batch} --fold {config.fold} --seed {config.seed}")

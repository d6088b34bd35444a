"""The verb `meddl.train_superres`: from sharp volumes or pairs to an installed network of super-resolution."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from meddl.core.config import check_config
from meddl.core.device import describe, select_device
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, report, span
from meddl.io.files import as_path
from meddl.models.formats.imported import identifier
from meddl.models.store.store import ModelStore
from meddl.synthesis import load_label_maps
from meddl.training.config import SuperResTrainConfig
from meddl.training.loop import LoopOptions, train
from meddl.training.start import StartModel
from meddl.training.superres.adversarial import train_adversarial
from meddl.training.superres.cards import METADATA, TrainingRun, export_network
from meddl.training.superres.pairs import PairPool, PairTask, load_pairs
from meddl.training.superres.series_task import SeriesTask
from meddl.training.superres.tasks import PoolTask, ThroughPlaneTask
from meddl.training.superres.volume_pool import VolumePool, folder_sources, head_source, shape_source
from meddl.training.superres.volume_tasks import DenoisingTask, HalvingTask

TRAINING_MAPS = (1, 12)
HELD_OUT_MAPS = (13, 16)
POOL, HELD_OUT_POOL, PATCHES_PER_VOLUME = 24, 4, 250
ADVERSARIAL_LEARNING_RATE = 1e-4
FINE_TUNING_RATE = 2e-4
HALVING = {"edsr3d": "EDSR3D", "srcnn": "SRCNN3D", "srresnet": "SRResNet3D", "srgan": "SRResNet3D"}
PAIRED = ("edsr3d", "srcnn", "srresnet", "autoencoder")  # networks that learn from pairs
SRGAN_START = "superres-srresnet"
NONE = "none"  # as a start: random weights
_HELD_OUT_SEED = 20_000
_VALIDATION_MINUTES = 2.0  # between validations, at most


@dataclass(frozen=True)
class TrainingVolumes:
    """Folders to learn from: label maps, sharp volumes of the user's own, or both; or pairs.

    Attributes:
        label_maps: with labels.csv and heads/head_NN.nii.gz; 01 to 12 train, 13 to 16 are held out.
        volumes: sharp ones; without label maps the last fifth of them is held out.
        pairs: with the folders low and high; the last fifth is held out.
    """

    label_maps: Path | None = None
    volumes: Path | None = None
    pairs: Path | None = None

    @property
    def own(self) -> bool:
        """Whether all are volumes of the user."""
        return self.label_maps is None


def train_superres(volumes: str | Path | None = None, pairs: str | Path | None = None, *, out: str | Path,
                   name: str = "my model", config: SuperResTrainConfig | None = None, device: str = "auto",
                   install: bool = True, on_progress: ProgressCallback | None = None) -> Path:
    """Train or fine-tune a network of super-resolution or denoising on volumes of one's own, and install it.

    Args:
        volumes: folder of sharp volumes, with voxels about as long along every axis; they are made coarse or noisy by
            simulation.
        pairs: folder with the folders low and high, which hold the same anatomy twice under one name: coarse and sharp
            (voxels half as long), or noisy and clean for the autoencoder.
        out: folder for checkpoints, log and model; an unfinished run there is resumed.
        name: what the model is called; its identifier is made of it.
        config: configuration; the defaults where None.
        device: auto, cpu, cuda, cuda:N or mps.
        install: whether the model is then among the installed ones.
        on_progress: its `should_stop` ends the training with the best weights so far; `preview` gets the loop's
            `TrainingFigures`.

    Returns:
        The folder with `card.json` and `weights.safetensors`; `SuperResolveConfig.model` takes the card's identifier.

    Raises:
        InputError: not one of volumes and pairs, or a folder without volumes that the network can learn from.
        ModelError: the model to start from is another network.
        ModelNotFoundError: the model to start from is not there.
        Cancelled: from `on_progress`; the last checkpoint is kept, and the next call resumes.
    """
    data = TrainingVolumes(None, *(None if one is None else as_path(one, "a folder") for one in (volumes, pairs)))
    folder = train_network(data, out=as_path(out, "a folder"), name=name, config=config, device=device,
                           on_progress=on_progress)
    if install:
        store = ModelStore()
        store.accept_license(store.install(folder).id)  # it is the user's own
    return folder


def train_network(data: TrainingVolumes, *, out: Path, name: str | None = None, model_id: str | None = None,
                  config: SuperResTrainConfig | None = None, device: str = "auto",
                  on_progress: ProgressCallback | None = None) -> Path:
    """Train a network and export the model, which is not installed; arguments and errors as of `train_superres`.

    Args:
        name, model_id: None for those of the network that ships.
    """
    config = check_config(config, SuperResTrainConfig)
    where, network_name = select_device(device), config.network
    torch.manual_seed(config.seed)
    pools = _pools(data, config, where, span(on_progress, 0.0, 0.05))
    task = _task(data, config, *pools)
    before = _start(data, config, task, out)
    options = _loop_options(data, config, task, before != (0, 0.0))
    report(on_progress, 0.05, f"Training {network_name}")
    trainer = train_adversarial if network_name == "srgan" else train
    network = trainer(task, out / network_name, options, where, span(on_progress, 0.05, 0.99)).eval()
    model_id = model_id or (identifier(name) if name else METADATA[network_name].identifier)
    folder = export_network(out, network_name, model_id, task, network, _run_of(data, config, describe(where), before),
                            name)
    report(on_progress, 1.0, "Done")
    return folder


def _loop_options(data: TrainingVolumes, config: SuperResTrainConfig, task, started: bool) -> LoopOptions:
    adversarial = config.network == "srgan"
    rate = ADVERSARIAL_LEARNING_RATE if adversarial else FINE_TUNING_RATE if started else task.learning_rate
    options = LoopOptions.of_length(config.minutes, config.steps, learning_rate=rate, half_precision=False,
                                    validate_first=started, keep_best=(started or data.own) and not adversarial)
    if config.steps is not None:
        return options
    return replace(options, validate_minutes=min(_VALIDATION_MINUTES, options.validate_minutes))


def _pools(data: TrainingVolumes, config: SuperResTrainConfig, device: torch.device,
           on_progress: ProgressCallback | None):
    """The volumes to train on, and those to validate on."""
    if data.pairs is not None:
        return _pair_pools(data, data.pairs, config, device, on_progress)
    if data.label_maps is None and data.volumes is None:
        raise InputError("Give label maps (--data), sharp volumes of your own (--volumes), or both; or "
                         "pairs of your own (--pairs).")
    report(on_progress, 0.0, "Reading volumes")
    sources, weights = [shape_source()], [0.4]
    if data.volumes is not None:
        own, measured = folder_sources(data.volumes, device, hold_out=data.label_maps is None)
        sources.append(own)
        weights.append(1.0)
    if data.label_maps is not None:
        sources.append(head_source(load_label_maps(data.label_maps, *TRAINING_MAPS).to(device)))
        weights.append(0.6)
        measured = head_source(load_label_maps(data.label_maps, *HELD_OUT_MAPS).to(device))
    report(on_progress, 0.2, "Making volumes to learn from")
    pool = VolumePool(sources, weights, POOL, PATCHES_PER_VOLUME,
                      torch.Generator(device).manual_seed(config.seed + 1))
    held_out = VolumePool([measured], [1.0], HELD_OUT_POOL, 0, torch.Generator(device).manual_seed(_HELD_OUT_SEED))
    return pool, held_out


def _pair_pools(data: TrainingVolumes, folder: Path, config: SuperResTrainConfig, device: torch.device,
                on_progress: ProgressCallback | None):
    """Pairs to train on, and pairs to validate with."""
    if config.network not in PAIRED:
        raise InputError(f"Pairs are for {', '.join(PAIRED[:-1])} and {PAIRED[-1]}; got {config.network}.")
    if data.label_maps is not None or data.volumes is not None:
        raise InputError("Give --pairs, or --data and --volumes, not both.")
    factor = 2 if config.network in HALVING else 1
    pairs = load_pairs(folder, factor, config.register, device, on_progress)
    measured = max(1, len(pairs) // 5)
    rng = torch.Generator(device).manual_seed(config.seed + 1)
    return PairPool(pairs[:-measured], factor, rng), PairPool(pairs[-measured:], factor, rng)


def _task(data: TrainingVolumes, config: SuperResTrainConfig, pool, held_out) -> PoolTask:
    """The network of this name with its training task."""
    name = config.network
    batch: dict[str, Any] = {"batch": config.batch} if config.batch else {}
    if data.pairs is not None:
        return PairTask(HALVING.get(name, "DenoisingAutoencoder3D"), pool, held_out, config.batch or 4,
                        14 if name in HALVING else 28)
    if name in HALVING:
        return HalvingTask(HALVING[name], pool, held_out, **batch)
    if name == "denoiser":
        return DenoisingTask("ResidualDenoiser3D", pool, held_out, **batch)
    if name == "autoencoder":
        return DenoisingTask("DenoisingAutoencoder3D", pool, held_out, with_noise_map=False, **batch)
    if name == "series-denoiser":
        return SeriesTask(pool, held_out, **batch)
    return ThroughPlaneTask({}, pool, held_out, **batch)


def _start(data: TrainingVolumes, config: SuperResTrainConfig, task: PoolTask, out: Path) -> tuple[int, float]:
    """Steps and hours that went into the weights that the task's network starts from."""
    place = config.start
    if place is None and config.network == "srgan":
        place = str(out / SRGAN_START) if (out / SRGAN_START).is_dir() else SRGAN_START
    elif place is None and data.own:
        place = METADATA[config.network].identifier
    if place is None or place == NONE:
        return 0, 0.0
    model = StartModel(place)
    model.give(next(iter(model.card.networks)), task)
    return model.steps, model.hours


def _run_of(data: TrainingVolumes, config: SuperResTrainConfig, device: str, before: tuple[int, float]) -> TrainingRun:
    """What the card says about this training."""
    words, licenses = [] if data.pairs else ["random shapes"], []
    command = f"meddl train superres --network {config.network}"
    if data.label_maps is not None:
        words.append("random images of the SynthSeg label maps head_01 to head_12 (BBillot/SynthSeg); head_13 to "
                     "head_16 held out")
        licenses.append("Apache-2.0")
        command += " --data LABELMAPS"
    if data.volumes is not None:
        words.append("volumes of the user who trained it")
        licenses.append("as of those volumes")
        command += " --volumes VOLUMES"
    if data.pairs is not None:
        words.append("pairs of volumes of the user who trained it")
        licenses.append("as of those volumes")
        command += " --pairs PAIRS" + (" --register" if config.register else "")
    if config.start is not None:
        command += f" --from {Path(config.start).name}"
    length = f"--minutes {config.minutes:g}" if config.steps is None else f"--steps {config.steps}"
    measured = "held-out synthetic volumes" if data.label_maps is not None else "held-out volumes of the user"
    own = data.volumes is not None or data.pairs is not None
    return TrainingRun("; ".join(words), ", ".join(licenses), f"{command} --out RUN {length}", device, before, measured,
                       config.license if own else "Apache-2.0")

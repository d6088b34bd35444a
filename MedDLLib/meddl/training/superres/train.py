"""`meddl train superres`: the networks of super-resolution and denoising, on a CPU or a GPU, by the same command."""

import argparse
from pathlib import Path

from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback, span

TRAINING_MAPS = (1, 12)
HELD_OUT_MAPS = (13, 16)
NETWORKS = ("through-plane", "edsr3d", "srcnn", "srresnet", "srgan", "denoiser", "autoencoder")
POOL, HELD_OUT_POOL, PATCHES_PER_VOLUME = 24, 4, 250
ADVERSARIAL_LEARNING_RATE = 1e-4
_HELD_OUT_SEED = 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0], help="what to train")
    parser.add_argument("--data", type=Path,
                        help="folder with labels.csv and heads/head_NN.nii.gz (01-12 train, 13-16 are held out)")
    parser.add_argument("--volumes", type=Path,
                        help="folder with sharp volumes of your own to learn from, beside --data or in its place; "
                             "without --data, the last fifth of them is held out")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for checkpoints, logs and the exported model; an unfinished run there is resumed")
    parser.add_argument("--from", dest="start", default=None,
                        help="a model to go on from: its identifier or its folder (srgan: by default "
                             "superres-srresnet, in --out or installed)")
    parser.add_argument("--hours", type=float, default=0.6, help="length of the training, in hours")
    parser.add_argument("--steps", type=int, default=300_000,
                        help="length of the training in steps, if that ends first")
    parser.add_argument("--batch", type=int, default=None, help="patches a step (default: the network's)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--id", default=None, help="identifier of the exported model (default: the network's)")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train a network and export the model.

    Returns:
        The folder with `card.json` and `weights.safetensors`.

    Raises:
        InputError: neither label maps nor volumes are given, or a folder holds none.
        ModelError: the model to start from is another network.
        ModelNotFoundError: the model to start from is not there.
    """
    import torch

    from meddl.core.device import describe, select_device
    from meddl.training.loop import LoopOptions, train
    from meddl.training.superres.adversarial import train_adversarial
    from meddl.training.superres.cards import METADATA, export_network

    torch.manual_seed(arguments.seed)
    device = select_device(arguments.device)
    name = arguments.network
    adversarial = name == "srgan"
    task = _task(arguments, *_pools(arguments, device))
    before = _start(arguments, task)
    options = LoopOptions(
        steps=arguments.steps, hours=arguments.hours, validate_minutes=min(2.0, arguments.hours * 4),
        learning_rate=ADVERSARIAL_LEARNING_RATE if adversarial else task.learning_rate, half_precision=False)
    trainer = train_adversarial if adversarial else train
    network = trainer(task, arguments.out / name, options, device, span(on_progress, 0, 0.99)).eval()
    return export_network(arguments.out, name, arguments.id or METADATA[name].identifier, task, network,
                          _metadata_of_run(arguments, describe(device), before))


def _pools(arguments: argparse.Namespace, device):
    """The volumes to train on, and those to validate on."""
    import torch

    from meddl.synthesis import load_label_maps
    from meddl.training.superres.volume_pool import VolumePool, folder_sources, head_source, shape_source

    if arguments.data is None and arguments.volumes is None:
        raise InputError("Give label maps (--data), sharp volumes of your own (--volumes), or both.")
    sources, weights = [shape_source()], [0.4]
    if arguments.volumes is not None:
        own, measured = folder_sources(arguments.volumes, device, hold_out=arguments.data is None)
        sources.append(own)
        weights.append(1.0)
    if arguments.data is not None:
        sources.append(head_source(load_label_maps(arguments.data, *TRAINING_MAPS).to(device)))
        weights.append(0.6)
        measured = head_source(load_label_maps(arguments.data, *HELD_OUT_MAPS).to(device))
    pool = VolumePool(sources, weights, POOL, PATCHES_PER_VOLUME,
                      torch.Generator(device).manual_seed(arguments.seed + 1))
    held_out = VolumePool([measured], [1.0], HELD_OUT_POOL, 0, torch.Generator(device).manual_seed(_HELD_OUT_SEED))
    return pool, held_out


def _task(arguments: argparse.Namespace, pool, held_out):
    """The network of this name with its training task."""
    from meddl.training.superres.tasks import ThroughPlaneTask
    from meddl.training.superres.volume_tasks import DenoisingTask, HalvingTask

    makers = {
        "through-plane": lambda **more: ThroughPlaneTask({}, pool, held_out, **more),
        "edsr3d": lambda **more: HalvingTask("EDSR3D", pool, held_out, **more),
        "srcnn": lambda **more: HalvingTask("SRCNN3D", pool, held_out, **more),
        "srresnet": lambda **more: HalvingTask("SRResNet3D", pool, held_out, **more),
        "srgan": lambda **more: HalvingTask("SRResNet3D", pool, held_out, **more),
        "denoiser": lambda **more: DenoisingTask("ResidualDenoiser3D", pool, held_out, **more),
        "autoencoder": lambda **more: DenoisingTask("DenoisingAutoencoder3D", pool, held_out, with_noise_map=False,
                                                    **more),
    }
    return makers[arguments.network](**({"batch": arguments.batch} if arguments.batch else {}))


def _start(arguments: argparse.Namespace, task):
    """Steps and hours that went into the weights that the task's network starts from."""
    from meddl.training.start import StartModel

    place = arguments.start
    if place is None and arguments.network == "srgan":
        beside = arguments.out / "superres-srresnet"
        place = beside if beside.is_dir() else beside.name
    if place is None:
        return 0, 0.0
    model = StartModel(place)
    model.give(next(iter(model.card.networks)), task)
    return model.steps, model.hours


def _metadata_of_run(arguments: argparse.Namespace, device: str, before: tuple[int, float]):
    """What the card says about this training."""
    from meddl.training.superres.cards import TrainingRun

    data, licenses, command = ["random shapes"], [], f"meddl train superres --network {arguments.network}"
    if arguments.data is not None:
        data.append("random images of the SynthSeg label maps head_01 to head_12 (BBillot/SynthSeg); head_13 to "
                    "head_16 held out")
        licenses.append("Apache-2.0")
        command += " --data LABELMAPS"
    if arguments.volumes is not None:
        data.append("volumes of the person who trained it")
        licenses.append("as of those volumes")
        command += " --volumes VOLUMES"
    if arguments.start is not None:
        command += f" --from {Path(arguments.start).name}"
    command += f" --out RUN --hours {arguments.hours:g}"
    return TrainingRun("; ".join(data), ", ".join(licenses), command, device, before)

"""`meddl train superres`: the networks of super-resolution and denoising, on a CPU or a GPU, by the same command."""

import argparse
from pathlib import Path

from meddl.errors import InputError
from meddl.progress import ProgressCallback

TRAINING_MAPS = (1, 12)
HELD_OUT_MAPS = (13, 16)
NETWORKS = ("through-plane",)
LEARNING_RATE = 1e-3
_POOL, _HELD_OUT_POOL, _PATCHES_PER_VOLUME = 24, 4, 250
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
                        help="a model to go on from: its identifier, or its folder")
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
    """
    import torch

    from meddl.device import select_device
    from meddl.training.loop import LoopOptions, train
    from meddl.training.superres_tasks import ThroughPlaneTask

    torch.manual_seed(arguments.seed)
    device = select_device(arguments.device)
    pool, held_out = _pools(arguments, device)
    task = ThroughPlaneTask({}, pool, held_out, **({"batch": arguments.batch} if arguments.batch else {}))
    options = LoopOptions(steps=arguments.steps, hours=arguments.hours, learning_rate=LEARNING_RATE,
                          validate_minutes=min(2.0, arguments.hours * 20))
    train(task, arguments.out / arguments.network, options, device, on_progress)
    return arguments.out


def _pools(arguments: argparse.Namespace, device):
    """The volumes to train on, and those to validate on."""
    import torch

    from meddl.synthesis import load_label_maps
    from meddl.training.volume_pool import VolumePool, folder_source, head_source, shape_source

    if arguments.data is None and arguments.volumes is None:
        raise InputError("Give label maps (--data), sharp volumes of your own (--volumes), or both.")
    sources, weights = [shape_source()], [0.4]
    if arguments.data is not None:
        sources.append(head_source(load_label_maps(arguments.data, *TRAINING_MAPS).to(device)))
        weights.append(0.6)
        measured = head_source(load_label_maps(arguments.data, *HELD_OUT_MAPS).to(device))
    if arguments.volumes is not None:
        own = folder_source(arguments.volumes, device)
        sources.append(own)
        weights.append(1.0)
        if arguments.data is None:
            measured = own
    pool = VolumePool(sources, weights, _POOL, _PATCHES_PER_VOLUME,
                      torch.Generator(device).manual_seed(arguments.seed + 1))
    held_out = VolumePool([measured], [1.0], _HELD_OUT_POOL, 0, torch.Generator(device).manual_seed(_HELD_OUT_SEED))
    return pool, held_out

"""`meddl train superres`: the networks of super-resolution and denoising, on a CPU or a GPU, by the same command."""

import argparse
from pathlib import Path

from meddl.core.config import field_help
from meddl.core.progress import ProgressCallback
from meddl.training.config import SUPERRES_NETWORKS, SuperResTrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    texts = {name: text.replace("%", "%%") for name, text in field_help(SuperResTrainConfig).items()}
    default = SuperResTrainConfig()
    parser.add_argument("--network", default=default.network, choices=SUPERRES_NETWORKS, help=texts["network"])
    parser.add_argument("--data", type=Path,
                        help="folder with labels.csv and heads/head_NN.nii.gz (01-12 train, 13-16 are held out)")
    parser.add_argument("--volumes", type=Path,
                        help="folder with sharp volumes of your own to learn from, beside --data or in its place; "
                             "without --data, the last fifth of them is held out")
    parser.add_argument("--pairs", type=Path,
                        help="folder with low and high: the same anatomy twice under one name, coarse and sharp "
                             "(voxels half as long; edsr3d, srcnn, srresnet) or noisy and clean (autoencoder); the "
                             "last fifth is held out")
    parser.add_argument("--register", action="store_true", help=texts["register"])
    parser.add_argument("--name", default=None,
                        help="what the model is called: it is then installed, and chosen by `meddl superres --model`")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for checkpoints, logs and the exported model; an unfinished run there is resumed")
    parser.add_argument("--from", dest="start", default=None, help=texts["start"])
    parser.add_argument("--minutes", type=float, default=default.minutes, help=texts["minutes"])
    parser.add_argument("--hours", type=float, help="the same in hours, in its place")
    parser.add_argument("--steps", type=int, default=None, help=texts["steps"])
    parser.add_argument("--batch", type=int, default=None, help=texts["batch"])
    parser.add_argument("--license", default=default.license, help=texts["license"])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seed", type=int, default=default.seed, help=texts["seed"])
    parser.add_argument("--id", default=None, help="identifier of the exported model (default: the network's)")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train a network and export the model.

    Returns:
        The folder with `card.json` and `weights.safetensors`; with a name, the model is installed too.

    Raises:
        InputError: neither label maps nor volumes are given, a folder holds none, or a value that is not allowed.
        ModelError: the model to start from is another network.
        ModelNotFoundError: the model to start from is not there.
    """
    from meddl.models.store.store import ModelStore
    from meddl.training.superres.train import TrainingVolumes, train_network

    minutes = arguments.minutes if arguments.hours is None else 60 * arguments.hours
    config = SuperResTrainConfig(arguments.network, minutes, arguments.steps, arguments.start, arguments.register,
                                 arguments.batch, arguments.seed, arguments.license)
    folder = train_network(TrainingVolumes(arguments.data, arguments.volumes, arguments.pairs), out=arguments.out,
                           name=arguments.name, model_id=arguments.id, config=config, device=arguments.device,
                           on_progress=on_progress)
    if arguments.name:
        store = ModelStore()
        store.accept_license(store.install(folder).id)  # it is the user's own
    return folder

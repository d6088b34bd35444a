"""`meddl train segmentation`: from volumes with label maps, or a brain model from label maps alone."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.options import add_config_options, config_from
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.training.config import TrainConfig
from meddl.training.segmentation import train as brain

# Options that the training from label maps has too, under the same names.
_COMMON = ("start", "steps", "seed", "batch", "learning_rate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--images", type=Path, help="folder of volumes to learn from, with --labels")
    parser.add_argument("--labels", type=Path, help="folder of their label maps, of the same names")
    parser.add_argument("--name", default="my model", help="what a model of --images or a data set is called")
    parser.add_argument("--no-install", dest="install", action="store_false",
                        help="leave the trained model in --out, not among the installed ones")
    brain.add_arguments(parser)
    add_config_options(parser, TrainConfig, skip=_COMMON)


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train and give the folder with `card.json` and `weights.safetensors`.

    Raises:
        InputError: no data set, or errors in it; beside these as `meddl.train` and `brain.run`.
    """
    if arguments.data is None and arguments.images is None:
        raise InputError("Give volumes with label maps (--images and --labels), the folder of a data set (--data), or "
                         "label maps for a brain model (--data, with labels.csv in it).")
    if arguments.images is None and (arguments.data / "labels.csv").is_file():
        return brain.run(arguments, on_progress)
    if arguments.images is not None and arguments.data is not None:
        raise InputError("Give --images with --labels, or --data, not both.")
    if arguments.labels is not None and arguments.images is None:
        raise InputError("--labels goes with --images.")
    config = config_from(arguments, TrainConfig)
    model = meddl.train(arguments.images or arguments.data, arguments.labels, out=arguments.out, name=arguments.name,
                        config=config, device=arguments.device, install=arguments.install, on_progress=on_progress)
    return model.folder

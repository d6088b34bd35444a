"""`meddl train contrast`: the network of contrast synthesis, from label maps of heads."""

import argparse
from pathlib import Path

from meddl.core.progress import ProgressCallback


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path, required=True,
                        help="folder with labels.csv and heads/head_NN.nii.gz (01-12 train, 13-16 are held out)")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for checkpoints, logs and the exported model; an unfinished run there is resumed")
    parser.add_argument("--minutes", type=float, default=20.0, help="length of the training (default: 20)")
    parser.add_argument("--steps", type=int, default=None, help="length in steps, instead of minutes")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train the network and export the model: see `meddl.training.contrast.train.train_contrast`."""
    from meddl.training.contrast.train import train_contrast

    return train_contrast(arguments.data, arguments.out, arguments.minutes, arguments.steps, arguments.seed,
                          arguments.device, on_progress)

"""`meddl train recognition`: the classifier that says what a volume is, from label maps of heads."""

import argparse
from pathlib import Path

from meddl.core.progress import ProgressCallback


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path, required=True,
                        help="folder with labels.csv and heads/head_NN.nii.gz (01-12 train, 13-16 are held out)")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for pools, checkpoints, logs and the exported model; an unfinished run there is "
                             "resumed")
    parser.add_argument("--steps", type=int, default=4000, help="length of the training (default: 4000)")
    parser.add_argument("--batch", type=int, default=16, help="volumes a step (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train the classifier and export the model: see `meddl.training.recognition.train.train_recognition`."""
    from meddl.training.recognition.train import train_recognition

    return train_recognition(arguments.data, arguments.out, arguments.steps, arguments.batch, arguments.seed,
                             arguments.device, on_progress=on_progress)

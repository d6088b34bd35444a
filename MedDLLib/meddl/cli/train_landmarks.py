"""`meddl train landmarks`: a model of landmarks and boxes from volumes with Slicer's markups."""

import argparse
from pathlib import Path

import meddl
from meddl.cli.options import add_config_options, add_training_options, config_from
from meddl.core.progress import ProgressCallback
from meddl.training.config import LandmarkTrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--images", type=Path, required=True, help="folder of the volumes")
    parser.add_argument("--points", type=Path, required=True,
                        help="folder of their markups: CASE.mrk.json, .fcsv or .csv with points, CASE_NAME.mrk.json "
                             "with an ROI for a box; equal names mean the same landmark in all cases")
    add_training_options(parser, "my landmarks")
    add_config_options(parser, LandmarkTrainConfig)


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train; gives the folder with `card.json` and `weights.safetensors`. Raises as `meddl.train_landmarks`."""
    config = config_from(arguments, LandmarkTrainConfig)
    return meddl.train_landmarks(arguments.images, arguments.points, out=arguments.out, name=arguments.name,
                                 config=config, device=arguments.device, install=arguments.install,
                                 on_progress=on_progress).folder

"""`meddl train rest`: what has no label map yet is segmented, the least certain first."""

import argparse
from pathlib import Path

from meddl.active_learning.rest import segment_rest
from meddl.core.errors import InputError
from meddl.core.progress import ProgressCallback
from meddl.models.store.store import ModelStore

EXIT_SOME_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--images", type=Path, required=True,
                        help="folder of volumes, or of a data set with images and labels")
    parser.add_argument("--labels", type=Path, help="folder of the label maps that there are, of the same names")
    parser.add_argument("--model", required=True, help="identifier of the trained model")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for the segmentations, and for summary.csv, the least certain first")
    parser.add_argument("--overwrite", action="store_true", help="replace the results of an earlier round")
    parser.add_argument("--workers", metavar="N", type=int, help="cases in parallel (default: 1)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path | int:
    """Segment the rest; gives the table, or the exit status where some failed.

    Raises:
        InputError: nothing is left to segment, or the license of the model's weights was not accepted; beside these
            as `segment_rest`.
    """
    if not ModelStore().license_accepted(arguments.model):
        raise InputError(f"The license of the weights of '{arguments.model}' was not accepted yet: segment one volume "
                         f"with `meddl segment --model {arguments.model} --accept-license` before.")
    summary = segment_rest(arguments.images, arguments.labels, output=arguments.out, model=arguments.model,
                           overwrite=arguments.overwrite, workers=arguments.workers, device=arguments.device,
                           on_progress=on_progress)
    return EXIT_SOME_FAILED if summary.failed else arguments.out / "summary.csv"

"""`meddl train segmentation`: a brain model from label maps, on a CPU or a GPU, by the same command."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from meddl.core.progress import ProgressCallback, span

TRAINING_MAPS = (1, 12)
HELD_OUT_MAPS = (13, 16)


@dataclass(frozen=True)
class ModelSize:
    """How large a brain model is, and its training batch.

    Attributes:
        spacing_mm: working resolution of the segmenter.
        shape: voxels of its field of view.
        widths: channels at half, quarter ... of that resolution.
        refine_channels: channels at that resolution; 0: no convolutions there.
        batch: images a step.
        learning_rate: at its highest.
        coarse_spacing_mm, coarse_shape: resolution and voxels of the images in the first part of the training.
        coarse_fraction: how long that part is, of the whole.
    """

    spacing_mm: float
    shape: tuple[int, int, int]
    widths: tuple[int, ...]
    refine_channels: int
    batch: int
    learning_rate: float
    coarse_spacing_mm: float
    coarse_shape: tuple[int, int, int]
    coarse_fraction: float


SIZES = {
    "lean": ModelSize(2.0, (80, 104, 88), (32, 64, 112, 144), 0, 1, 1e-3,
                      3.0, (56, 72, 64), 0.3),
    "small": ModelSize(2.0, (80, 104, 88), (32, 64, 96, 128), 16, 1, 1e-3,
                       3.0, (56, 72, 64), 0.3),
    "large": ModelSize(1.5, (112, 136, 120), (40, 80, 120, 160), 24, 6, 1.5e-3,
                       2.0, (88, 104, 96), 0.3),
}
SHAPES = {"shape_probability": 0.75, "lesion_probability": 0.25}  # of the images that the segmenter is trained on
LOCATOR_SPACING_MM = 4.0
LOCATOR_SHAPE = (64, 64, 64)
LOCATOR_WIDTHS = (16, 32, 64, 96)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--data", type=Path,
                        help="folder of a data set of volumes with label maps; or, for a brain model, with labels.csv "
                             "and heads/head_NN.nii.gz (01-12 train, 13-16 are held out)")
    parser.add_argument("--out", type=Path, required=True,
                        help="folder for checkpoints, logs and the exported model; an unfinished run there is resumed")
    parser.add_argument("--from", dest="start", default=None,
                        help="model to go on from, its identifier or folder; for a brain model one of the same size")
    parser.add_argument("--steps", type=int, default=None,
                        help="length of the training in steps; of a brain model whichever of steps and hours ends "
                             "first, and steps alone where no hours are given")
    parser.add_argument("--batch", type=int, default=None, help="images or patches a step (default: as planned)")
    parser.add_argument("--learning-rate", type=float, default=None,
                        help="at its highest (default: as planned; of a brain model half of it with --from)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    group = parser.add_argument_group("options of a brain model from label maps")
    group.add_argument("--size", choices=sorted(SIZES), default="small",
                       help="small and lean train on a CPU within hours, lean at half the cost; large wants a GPU")
    group.add_argument("--hours", type=float, default=None,
                       help="length of the whole training, in hours; 2 where no steps are given")
    group.add_argument("--locator", default=None,
                       help="model whose locator is taken as it is, its identifier or folder")
    group.add_argument("--first-step", type=int, default=0,
                       help="step of the schedule to begin at, to go on with the weights of --from alone")
    group.add_argument("--export", action="store_true",
                       help="train no further: export what the checkpoints in the folder hold")
    group.add_argument("--locator-fraction", type=float, default=0.1,
                       help="fraction of the hours that the locator gets; 0 with --from: it stays as it is")
    group.add_argument("--locator-share", dest="locator_fraction", type=float, default=argparse.SUPPRESS,
                       help=argparse.SUPPRESS)  # its name in version 0.1.0
    group.add_argument("--validate-minutes", type=float, default=5.0,
                       help="longest time between validations, each with a checkpoint (default 5)")
    group.add_argument("--id", default="brain", help="identifier of the exported model")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> Path:
    """Train both networks and export the model.

    Returns:
        The folder with `card.json` and `weights.safetensors`.

    Raises:
        InputError: the data folder does not hold label maps, or there is no locator.
        ModelError: the model to start from has other networks.
        ModelNotFoundError: the model to start from is not there.
    """
    import torch

    from meddl.core.device import describe, select_device
    from meddl.core.errors import InputError
    from meddl.synthesis import SynthesisConfig, load_label_maps
    from meddl.training.loop import train, trained_so_far
    from meddl.training.segmentation.export import export_brain
    from meddl.training.segmentation.head_tasks import CoarseStart, LocatorTask, SegmenterTask
    from meddl.training.segmentation.schedule import Schedule
    from meddl.training.start import StartModel

    torch.manual_seed(arguments.seed)
    device = select_device(arguments.device)
    size = SIZES[arguments.size]
    training = load_label_maps(arguments.data, *TRAINING_MAPS).to(device)
    held_out = load_label_maps(arguments.data, *HELD_OUT_MAPS).to(device)
    batch = arguments.batch or size.batch
    start = None if arguments.start is None else StartModel(arguments.start)
    other = start if arguments.locator is None else StartModel(arguments.locator)
    schedule = Schedule.of(arguments, size.learning_rate)
    fraction = schedule.locator_fraction
    if fraction <= 0 and other is None:
        raise InputError("A locator that is not trained (--locator-fraction 0) has to come from a model: give --from "
                         "or --locator.")

    def train_part(part, task, options, first, last):
        folder = arguments.out / part
        return (trained_so_far(task, folder, device) if arguments.export
                else train(task, folder, options, device, span(on_progress, first, last)))

    far = SynthesisConfig(spacing_mm=LOCATOR_SPACING_MM, shape=LOCATOR_SHAPE, center_jitter_mm=40.0,
                          crop_probability=0.5, crop_fraction=0.4)
    locator = LocatorTask(training, held_out, far, 2 * batch, LOCATOR_WIDTHS, seed=arguments.seed + 1)
    if other is not None:
        other.give("locator", locator)
    locator_network = (train_part("locator", locator, schedule.of_locator(), 0, fraction) if fraction > 0
                       else locator.network)

    near = SynthesisConfig(spacing_mm=size.spacing_mm, shape=size.shape, **SHAPES)
    coarse = SynthesisConfig(spacing_mm=size.coarse_spacing_mm, shape=size.coarse_shape, **SHAPES)
    tunes = start is not None and not arguments.first_step
    segmenter = SegmenterTask(training, held_out, near, batch, size.widths, size.refine_channels,
                              arguments.seed + 2, CoarseStart(coarse, 0.0 if tunes else size.coarse_fraction))
    if start is not None:
        start.give("segmenter", segmenter)
        start.steps -= arguments.first_step  # which this schedule counts
    segmenter_network = train_part("segmenter", segmenter, schedule.of_segmenter(), fraction, 1)
    return export_brain(arguments, training.table, (locator, locator_network), (segmenter, segmenter_network),
                        describe(device), start)

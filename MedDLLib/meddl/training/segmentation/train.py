"""`meddl train segmentation`: a brain model from label maps, on a CPU or a GPU, by the same command."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from meddl.core.progress import ProgressCallback, span

TRAINING_MAPS = (1, 12)
HELD_OUT_MAPS = (13, 16)
STEPS = 300_000  # of a brain model, if its hours do not end first


@dataclass(frozen=True)
class ModelSize:
    """How large a brain model is, and its training batch.

    Attributes:
        spacing_mm: working resolution of the segmenter.
        shape: voxels of its field of view.
        widths: channels at half, quarter ... of that resolution.
        refine_channels: channels at that resolution.
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
    "small": ModelSize(2.0, (80, 104, 88), (32, 64, 96, 128), 16, 1, 1e-3,
                       3.0, (56, 72, 64), 0.3),
    "large": ModelSize(1.5, (112, 136, 120), (40, 80, 120, 160), 24, 6, 1.5e-3,
                       2.0, (88, 104, 96), 0.3),
}
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
                        help=f"length of the training in steps; of a brain model {STEPS}, if that ends first")
    parser.add_argument("--batch", type=int, default=None, help="images or patches a step (default: as planned)")
    parser.add_argument("--learning-rate", type=float, default=None,
                        help="at its highest (default: as planned, half of it with --from)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    group = parser.add_argument_group("options of a brain model from label maps")
    group.add_argument("--size", choices=sorted(SIZES), default="small",
                       help="small trains on a CPU within hours, large wants a GPU")
    group.add_argument("--hours", type=float, default=2.0, help="length of the whole training, in hours")
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
    from meddl.training.loop import LoopOptions, train
    from meddl.training.segmentation.head_tasks import CoarseStart, LocatorTask, SegmenterTask
    from meddl.training.start import StartModel

    torch.manual_seed(arguments.seed)
    device = select_device(arguments.device)
    size = SIZES[arguments.size]
    training = load_label_maps(arguments.data, *TRAINING_MAPS).to(device)
    held_out = load_label_maps(arguments.data, *HELD_OUT_MAPS).to(device)
    batch, steps = arguments.batch or size.batch, arguments.steps or STEPS
    start = None if arguments.start is None else StartModel(arguments.start)
    learning_rate = arguments.learning_rate or size.learning_rate * (1.0 if start is None else 0.5)

    far = SynthesisConfig(spacing_mm=LOCATOR_SPACING_MM, shape=LOCATOR_SHAPE, center_jitter_mm=40.0,
                          crop_probability=0.5, crop_fraction=0.4)
    fraction = arguments.locator_fraction
    if fraction <= 0 and start is None:
        raise InputError("A locator that is not trained (--locator-fraction 0) has to come from a model: give --from.")
    locator = LocatorTask(training, held_out, far, 2 * batch, LOCATOR_WIDTHS, seed=arguments.seed + 1)
    if start is not None:
        start.give("locator", locator)
    locator_network = locator.network
    if fraction > 0:
        locator_options = LoopOptions(steps=max(1, round(steps * fraction)), hours=arguments.hours * fraction,
                                      learning_rate=learning_rate,
                                      validate_minutes=min(2.0, arguments.validate_minutes,
                                                           arguments.hours * fraction * 20))
        locator_network = train(locator, arguments.out / "locator", locator_options, device,
                                span(on_progress, 0, fraction))

    near = SynthesisConfig(spacing_mm=size.spacing_mm, shape=size.shape)
    coarse = SynthesisConfig(spacing_mm=size.coarse_spacing_mm, shape=size.coarse_shape)
    segmenter = SegmenterTask(training, held_out, near, batch, size.widths, size.refine_channels,
                              arguments.seed + 2, CoarseStart(coarse, size.coarse_fraction if start is None else 0.0))
    if start is not None:
        start.give("segmenter", segmenter)
    options = LoopOptions(steps=steps, hours=arguments.hours * (1 - fraction),
                          learning_rate=learning_rate,
                          validate_minutes=min(arguments.validate_minutes, arguments.hours * (1 - fraction) * 20))
    segmenter_network = train(segmenter, arguments.out / "segmenter", options, device, span(on_progress, fraction, 1))
    from meddl.training.segmentation.export import export_brain

    return export_brain(arguments.out, arguments.id, training.table, (locator, locator_network),
                        (segmenter, segmenter_network), describe(device), arguments.size, start)

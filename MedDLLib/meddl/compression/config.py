"""The configuration of `meddl.shrink_model`. A default is written here and nowhere else."""

from dataclasses import dataclass

from meddl.core.config import CheckedFields, document_fields, option


@document_fields
@dataclass(frozen=True)
class ShrinkConfig(CheckedFields):
    """Configuration of `meddl.shrink_model`."""

    prune: bool = option(
        True, "Remove channels from the network and distill the rest; else the weights are stored in 8 bits alone.")
    speedup: float = option(
        2.0, "How many times as fast the smaller network has to be.", bounds=(1.1, 20))
    dice_loss: float = option(
        0.01, "Largest loss of mean Dice on the cases that are checked.", bounds=(0, 1))
    minutes: float = option(
        10.0, "Length of the distillation in minutes; steps take its place.", bounds=(0.01, None))
    steps: int | None = option(None, "Length of the distillation in steps.", bounds=(1, None))
    eight_bit: bool = option(
        True, "Store the weights in 8 bits, where enough labels stay equal.")
    equal_labels: float = option(
        0.999, "Fraction of the voxels of the checked cases whose label 8 bits must not change.", bounds=(0, 1))
    seed: int = option(0, "Seed of everything random.", bounds=(0, None))

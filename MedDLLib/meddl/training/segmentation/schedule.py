"""How long, how fast and from what a brain model is trained, from the options of the command."""

import argparse
from dataclasses import dataclass

from meddl.training.loop import LoopOptions

STEPS = 300_000  # if the hours do not end first
HOURS = 2.0  # where no steps are given
FINE_TUNING = 0.5  # of the learning rate from scratch


@dataclass(frozen=True)
class Schedule:
    """The schedule of both networks.

    Attributes:
        steps: of the segmenter; the locator takes as many times its fraction.
        hours: of both; infinity: steps alone count.
        learning_rate: at its highest.
        validate_minutes: longest time between validations.
        locator_fraction: of the hours, for the locator; 0: it is not trained.
        first_step: of the segmenter's schedule, where it goes on from weights alone.
    """

    steps: int
    hours: float
    learning_rate: float
    validate_minutes: float
    locator_fraction: float
    first_step: int

    @classmethod
    def of(cls, arguments: argparse.Namespace, learning_rate: float) -> "Schedule":
        """That of the options of `meddl train segmentation`; `learning_rate`: from scratch."""
        hours = arguments.hours if arguments.hours is not None else HOURS if arguments.steps is None else float("inf")
        tunes = arguments.start is not None and not arguments.first_step
        return cls(arguments.steps or STEPS, hours,
                   arguments.learning_rate or learning_rate * (FINE_TUNING if tunes else 1.0),
                   arguments.validate_minutes, 0.0 if arguments.locator is not None else arguments.locator_fraction,
                   arguments.first_step)

    def of_locator(self) -> LoopOptions:
        """The loop's options for the locator."""
        hours = self.hours * self.locator_fraction
        return LoopOptions(steps=max(1, round(self.steps * self.locator_fraction)), hours=hours,
                           learning_rate=self.learning_rate,
                           validate_minutes=min(2.0, self.validate_minutes, hours * 20))

    def of_segmenter(self) -> LoopOptions:
        """The loop's options for the segmenter."""
        hours = self.hours * (1 - self.locator_fraction)
        return LoopOptions(steps=self.steps, hours=hours, learning_rate=self.learning_rate,
                           validate_minutes=min(self.validate_minutes, hours * 20), first_step=self.first_step)


def options_for_card(arguments: argparse.Namespace, hours: float) -> str:
    """The options that repeat a training of so many hours."""
    length = f"--hours {hours:.1f}" if arguments.steps is None or arguments.hours is not None else (
        f"--steps {arguments.steps}")
    options = f"--size {arguments.size} {length}"
    if arguments.locator is not None:
        options += f" --locator {arguments.locator}"
    elif arguments.locator_fraction <= 0:
        options += " --locator-fraction 0"
    if arguments.first_step:
        options += f" --first-step {arguments.first_step}"
    return options

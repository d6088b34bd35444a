"""All that a recipe may do to an image before its networks see it, one step after the other."""

from collections.abc import Callable

from meddl.models.recipes import Step
from meddl.progress import ProgressCallback, report
from meddl.segmentation.grid_steps import GRID_STEPS
from meddl.segmentation.intensity_steps import INTENSITY_STEPS
from meddl.segmentation.named_steps import apply_step
from meddl.segmentation.steps import STEPS, Image

ALL_STEPS: dict[str, Callable[..., Image]] = STEPS | GRID_STEPS | INTENSITY_STEPS


def run_steps(image: Image, steps: tuple[Step, ...], on_progress: ProgressCallback | None = None) -> Image:
    """The image after all steps.

    Raises:
        ModelError: a step that this version does not know, or arguments that do not fit it.
        InputError: the volume cannot be treated so.
    """
    for n, step in enumerate(steps):
        report(on_progress, n / max(1, len(steps)), "Preparing the volume")
        image = apply_step(image, step, ALL_STEPS)
    return image

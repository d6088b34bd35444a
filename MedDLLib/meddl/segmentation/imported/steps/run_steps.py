"""All that a recipe may do to an image before its networks see it, one step after the other."""

from collections.abc import Callable

from meddl.core.progress import ProgressCallback, report
from meddl.models.recipes import Step
from meddl.segmentation.imported.steps.grid_steps import GRID_STEPS
from meddl.segmentation.imported.steps.intensity_steps import INTENSITY_STEPS
from meddl.segmentation.imported.steps.preprocessing import STEPS, Image
from meddl.segmentation.imported.steps.step_registry import apply_step

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

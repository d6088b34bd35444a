"""All that a recipe may do to an image before its networks see it, one step after the other."""

from collections.abc import Callable

from meddl.errors import ModelError
from meddl.models.recipes import Step
from meddl.progress import ProgressCallback, report
from meddl.segmentation.grid_steps import GRID_STEPS
from meddl.segmentation.intensity_steps import INTENSITY_STEPS
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
        if step.name not in ALL_STEPS:
            raise ModelError(f"The model's recipe asks for the step '{step.name}'; this version knows "
                             f"{', '.join(sorted(ALL_STEPS))}. Update MedDL.")
        try:
            image = ALL_STEPS[step.name](image, **step.arguments)
        except TypeError as error:
            raise ModelError(f"The arguments of the step '{step.name}' in the model's recipe do not fit: "
                             f"{error}.") from error
    return image

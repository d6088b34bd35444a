"""What a recipe may do to labels after its networks. Names and arguments come from the model's card."""

from collections.abc import Callable

import numpy as np

from meddl.models.recipes import Step
from meddl.segmentation.imported.steps.step_registry import apply_step
from meddl.spatial.label_maps import largest_components


def run_label_steps(labels: np.ndarray, steps: tuple[Step, ...]) -> np.ndarray:
    """The labels (I, J, K) after all steps, which may change them in place.

    Raises:
        ModelError: a step that this version does not know, or arguments that do not fit it.
    """
    for step in steps:
        labels = apply_step(labels, step, LABEL_STEPS, "clean-up")
    return labels


def keep_largest_components(labels: np.ndarray, values=None, count: int = 1, neighbors: int = 3,
                            together: bool = False) -> np.ndarray:
    """Each of these labels only in its largest connected parts; the rest becomes background.

    Args:
        values: the labels; all where None.
        count: of parts to keep.
        neighbors: 1: voxels that share a face are connected, 2: or an edge, 3: or a corner.
        together: all labels count as one.
    """
    present = [value for value in np.unique(labels).tolist() if value and (values is None or value in values)]
    for group in ([present] if together else [[value] for value in present]):
        mask = np.isin(labels, group)
        labels[mask & ~largest_components(mask, count, neighbors)] = 0
    return labels


LABEL_STEPS: dict[str, Callable[..., np.ndarray]] = {"keep_largest_components": keep_largest_components}

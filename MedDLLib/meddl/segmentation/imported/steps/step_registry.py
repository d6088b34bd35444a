"""Steps of a recipe: a model's card names them, a table of this version says what they do."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from meddl.core.errors import ModelError
from meddl.models.recipes import Step

T = TypeVar("T")


def apply_step(value: T, step: Step, known: Mapping[str, Callable[..., T]], kind: str = "step") -> T:
    """What the step of this name in `known` makes of `value` with the step's arguments.

    Args:
        kind: what such a step is called in messages.

    Raises:
        ModelError: a step that this version does not know, or arguments that do not fit it.
    """
    if step.name not in known:
        raise ModelError(f"The model's recipe asks for the {kind} '{step.name}'; this version knows "
                         f"{', '.join(sorted(known))}. Update MedDL.")
    try:
        return known[step.name](value, **step.arguments)
    except TypeError as error:
        raise ModelError(f"The arguments of the {kind} '{step.name}' in the model's recipe do not fit: "
                         f"{error}.") from error

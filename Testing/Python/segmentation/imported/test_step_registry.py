"""Steps are looked up by name and given the arguments of a recipe."""

import pytest

from meddl.core.errors import ModelError
from meddl.models.recipes import Step
from meddl.segmentation.imported.steps.step_registry import apply_step

KNOWN = {"add": lambda value, by=1: value + by, "double": lambda value: 2 * value}


def test_a_step_gets_the_value_and_its_arguments():
    assert apply_step(3, Step("double"), KNOWN) == 6
    assert apply_step(3, Step("add", {"by": 4}), KNOWN) == 7


def test_an_unknown_step_is_named_beside_those_that_are_known():
    with pytest.raises(ModelError, match="the clean-up 'halve'; this version knows add, double. Update MedDL"):
        apply_step(3, Step("halve"), KNOWN, "clean-up")


@pytest.mark.parametrize("arguments", [{"times": 2}, {"by": "much"}])
def test_arguments_that_do_not_fit_name_the_step(arguments):
    with pytest.raises(ModelError, match="arguments of the step 'add'") as caught:
        apply_step(3, Step("add", arguments), KNOWN)
    assert isinstance(caught.value.__cause__, TypeError)

"""Less work is chosen by the recipe's own parts, and what differs is told."""

from dataclasses import replace

import pytest

from meddl.core.config import SegmentConfig
from meddl.core.errors import InputError
from meddl.models.recipes import Output, Recipe, Windows
from meddl.segmentation.imported.recipe_options import apply_options

RECIPE = Recipe(("CT",), "RAS", (), Windows((8, 8, 8), mirror_axes=(0, 1, 2)), Output("classes", (0, 1)),
                ("fold_0", "fold_1", "fold_2"))


def test_the_defaults_change_nothing():
    assert apply_options(RECIPE, SegmentConfig()) == (RECIPE, ())
    assert apply_options(RECIPE, SegmentConfig(overlap=0.5, mirror_axes=3)) == (RECIPE, ())


def test_folds_overlap_and_mirrors_are_changed_and_told():
    found, changes = apply_options(RECIPE, SegmentConfig(folds=("2", "fold_0"), overlap=0.25, mirror_axes=1))
    assert found.networks == ("fold_0", "fold_2")
    assert found.windows == replace(RECIPE.windows, overlap=0.25, mirror_axes=(0,))
    assert len(changes) == 3 and "2 of 3" in changes[0] and "0.25 instead of 0.5" in changes[1]


def test_a_cascades_first_stage_is_changed_too():
    first = replace(RECIPE, networks=("previous_fold_1",))
    found, changes = apply_options(replace(RECIPE, previous=first), SegmentConfig(folds=("0",), mirror_axes=0))
    assert found.networks == ("fold_0",)
    assert found.previous.networks == ("previous_fold_1",)  # trained on another fold: kept
    assert found.previous.windows.mirror_axes == ()
    assert changes[0].startswith("First stage: ")


@pytest.mark.parametrize("choices, words", [
    ({"folds": ("4",)}, "no fold '4'; it has 0, 1, 2"), ({"overlap": 1.0}, "overlap"),
    ({"mirror_axes": -1}, "mirror_axes is at least 0")])
def test_what_cannot_be_is_named(choices, words):
    with pytest.raises(InputError, match=words):
        apply_options(RECIPE, SegmentConfig(**choices))

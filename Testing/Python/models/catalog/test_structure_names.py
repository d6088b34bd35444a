"""Structures are asked for by value, name or words of names; what is not known is answered with what is similar."""

import pytest

from meddl.core.errors import InputError
from meddl.models.cards import Label
from meddl.models.catalog.structure_names import chosen_values, match_structures, similar_structures
from meddl.models.store.store import ModelStore

LABELS = tuple(Label(value, name, (0, 0, 0), value) for value, name in (
    (5, "liver"), (2, "kidney_left"), (7, "kidney_right"), (300, "lung upper lobe left"), (9, "left lung")))


@pytest.mark.parametrize(("wanted", "expected"), [
    (["Kidney Right", "LIVER"], (5, 7)),
    (["right kidney"], (7,)),
    (["kidneys"], (2, 7)),
    (["lung"], (300, 9)),
    (["left lung"], (9,)),
    (["kid"], (2, 7)),
    (["2", 300], (2, 300)),
    ("liver; right kidney", (5, 7)),
    ([], (5, 2, 7, 300, 9)),
])
def test_words_choose_structures(wanted, expected):
    assert chosen_values(LABELS, wanted) == expected


def test_hippocampus_is_both_sides_of_the_brain_model():
    labels = ModelStore().card("brain").labels
    names = [label.name for label in match_structures(labels, ["hippocampus"])]
    assert names == ["left hippocampus", "right hippocampus"]


@pytest.mark.parametrize(("wanted", "said"), [
    ("livr", "'livr'.*Similar: liver"),
    ("left kidny", "Similar: kidney_left"),
    ("kidny", "kidney_left, kidney_right|kidney_right, kidney_left"),
    ("xyzzy", "It has: liver"),
    ("", "no structure ''"),
    ("301", "no structure '301'"),
])
def test_an_unknown_name_is_answered_with_similar_ones(wanted, said):
    with pytest.raises(InputError, match=said):
        match_structures(LABELS, ["liver", wanted])


def test_a_typing_error_in_the_brain_model_is_answered_with_both_sides():
    labels = ModelStore().card("brain").labels
    assert "left hippocampus, right hippocampus" in similar_structures(labels, "hipocampus")

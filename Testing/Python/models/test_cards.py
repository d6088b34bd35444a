"""Model cards: what is right is read, what is wrong is named."""

import json
import pickle
import sys

import pytest
from model_files import card_content

from meddl.core.errors import DependencyError, ModelError
from meddl.core.paths import resources_folder
from meddl.models import cards


def test_the_schema_is_one():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(cards.schema())


def test_a_card_is_read_into_types(tmp_path):
    (tmp_path / "card.json").write_text(json.dumps(card_content()), encoding="utf-8")
    card = cards.load_card(tmp_path / "card.json", require_schema=True)
    assert card.id == "tiny"
    assert card.networks["segmenter"].patch_voxels == (96, 112, 96)
    assert card.weights.bytes == 10
    assert card.license.weights == "CC-BY-4.0"
    assert card.training.hours == 0.5
    assert card.accuracy[0].value == 0.9
    assert card.mirrors == {10: 49, 49: 10, 16: 16}


def test_segments_have_names_colors_and_codes():
    first, _, stem = cards.parse_card(card_content()).segments
    assert (first.value, first.name, first.color) == (10, "left thalamus", (0, 118 / 255, 14 / 255))
    assert first.terminology["modifier"] == ["SCT", "7771000", "Left"]
    assert stem.terminology is None


def test_a_card_can_be_sent_to_another_process():
    card = cards.parse_card(card_content())
    assert pickle.loads(pickle.dumps(card)) == card


@pytest.mark.parametrize("field", sorted(card_content()))
def test_a_missing_field_is_named(field):
    content = card_content()
    del content[field]
    with pytest.raises(ModelError, match=field):
        cards.parse_card(content)


WRONG = [
    ("id", "Tiny Model"), ("id", "../x"), ("version", "1"), ("task", "paint"), ("modality", []), ("labels", []),
    ("name", ""), ("weights.file", "../w.safetensors"), ("weights.file", "a/b.safetensors"), ("weights.file", "w.pt"),
    ("weights.sha256", "abc"), ("weights.bytes", 0), ("license.weights", None), ("source.url", "javascript:x"),
    ("training.steps", -1), ("training.date", "today"), ("accuracy[0].value", "good"), ("labels[0].value", 0),
    ("labels[0].value", 70000), ("labels[0].color", [0, 0, 300]), ("labels[0].color", [0, 0]),
    ("labels[1].name", "two\nlines"), ("labels[0].terminology.type", ["SCT", "1"]),
    ("labels[0].terminology.type", ["SCT", "1", "a~b"]), ("networks.segmenter.spacing_mm", 0),
    ("networks.segmenter.patch_voxels", [96, 96]), ("networks.segmenter.arguments", []),
]


def put(content, field, value):
    parts = field.replace("[", ".").replace("]", "").split(".")
    for part in parts[:-1]:
        content = content[int(part) if part.isdigit() else part]
    content[parts[-1]] = value


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_named(field, value):
    content = card_content()
    put(content, field, value)
    with pytest.raises(ModelError) as caught:
        cards.parse_card(content)
    assert field.split(".", 1)[0] in str(caught.value)


@pytest.mark.parametrize("field", ["extra", "license.extra", "labels[0].extra", "networks.segmenter.extra",
                                   "weights.extra", "training.extra", "accuracy[0].extra"])
def test_an_unknown_field_is_refused(field):
    content = card_content()
    put(content, field, 1)
    with pytest.raises(ModelError, match="extra"):
        cards.parse_card(content)


def test_a_label_value_occurs_once():
    content = card_content()
    content["labels"][2]["value"] = 10
    with pytest.raises(ModelError, match=r"labels\[2\].value: 10 occurs twice"):
        cards.parse_card(content)


@pytest.mark.parametrize("mirror", [16, 99])
def test_the_mirror_of_the_mirror_is_the_label(mirror):
    content = card_content()
    content["labels"][0]["mirror"] = mirror
    with pytest.raises(ModelError, match=r"labels\[[01]\].mirror"):
        cards.parse_card(content)


def test_a_card_of_another_task_needs_no_labels():
    assert cards.parse_card(card_content(task="registration", labels=[])).labels == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "[" * 100000, "\udcff"])
def test_what_is_no_card_is_refused(tmp_path, text):
    (tmp_path / "card.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match="card"):
        cards.load_card(tmp_path / "card.json")


def test_a_missing_card_is_named(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        cards.load_card(tmp_path / "card.json")


def test_a_huge_card_is_not_read(tmp_path):
    (tmp_path / "card.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(ModelError, match="larger than"):
        cards.load_card(tmp_path / "card.json")


def test_without_jsonschema_a_card_is_still_read_and_checked(monkeypatch):
    cards._validator.cache_clear()
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    try:
        assert cards.parse_card(card_content()).id == "tiny"
        for wrong in ({"extra": 1}, {"id": "../x"}, {"labels": 3}):
            with pytest.raises(ModelError):
                cards.parse_card(card_content() | wrong)
        with pytest.raises(DependencyError, match="jsonschema"):
            cards.parse_card(card_content(), require_schema=True)
    finally:
        cards._validator.cache_clear()


def test_cards_that_ship_are_valid():
    found = sorted((resources_folder() / "Models").glob("*/card.json"))
    if not found:
        pytest.skip("no model ships yet")
    for path in found:
        assert cards.load_card(path, require_schema=True).id == path.parent.name


def test_the_usual_confidence_of_a_shipped_model_is_that_of_its_structures():
    card = cards.load_card(resources_folder() / "Models" / "brain" / "card.json")
    assert set(card.usual_confidence.ranges) == {label.name for label in card.labels}
    assert all(0 <= low <= high <= 1 for low, high in card.usual_confidence.ranges.values())
    assert card.usual_confidence.cases >= 10 and card.region == "head"


@pytest.mark.parametrize("wrong", [{"ranges": {"left thalamus": [0.1]}, "cases": 3, "command": "x"},
                                   {"ranges": {"left thalamus": [0.1, 1.2]}, "cases": 3, "command": "x"}, {"cases": 3}])
def test_a_wrong_usual_confidence_is_named(wrong):
    with pytest.raises(ModelError, match="usual_confidence"):
        cards.parse_card(card_content() | {"usual_confidence": wrong})

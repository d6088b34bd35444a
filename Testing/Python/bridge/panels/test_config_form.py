"""A form made from a config: every kind of field is shown, changed and kept."""

from dataclasses import dataclass, field, fields

import pytest

from meddl.core.config import REGISTER_PRESETS, RegisterConfig, SegmentConfig, SuperResolveConfig
from meddl_slicer.panels.config_form import ConfigForm, config_from_text, config_to_text, label_of, preset_of


@dataclass(frozen=True)
class Options:
    """One field of each kind."""

    kind: str = field(default="b", metadata={"help": "Which.", "choices": ("a", "b")})
    steps: int = 5
    weight: float = 0.00025
    spacing_mm: float = 1.5
    wished_mm: float | None = None
    axis: int | None = None
    flag: bool = True
    levels_mm: tuple[float, ...] = (4.0, 2.0)
    counts: tuple[int, ...] = (60, 40)
    folder: str = "here"


@pytest.fixture
def changes():
    return []


@pytest.fixture
def form(clean, changes):
    return ConfigForm(Options, lambda: changes.append(True))


@pytest.fixture
def rows(form):
    import qt

    page = qt.QWidget()
    rows = form.addRows(qt.QFormLayout(page))
    yield rows
    page.delete()


def test_every_field_shows_its_default(rows, form):
    assert list(rows) == [f.name for f in fields(Options)]
    assert rows["kind"].currentText == "b" and rows["kind"].toolTip == "Which."
    assert rows["steps"].value == 5 and rows["weight"].value == 0.00025
    assert rows["spacing_mm"].value == 1.5 and rows["spacing_mm"].suffix == " mm"
    assert rows["wished_mm"].text == rows["axis"].text == "Automatic"
    assert rows["flag"].checked
    assert rows["levels_mm"].text == "4, 2" and rows["counts"].text == "60, 40"
    assert form.config == Options()


def test_what_a_person_changes_is_in_the_config_and_told_once(rows, form, changes):
    rows["kind"].currentText = "a"
    rows["steps"].value = 7
    rows["weight"].value = 0.5
    rows["wished_mm"].value = 0.8
    rows["axis"].value = 0
    rows["flag"].checked = False
    for name, text in (("levels_mm", "8; 4"), ("counts", "3,2,1"), ("folder", "there")):
        rows[name].text = text
        rows[name].editingFinished.emit()
    assert form.config == Options("a", 7, 0.5, 1.5, 0.8, 0, False, (8.0, 4.0), (3, 2, 1), "there")
    assert len(changes) == 9
    rows["wished_mm"].value = 0
    rows["axis"].value = -1
    assert form.config.wished_mm is None and form.config.axis is None


def test_a_line_that_is_no_list_of_numbers_goes_back_to_what_it_was(rows, form, changes):
    rows["levels_mm"].text = "four"
    rows["levels_mm"].editingFinished.emit()
    assert rows["levels_mm"].text == "4, 2" and form.config == Options() and not changes


def test_showing_a_config_tells_nobody_and_loses_no_digit(rows, form, changes):
    shown = Options("a", 1, 0.123456789, 0.333333, 2.0, 2, False, (1.0,), (), "x")
    form.setConfig(shown)
    assert form.config == shown and not changes
    rows["steps"].value = 2
    assert form.config.weight == 0.123456789


def test_a_combo_box_may_say_values_in_words(clean, changes):
    import qt

    form, box = ConfigForm(Options, lambda: changes.append(True)), qt.QComboBox()
    form.bind("axis", box, {None: "Thickest", 0: "i", 2: "k"})
    assert box.currentText == "Thickest"
    box.currentText = "k"
    assert form.config.axis == 2
    page = qt.QWidget()
    assert "axis" not in form.addRows(qt.QFormLayout(page))


@pytest.mark.parametrize("config", [
    Options("a", 7, 0.1, 2.5, 0.8, 0, False, (8.0, 4.0), (3, 2)), RegisterConfig(transform_type="affine"),
    SegmentConfig(confidence=True), SuperResolveConfig(axis=1), *REGISTER_PRESETS.values()])
def test_a_config_comes_back_from_its_text(config):
    assert config_from_text(type(config), config_to_text(config)) == config


def test_a_default_config_is_an_empty_text():
    assert config_to_text(RegisterConfig()) == "{}"
    assert config_from_text(RegisterConfig, "") == RegisterConfig()


def test_text_of_another_version_keeps_what_is_known():
    assert config_from_text(Options, '{"steps": 3, "gone": 1}') == Options(steps=3)
    assert config_from_text(Options, "not json") == Options()


def test_a_config_of_ones_own_is_no_preset():
    presets = {"five": Options(), "six": Options(steps=6)}
    assert preset_of(Options(steps=6), presets) == "six"
    assert preset_of(Options(steps=7), presets) is None


def test_labels_are_words():
    assert label_of("search_rotations") == "Search rotations:" and label_of("levels_mm") == "Levels (mm):"
    assert label_of("field_smoothing_voxels") == "Field smoothing (voxels):" and label_of("seconds") == "Time limit:"
    assert label_of("field_smoothing_voxels", with_unit=False) == "Field smoothing:"


def test_text_of_version_0_1_0_is_read_by_its_old_names():
    found = config_from_text(RegisterConfig, '{"transform": "deformable", "capture": "off", "start": "given"}')
    assert found == RegisterConfig(transform_type="deformable", large_displacement_search="off", initialization="given")


def test_rows_without_effect_are_hidden(clean):
    import qt

    page = qt.QWidget()
    layout = qt.QFormLayout(page)
    form = ConfigForm(RegisterConfig, lambda: None)
    rows = form.addRows(layout)

    def shown() -> set:
        return {name for name, widget in rows.items() if not widget.isHidden()}

    assert "bins" in shown() and not {"large_displacement_search", "step_voxels"} & shown()
    form.setConfig(REGISTER_PRESETS["Deformable"])
    assert {"large_displacement_search", "step_voxels"} <= shown() and "bins" not in shown()
    assert all(widget.isHidden() == layout.labelForField(widget).isHidden() for widget in rows.values())
    rows["symmetric"].checked = True
    assert "large_displacement_search" not in shown()
    page.delete()


@pytest.mark.parametrize("config_class", [RegisterConfig, SuperResolveConfig, SegmentConfig])
def test_what_applies_names_fields_and_choices_that_there_are(config_class):
    known = {f.name: f for f in fields(config_class)}
    for one in known.values():
        for other, values in one.metadata.get("applies_to", {}).items():
            choices = known[other].metadata.get("choices") or (True, False)
            assert values and set(values) <= set(choices), one.name

"""The change between two dates on nodes: the logic's verb, and the section of the registration panel."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, opened, process_events, scene_contents
from comparison_nodes import column, is_shown
from two_dates import GRIDS, MOTION, date, growth, lesion_labels

from meddl.core.config import RegisterConfig
from meddl.core.errors import InputError
from meddl.longitudinal.config import ChangeConfig
from meddl_slicer.mrml.nodes import read_node, volume_from_node
from meddl_slicer.mrml.segmentations import create_segmentation_node
from meddl_slicer.mrml.transforms import create_transform_node
from meddl_slicer.runs import verbs
from meddl_slicer.sections.change import nodes, verb

HERE, THERE = GRIDS["oblique"], GRIDS["left-handed"]
OLD, GROWN, NEW = ((20.0, 10.0, 5.0), 4.0), ((20.0, 10.0, 5.0), 6.0), ((-25.0, 0.0, 0.0), 3.0)
QUICK = RegisterConfig(levels_mm=(8.0, 4.0))


def add(volume, name):
    node = add_volume(volume.scalar_data, volume.affine, name)
    node.CreateDefaultDisplayNodes()
    return node


def add_labels(labels, volumeNode, name):
    return create_segmentation_node(labels, volumeNode, name, placement=read_node(volumeNode)[1])


@pytest.fixture
def dates(clean):
    first = add(date(HERE, [OLD], noise=10.0), "2024")
    second = add(date(THERE, [GROWN, NEW], MOTION, noise=10.0, seed=1), "2025")
    return first, second, add_labels(lesion_labels(HERE, [OLD]), first, "lesions 2024"), add_labels(
        lesion_labels(THERE, [GROWN, NEW], MOTION), second, "lesions 2025")


def test_the_verb_makes_the_map_and_what_hangs_on_it(dates):
    first, second, before, after = dates
    first.SetAndObserveTransformNodeID(add_linear_transform(np.eye(4)).GetID())
    known = add_linear_transform(np.linalg.inv(MOTION))
    opened("MedDLRegister")
    contents = scene_contents()
    found = slicer.util.getModuleLogic("MedDLRegister").change(
        first, second, ChangeConfig(stable_percent=5.0), transformNode=known, baselineLabelsNode=before,
        followUpLabelsNode=after)
    assert found.GetName() == "2024 to 2025 change" and found.GetTransformNodeID() == first.GetTransformNodeID()
    assert volume_from_node(found).grid.same_as(volume_from_node(first).grid)
    assert slicer.util.arrayFromVolume(found).max() > 10
    lesions = found.GetNodeReference(nodes.LESIONS_ROLE)
    assert sorted(column(lesions, "State")) == ["grown", "new"] and lesions.GetLocked()
    assert column(found.GetNodeReference(nodes.STRUCTURES_ROLE), "Follow-up [ml]") == pytest.approx([9.0], rel=0.08)
    states = found.GetNodeReference(nodes.LESION_MAP_ROLE).GetSegmentation()
    assert {states.GetNthSegment(n).GetName() for n in range(states.GetNumberOfSegments())} == {"New", "Grown"}
    matched = volume_from_node(found.GetNodeReference(nodes.MATCHED_ROLE))
    assert np.median(np.abs(matched.data - volume_from_node(first).data)) < 30
    assert found.GetNodeReference(nodes.TRANSFORM_ROLE).IsLinear()
    assert found.GetNodeReference(nodes.JACOBIAN_ROLE) is None
    nodes.undo(found)
    assert scene_contents() == contents


def test_what_is_less_than_the_threshold_is_clear(dates):
    found = verb.change_nodes(*dates[:2], transformNode=add_linear_transform(np.linalg.inv(MOTION)))
    display, colors = found.GetDisplayNode(), found.GetNodeReference(nodes.COLORS_ROLE)
    assert display.GetColorNodeID() == colors.GetID() and colors.GetNumberOfColors() == nodes.COLORS
    for threshold in (4.0, 6.0):
        nodes.show_threshold(found, threshold)
        low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
        assert (low, high) == pytest.approx((-2.5 * threshold, 2.5 * threshold))
        for value in (-1.5, -1.02, -0.98, 0.0, 0.98, 1.02, 1.5):
            place = (value * threshold - low) / (high - low) * nodes.COLORS
            color = [0.0] * 4
            colors.GetColor(int(place), color)
            assert color[3] == (1.0 if abs(value) > 1 else 0.0)
            assert abs(value) < 1 or (color[0] > color[2]) == (value > 0)


def test_what_cannot_be_compared_is_refused(dates):
    first, second, before, after = dates
    for arguments, labels, reason in (((first, first), {}, "same volume"), ((first, None), {}, "second date"),
                                      ((first, before), {}, "no scalar volume"),
                                      ((first, second), {"followUpLabelsNode": after}, "baseline too"),
                                      ((first, second), {"baselineLabelsNode": after, "followUpLabelsNode": after},
                                       "are the same")):
        with pytest.raises(InputError, match=reason):
            verb.change_nodes(*arguments, **labels)


@pytest.fixture
def section(dates, monkeypatch):
    widget = opened("MedDLRegister").widget
    section = widget.change
    section.button.collapsed = False
    logic_change = section._logic.change
    monkeypatch.setattr(section._logic, "change", lambda *given, preset, **choices: logic_change(
        *given, registration=QUICK, **choices) if preset == "Rigid" else logic_change(*given, preset=preset, **choices))
    section.presetComboBox.currentIndex = section.presetComboBox.findText("Rigid")
    yield section
    section.run.cancel()
    process_events(seconds=0.1)


def choose(section, *chosen):
    for key, node in zip(("baseline", "followUp", "baselineLabels", "followUpLabels"), chosen, strict=False):
        section._selectors[key].setCurrentNode(node)


def run(section):
    assert section.ui.applyButton.enabled, section.ui.stageLabel.text
    section.ui.applyButton.click()
    assert section.run.running and section.ui.applyButton.text == "Cancel"
    process_events(lambda: not section.run.running, limit=120)


def foregrounds():
    return {view.GetForegroundVolumeID() for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def test_a_run_shows_the_map_and_both_tables_and_is_removed_again(dates, section):
    assert "first date" in section.ui.stageLabel.text and not is_shown(section.removeButton)
    choose(section, *dates)
    contents = scene_contents()
    run(section)
    table = section.tables[nodes.LESIONS_ROLE]
    cells = [[table.item(row, col).text() for col in range(table.columnCount)] for row in range(table.rowCount)]
    assert sorted(row[1] for row in cells) == ["grown", "new"] and is_shown(section.tables[nodes.STRUCTURES_ROLE])
    assert "brighter" in section.readingLabel.text and "1 new, 1 grown" in section.readingLabel.text
    assert foregrounds() == {section._node.GetID()} and section.ui.applyButton.text == "Show change"
    assert not is_shown(section._banner.label)
    section._config.setConfig(ChangeConfig(threshold=6.0))
    section.onOptionsChanged()
    assert section._node.GetDisplayNode().GetWindowLevelMax() == pytest.approx(15.0)
    before = section._node
    run(section)
    assert section._node is not before and not slicer.mrmlScene.IsNodePresent(before)
    section.removeButton.click()
    assert scene_contents() == contents and not is_shown(table) and not foregrounds() - {None, ""}


def test_a_doubt_is_shown_in_the_banner(dates, section):
    data = slicer.util.arrayFromVolume(dates[0])
    shuffled = np.random.default_rng(0).permutation(data.ravel()).reshape(data.shape)
    choose(section, dates[0], add_volume(shuffled.transpose(2, 1, 0), HERE.affine, "another"))
    run(section)
    assert is_shown(section._banner.label) and "differ in contrast" in section._banner.label.text
    section.removeButton.click()
    assert not is_shown(section._banner.label)


def test_a_cancelled_run_leaves_the_scene_as_it_was(dates, section, monkeypatch):
    monkeypatch.setattr(verb, "CHANGE", "bridge_targets:slow_comparison")
    choose(section, *dates)
    contents = scene_contents()
    section.ui.applyButton.click()
    process_events(lambda: section.ui.progressBar.value > 0)
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running)
    assert "cancelled" in section.ui.stageLabel.text and scene_contents() == contents


def test_choices_are_kept_with_the_scene_and_rows_follow_them(dates, section):
    choose(section, *dates[:3])
    lesions = section._config._rows["overlap"]
    assert all(widget.isHidden() for widget in lesions)
    choose(section, *dates)
    assert not any(widget.isHidden() for widget in lesions)
    section.presetComboBox.currentIndex = section.presetComboBox.findText("Deformable")
    node = section._parameterNode
    section.setParameterNode(None)
    section.setParameterNode(node)
    assert section.preset == "Deformable" and section.node("followUp") is dates[1]
    slicer.mrmlScene.RemoveNode(dates[1])
    assert "second date" in section.ui.stageLabel.text


def test_a_deformation_gives_the_change_of_one_segmentation(dates):
    grown = create_transform_node(growth(HERE, np.array(OLD[0]), 20), "growth")
    found = verb.change_nodes(dates[0], add(date(HERE, noise=10.0), "again"), transformNode=grown,
                              baselineLabelsNode=dates[2])
    table = found.GetNodeReference(nodes.STRUCTURES_ROLE)
    assert column(table, "Change by Jacobian [%]") == pytest.approx([20], abs=1)
    assert found.GetNodeReference(nodes.JACOBIAN_ROLE) is not None
    assert verbs.report_of(found)["lesion_states"] is None

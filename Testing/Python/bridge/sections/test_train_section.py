"""The section Train of the segmentation panel, clicked through: from painted volumes to a model in the list."""

import numpy as np
import pytest
import slicer
from bridge_scene import OBLIQUE, add_volume, opened, process_events
from comparison_nodes import column, put_in_folder
from labeled_phantoms import ball_case

from meddl.models.store.store import ModelStore
from meddl.results import Segment, Segmentation
from meddl.training.config import TrainConfig
from meddl_slicer.mrml.nodes import read_node
from meddl_slicer.mrml.segmentations import create_segmentation_node
from meddl_slicer.runs import verbs
from meddl_slicer.sections.training import curve, rest, verb

NAMES = {1: "Shell", 2: "Core"}


def add_case(number: int, names=None):
    """A volume node with a segmentation node over it."""
    image, labels = ball_case(number)
    node = add_volume(image.data[0], OBLIQUE, f"ball {number}")
    volume, placement = read_node(node)
    segments = tuple(Segment(value, text, (0.3 * value, 0.5, 0.5)) for value, text in (names or NAMES).items())
    found = Segmentation(labels.data[0], volume.affine, segments)
    return node, create_segmentation_node(found, node, f"painted {number}", placement=placement)


@pytest.fixture
def section(clean, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    for number in range(3):
        add_case(number)
    widget = opened("MedDLSeg").widget
    section = widget.train
    section.button.collapsed = False
    section.update()
    yield section
    section.run.cancel()
    section.button.collapsed = True
    monkeypatch.undo()
    widget.updateModels()


def choose(section, name: str, **options) -> None:
    section.nameLineEdit.text = name
    section.keep("name", name)
    section.keepConfig(TrainConfig(network="unet", patch_voxels=(16, 16, 16), batch=1, **options))
    section.update()


def started(section) -> None:
    assert section.ui.applyButton.enabled, section.ui.stageLabel.text
    section.ui.applyButton.click()
    assert section.run.running


def test_painted_volumes_become_a_model_that_is_chosen_in_the_list(section, tmp_path):
    assert section.dataComboBox.itemText(0) == "Whole scene (3 cases)"
    assert "name" in section.ui.stageLabel.text and not section.ui.applyButton.enabled
    choose(section, "Two Balls", steps=4, license="CC BY 4.0")
    started(section)
    process_events(lambda: not section.run.running, limit=200.0)
    table = section._table
    assert column(table, curve.STEP) == [1, 2, 3, 4] and "Cases learned from: 2." in section.resultLabel.text
    assert table.GetNodeReference(curve.CHART_ROLE).GetNumberOfPlotSeriesNodes() == 2
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 1
    card = ModelStore().card("two-balls")
    assert card.license.weights == "CC BY 4.0" and [label.name for label in card.labels] == ["Shell", "Core"]
    assert verbs.report_of(table)["model"] == "two-balls"
    assert opened("MedDLSeg").widget._parameterNode.model == "two-balls"
    assert not section.stopButton.visible
    left = [path for path in (tmp_path / "cache" / "Trainings").rglob("*") if path.is_file()]
    assert left and not [path for path in left if {"data", "cases"} & set(path.parts)]  # no copy of the volumes


def test_it_is_stopped_with_the_best_and_only_chosen_structures_are_learned(section):
    choose(section, "core", steps=100_000)
    section.keep("structures", "core")
    started(section)
    process_events(lambda: "step" in section.ui.stageLabel.text, limit=200.0)
    section.stopButton.click()
    assert not section.stopButton.enabled
    process_events(lambda: not section.run.running, limit=200.0)
    card = ModelStore().card("core")
    assert 0 < card.training.steps < 100_000 and [label.name for label in card.labels] == ["Core"]


def test_pairs_are_found_by_what_they_were_painted_over_and_by_name(section):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = put_in_folder("cohort", *[slicer.util.getNode(f"{kind} {number}") for number in (0, 1)
                                       for kind in ("ball", "painted")])
    assert [(image.GetName(), labels.GetName()) for image, labels in verb.pairs_below(folder)] == [
        ("ball 0", "painted 0"), ("ball 1", "painted 1")]
    assert [one[:3] for one in verb.folders_with_pairs()] == [
        ("Whole scene", hierarchy.GetSceneItemID(), 3), ("cohort", folder, 2)]
    labels = add_volume(np.zeros((16, 16, 16), np.uint8), OBLIQUE, "named", "vtkMRMLLabelMapVolumeNode")
    image = add_volume(np.zeros((16, 16, 16), np.float32), OBLIQUE, "named")
    assert (image, labels) in verb.pairs_below(hierarchy.GetSceneItemID())


@pytest.mark.slow
def test_a_round_of_active_learning(own_worker, section):
    """Predict the rest, correct the least certain, train on: predictions count only once they were opened."""
    scene = slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID()
    for number in (5, 6):
        add_volume(ball_case(number)[0].data[0], OBLIQUE, f"ball {number}")
    choose(section, "Rounds", steps=20, learning_rate=4e-3)
    assert section.restButton.isHidden()
    started(section)
    process_events(lambda: not section.run.running, limit=200.0)
    assert not section.restButton.isHidden() and section.restButton.enabled and not section.openButton.enabled

    section.restButton.click()
    assert section.run.running and not section.onButton.enabled
    process_events(lambda: not section.run.running, limit=200.0)
    table = section._restTable
    certain = column(table, rest.CONFIDENCE)
    assert certain == sorted(certain) and len(certain) == 2
    assert len(verb.pairs_below(scene)) == 3 and [node.GetAttribute(verb.PREDICTED) for node in rest.predictions()] == [
        "rounds", "rounds"]
    assert not section.stopButton.visible and section.openButton.enabled

    section.openButton.click()
    assert slicer.util.selectedModule() == "SegmentEditor"
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    opened_volume = editor.sourceVolumeNode()
    assert opened_volume.GetName() == table.GetTable().GetColumnByName(rest.CASE).GetValue(0)
    assert len(verb.pairs_below(scene)) == 4 and len(rest.predictions()) == 1
    slicer.util.selectModule("MedDLSeg")

    section.onButton.click()
    process_events(lambda: not section.run.running, limit=200.0)
    assert "Dice by round" in section.resultLabel.text
    training = ModelStore().card("rounds").training
    assert training.round_cases == (2, 3) and section.readText("model") == "rounds"
    section.restButton.click()
    process_events(lambda: not section.run.running, limit=200.0)
    assert section._restTable is table and column(table, rest.CASE) != [] and len(rest.predictions()) == 1


def test_paint_and_predict_opens_the_editor_with_the_effect_over_the_chosen_volume(section):
    volume = add_volume(ball_case(7)[0].data[0], OBLIQUE, "ball 7")
    opened("MedDLSeg").widget._parameterNode.inputVolume = volume
    section.paintButton.click()
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    node = editor.segmentationNode()
    assert editor.sourceVolumeNode() is volume and editor.activeEffect().name == "MedDL Predict"
    assert node.GetSegmentation().GetNumberOfSegments() == 1
    assert (volume, node) in verb.pairs_below(slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID())
    slicer.util.selectModule("MedDLSeg")
    section.paintButton.click()
    assert slicer.util.getModuleWidget("SegmentEditor").editor.segmentationNode() is node
    slicer.util.selectModule("MedDLSeg")

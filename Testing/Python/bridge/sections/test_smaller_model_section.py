"""The section Smaller model of the segmentation panel, clicked through: a real model, distilled in the worker."""

import pytest
import slicer
from bridge_scene import OBLIQUE, add_volume, opened, process_events
from comparison_nodes import column
from labeled_phantoms import put
from trained_models import large_balls, train_balls

import host
import meddl
from meddl.core.errors import InputError
from meddl.models.store.store import ModelStore
from meddl.results import Segment, Segmentation
from meddl_slicer.mrml.nodes import read_node
from meddl_slicer.mrml.segmentations import create_segmentation_node
from meddl_slicer.runs import verbs
from meddl_slicer.sections.training import curve
from meddl_slicer.sections.training.compression.verb import CURVE_ROLE

SMALL = (2, 2, 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of models with one that has learned balls."""
    folder = tmp_path_factory.mktemp("balls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDDL_CACHE", str(folder / "cache"))
        train_balls(folder)
    return folder / "cache"


@pytest.fixture
def section(clean, models, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(models))
    widget = opened("MedDLSeg").widget
    widget.updateModels()
    widget._parameterNode.model = "balls"
    section = widget.train.smaller
    section.button.collapsed = False
    section.update()
    yield section
    section.run.cancel()
    section.button.collapsed = True
    monkeypatch.undo()
    widget.updateModels()


def add_cases(count: int = 3) -> None:
    """Volumes with segmentations whose segments have the names of the model's structures, but other values."""
    names = [label.name for label in ModelStore().card("balls").labels]
    for number in range(count):
        image, labels = large_balls(30 + number, SMALL)
        node = add_volume(image.data[0], OBLIQUE, f"balls {number}")
        volume, placement = read_node(node)
        segments = tuple(Segment(3 - value, name.upper(), (0.3 * value, 0.5, 0.5))
                         for value, name in enumerate(names, start=1))
        values = (3 - labels.data[0]) * (labels.data[0] > 0)
        create_segmentation_node(Segmentation(values, volume.affine, segments), node, f"truth {number}",
                                 placement=placement)


def choose(section, name: str, **options) -> None:
    section.keep("name", name)
    section.keepConfig(meddl.ShrinkConfig(**options))
    section.update()


def run(section) -> None:
    assert section.ui.applyButton.enabled, section.ui.stageLabel.text
    section.ui.applyButton.click()
    process_events(lambda: not section.run.running, limit=200.0)
    assert not host.errors()


def test_a_model_is_made_smaller_with_nodes_of_the_scene_and_its_figures_are_shown(section):
    assert "Segment three volumes" in section.ui.stageLabel.text and not section.ui.applyButton.enabled
    add_cases()
    section.update()
    assert section.dataComboBox.itemText(0) == "Whole scene (3 cases)" and "name" in section.ui.stageLabel.text
    choose(section, "Little Balls", speedup=1.1, dice_loss=1.0, steps=10, equal_labels=0.5)
    run(section)
    card, table = ModelStore().card("little-balls"), section._table
    report, figures = verbs.report_of(table), dict(zip(column(table, "Figure"), zip(
        column(table, "Before"), column(table, "After"), strict=True), strict=True))
    assert report["model"] == "little-balls" and report["figures"]["speedup"] >= 1.1
    assert figures["File [MB]"][1] < figures["File [MB]"][0] and figures["Mean Dice"][0] > 0.4
    assert {f"Dice, {label.name}" for label in card.labels} <= set(figures)
    before, after = figures["Seconds a volume"]
    assert before / after == pytest.approx(report["figures"]["speedup"], rel=0.02)
    text = section.resultLabel.text
    assert "times as fast" in text and "Mean Dice" in text and "MB" in text and table.GetName() in text
    assert table.GetNodeReference(curve.CHART_ROLE) is not None and section.plotButton.isVisibleTo(section.button)
    assert len(column(table.GetNodeReference(CURVE_ROLE), curve.STEP)) > 5
    assert len(slicer.util.getNodesByClass("vtkMRMLPlotChartNode")) == 1
    assert opened("MedDLSeg").widget._parameterNode.model == "little-balls"
    slicer.mrmlScene.Clear(0)
    assert section._table is None and not section.resultLabel.isVisibleTo(section.button)


def test_what_is_not_fast_enough_is_said_with_its_reason_and_leaves_no_model(section, tmp_path):
    for number in range(3):
        put(tmp_path, f"case_{number}", *large_balls(40 + number, SMALL))
    section.keep("folder", str(tmp_path))
    choose(section, "Too Small", speedup=20.0)
    run(section)
    assert "was not shrunk" in section.resultLabel.text and "20 times need" in section.resultLabel.text
    assert verbs.report_of(section._table)["model"] is None and column(section._table, "Figure") == []
    assert not section.plotButton.isVisibleTo(section.button)
    assert "too-small" not in [card.id for card in ModelStore().list()]
    assert opened("MedDLSeg").widget._parameterNode.model == "balls"


def test_models_that_cannot_be_shrunk_are_refused_before_a_run(section, tmp_path):
    section.keep("folder", str(tmp_path))
    choose(section, "small")
    assert section.ui.applyButton.enabled
    widget = opened("MedDLSeg").widget
    widget._parameterNode.model = "brain"
    assert "'brain' cannot be shrunk" in section.ui.stageLabel.text and not section.ui.applyButton.enabled
    widget._parameterNode.model = "totalsegmentator-total"
    assert "Choose an installed model" in section.ui.stageLabel.text


def test_segments_need_the_names_of_the_structures(section):
    logic = slicer.util.getModuleLogic("MedDLSeg")
    scene = slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID()
    with pytest.raises(InputError, match="Three volumes"):
        logic.shrinkModel("balls", scene, name="small")
    add_cases()
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        for number in range(2):
            node.GetSegmentation().GetNthSegment(number).SetName(f"other {number}")
    with pytest.raises(InputError, match="No segment has the name of a structure"):
        logic.shrinkModel("balls", scene, name="small")

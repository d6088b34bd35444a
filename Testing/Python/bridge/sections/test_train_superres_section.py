"""The section Train of the super-resolution panel, clicked through: from one's own volumes to a model in the list."""

import numpy as np
import pytest
import slicer
from bridge_scene import OBLIQUE, add_volume, opened, process_events
from comparison_nodes import column, put_in_folder
from scipy import ndimage

from meddl.core.config import SuperResolveConfig
from meddl.models.store.store import ModelStore
from meddl.training.config import SuperResTrainConfig
from meddl_slicer.panels.config_form import config_to_text
from meddl_slicer.runs import verbs
from meddl_slicer.sections.training import curve, superres_verb

AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])

# Oblique, with voxels of 1.2 mm along every axis: what sharp volumes look like.
ISOTROPIC = np.array([[0, -1.2, 0, 30.0], [1.18, 0, 0.21, -40.0], [-0.21, 0, 1.18, 7.0], [0, 0, 0, 1]])


def blobs(seed: int) -> np.ndarray:
    wide = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((56, 52, 48)), 4)
    return ndimage.gaussian_filter(np.where(wide > 0.02, 400.0, 100.0) + 600 * wide, 0.7).astype(np.float32)


def add_pairs(count: int = 2) -> int:
    """The item of a folder with the folders low and high."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 0.5
    kinds = {"low": [], "high": []}
    for seed in range(count):
        sharp = blobs(seed)
        kinds["high"].append(add_volume(sharp, AFFINE, f"case {seed}"))
        kinds["low"].append(add_volume(sharp.reshape(28, 2, 26, 2, 24, 2).mean(axis=(1, 3, 5)), affine, f"case {seed}"))
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "my pairs")
    for kind, found in kinds.items():
        hierarchy.SetItemParent(put_in_folder(kind, *found), folder)
    return folder


@pytest.fixture
def section(clean, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    section = opened("MedDLSuperRes").widget.train
    section.button.collapsed = False
    section.update()
    yield section
    section.run.cancel()
    section.button.collapsed = True


def choose(section, name: str, **options) -> None:
    section.keep("name", name)
    section.keepConfig(SuperResTrainConfig(batch=1, **options))
    section.update()


def start(section) -> None:
    assert section.ui.applyButton.enabled, section.ui.stageLabel.text
    section.ui.applyButton.click()
    assert section.run.running


def test_pairs_of_the_scene_become_a_model_that_is_chosen(section, tmp_path):
    folder = add_pairs()
    section.update()
    assert [section.dataComboBox.itemText(row) for row in range(section.dataComboBox.count)] == [
        "Whole scene (4 volumes)", "my pairs (2 pairs)", "low (2 volumes)", "high (2 volumes)"]
    section.keep("item", str(folder))
    choose(section, "My Scanner", steps=4)
    assert "Pairs are for" in section.ui.stageLabel.text and not section.ui.applyButton.enabled
    names = [section.networkComboBox.itemText(row) for row in range(section.networkComboBox.count)]
    section.networkComboBox.currentIndex = names.index("SRResNet")
    assert section.readConfig(SuperResTrainConfig).network == "srresnet"
    start(section)
    process_events(lambda: not section.run.running, limit=200.0)
    table = section._table
    assert column(table, curve.STEP) == [0, 1, 2, 3, 4] and "above interpolation" in section.resultLabel.text
    assert table.GetNodeReference(curve.CHART_ROLE).GetNumberOfPlotSeriesNodes() == 2
    card = ModelStore().card("my-scanner")
    assert card.license.weights == "not stated" and card.accuracy[0].value >= column(table, curve.GAIN)[0] - 0.011
    widget = opened("MedDLSuperRes").widget
    assert (widget.config().method, widget.config().model) == ("srresnet", "my-scanner")
    assert widget.ui.modelComboBox.currentText == "My Scanner" and not widget.ui.modelComboBox.isHidden()
    kept = [path for path in (tmp_path / "cache" / "Trainings").rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if "data" in path.parts]  # no copy of the volumes
    assert verbs.report_of(table)["before_db"] == pytest.approx(column(table, curve.GAIN)[0])


@pytest.mark.slow
def test_sharp_volumes_are_learned_from_until_stopped_and_the_same_training_goes_on(own_worker, section):
    for seed in range(3):
        add_volume(blobs(seed), ISOTROPIC, f"sharp {seed}")
    section.update()
    choose(section, "thick", minutes=30.0)
    start(section)
    process_events(lambda: section._rows != [], limit=300.0)
    section.ui.applyButton.click()  # cancel
    process_events(lambda: not section.run.running, limit=60.0)
    assert section._table is None and not [c for c in ModelStore().list() if c.id == "thick"]
    start(section)
    process_events(lambda: "score" in section.ui.stageLabel.text, limit=300.0)
    section.stopButton.click()
    assert not section.stopButton.enabled
    process_events(lambda: not section.run.running, limit=200.0)
    card = ModelStore().card("thick")
    assert card.networks["network"].architecture == "ThroughPlaneNetwork"
    assert opened("MedDLSuperRes").widget.config().model == "thick"
    assert card.training.steps >= ModelStore().card("superres-through-plane").training.steps


def test_only_models_that_fit_the_method_are_offered(section, monkeypatch):
    widget = opened("MedDLSuperRes").widget
    monkeypatch.setattr(widget, "_ownModels", {"srresnet": {"mine": "Mine"}, "network": {}})
    widget._parameterNode.options = config_to_text(SuperResolveConfig(method="srresnet", model="mine"))
    assert [widget.ui.modelComboBox.itemText(row) for row in range(widget.ui.modelComboBox.count)] == [
        "The method's own", "Mine"]
    widget.ui.methodComboBox.currentIndex = 0
    assert widget.config().model is None
    widget._parameterNode.options = config_to_text(SuperResolveConfig(model="gone"))
    assert widget.ui.modelComboBox.currentText == "gone (not installed)"


def test_two_volumes_are_needed(section):
    assert superres_verb.find_sources() == [] and "two sharp volumes" in section.ui.stageLabel.text
    add_volume(blobs(0), OBLIQUE, "alone")
    with pytest.raises(ValueError, match="Two volumes are needed"):
        superres_verb.train_superres_model(slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID(), name="x")

"""The sections Classify and Train a classifier of the segmentation panel, clicked through: from folders of volumes to
a class and what it depends on."""

import pytest
import slicer
from bridge_scene import add_volume, opened, process_events
from classified_phantoms import PLACES, phantom
from comparison_nodes import column, put_in_folder

from meddl.models.store.store import ModelStore
from meddl.training.config import ClassifierTrainConfig
from meddl_slicer.runs import verbs
from meddl_slicer.sections.classification import verb
from meddl_slicer.sections.classification.classes import classified_below, folders_with_classes
from meddl_slicer.sections.training import curve


def add_phantom(label: str, seed: int):
    volume = phantom(label, seed)
    return add_volume(volume.data[0].transpose(2, 1, 0), volume.affine, f"{label} {seed}")


@pytest.fixture
def scene(clean):
    """A scene with a folder for each class; its item."""
    for label in PLACES:
        put_in_folder(label, *(add_phantom(label, seed) for seed in range(4)))
    return slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID()


@pytest.fixture
def panel(own_worker, scene, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    widget = opened("MedDLSeg").widget
    sections = (widget.classify, widget.classify.training)
    for section in sections:
        section.button.collapsed = False
        section.update()
    yield widget
    for section in sections:
        section.run.cancel()
        section.button.collapsed = True


def run_until_done(section, limit=200.0) -> None:
    process_events(lambda: not section.run.running, limit=limit)


def test_classes_are_attributes_else_folders(scene):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert {(one.node.GetName(), one.label) for one in classified_below(scene)} == {
        (f"{label} {seed}", label) for label in PLACES for seed in range(4)}
    loose = add_phantom("left", 9)
    assert len(classified_below(scene)) == 8
    loose.SetAttribute("Diagnosis", "healthy")
    assert [one.label for one in classified_below(scene, "Diagnosis") if one.node is loose] == ["healthy"]
    item = hierarchy.GetItemByDataNode(loose)
    hierarchy.SetItemAttribute(item, "Diagnosis", "ill")
    hierarchy.SetItemAttribute(hierarchy.GetItemParent(item) or item, "DICOM.PatientID", "")
    assert [one.label for one in classified_below(scene, "Diagnosis") if one.node is loose] == ["ill"]
    assert [(one.name, one.volumes, one.classes) for one in folders_with_classes("Diagnosis")] == [
        ("Whole scene", 9, 3)]


def test_the_patient_is_the_one_of_the_subject_hierarchy(scene):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    patient = hierarchy.CreateSubjectItem(scene, "Somebody")
    hierarchy.SetItemAttribute(patient, "DICOM.PatientID", "p17")
    node = slicer.util.getNode("left 0")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), patient)
    hierarchy.SetItemAttribute(hierarchy.GetItemByDataNode(node), "Class", "left")
    assert next(one.patient for one in classified_below(scene) if one.node is node) == "p17"
    assert {one.patient for one in classified_below(scene) if one.node is not node} == {""}


def test_one_class_is_too_few(clean):
    add_phantom("left", 0)
    with pytest.raises(ValueError, match="Volumes of two classes are needed"):
        verb.train_classifier_model(slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID(), name="x")


def test_folders_of_the_scene_become_a_classifier_that_classifies(panel, tmp_path):
    section, training = panel.classify, panel.classify.training
    assert not section.ui.applyButton.enabled and "no classifier" in section.ui.stageLabel.text
    assert training.dataComboBox.itemText(0) == "Whole scene (8 volumes, 2 classes)"
    training.keep("name", "My Places")
    training.keepConfig(ClassifierTrainConfig(steps=60, learning_rate=3e-3))
    training.update()
    assert training.ui.applyButton.enabled, training.ui.stageLabel.text
    training.ui.applyButton.click()
    run_until_done(training)
    table = training._table
    assert "Accuracy 1.00" in training.resultLabel.text and column(table, curve.STEP)[-1] == 60
    figures = table.GetNodeReference(verb.FIGURES_ROLE)
    assert column(figures, verb.TRUE_CLASS) == ["left", "right"] and column(figures, "Found: left") == [1, 0]
    assert column(figures, "sensitivity")[0].startswith("1.00 [")
    assert ModelStore().card("my-places").classes == ("left", "right")
    kept = [path for path in (tmp_path / "cache" / "Trainings").rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if {"data", "cases"} & set(path.parts)]  # no copy of the volumes
    classify_and_explain(panel, section)


def classify_and_explain(panel, section) -> None:
    node = add_phantom("right", 20)
    panel._parameterNode.inputVolume = node
    assert section.modelComboBox.currentText == "My Places" and section.ui.applyButton.enabled
    section.ui.applyButton.click()
    run_until_done(section)
    assert section.readingLabel.text.startswith("right 20: right (probability")
    assert node.GetAttribute(verb.CLASS_ATTRIBUTE) == "right"
    section.explainButton.click()
    run_until_done(section)
    assert "speak for right" in section.readingLabel.text
    map_ = next(one for one in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if "grad-cam of right" in
                one.GetName())
    assert verbs.report_of(map_)["structures"] == ["right"]
    other = slicer.util.getNode("left 3")
    table = panel.logic.classify(other, "my-places")
    assert verbs.report_of(table)["class"] == "left" and column(table, "Class")[0] == "left"
    assert sum(column(table, verb.PROBABILITY)) == pytest.approx(1)
    assert panel.logic.classify(other, "my-places") is table

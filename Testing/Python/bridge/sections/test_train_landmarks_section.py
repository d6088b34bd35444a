"""The sections Train landmarks and Landmarks with a model of one's own, clicked through: from point lists and ROIs of
the scene to those that the model makes in another volume."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, opened, process_events, turned
from comparison_nodes import column, put_in_folder
from landmark_phantoms import BODY, NAMES, phantom

import host
from meddl.models.store.store import ModelStore
from meddl.training.config import LandmarkTrainConfig
from meddl_slicer.mrml.roi import read_roi
from meddl_slicer.runs import verbs
from meddl_slicer.sections.landmarks import train_verb
from meddl_slicer.sections.landmarks.marks import folders_with_marks, marked_below, read_marks
from meddl_slicer.sections.landmarks.verb import BOXES_ROLE
from meddl_slicer.sections.training import curve


def add_phantom(seed: int, name: str = ""):
    volume = phantom(seed)[0]
    return add_volume(volume.scalar_data, volume.affine, name or f"case {seed}")


def add_points(seed: int, name: str):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    points = phantom(seed)[1]
    for label, position in zip(points.labels, points.positions, strict=True):
        node.AddControlPoint(*position, label)
    return node


def add_roi(seed: int, name: str):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    boxes = phantom(seed)[2]
    node.SetCenter(*boxes.centers[0])
    node.SetSize(*boxes.sizes[0])
    return node


@pytest.fixture
def scene(clean):
    """Six volumes with their markups, one of them in a folder of its own; the scene's item."""
    for seed in range(6):
        nodes = (add_phantom(seed), add_points(seed, f"case {seed} points" if seed else "F"),
                 add_roi(seed, f"case {seed} {BODY}" if seed else BODY))
        if not seed:
            put_in_folder("first", *nodes)
    return slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID()


@pytest.fixture
def panel(own_worker, scene, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path / "cache"))
    widget = opened("MedDLSeg").widget
    sections = (widget.landmarks, widget.landmarks.training)
    for section in sections:
        section.button.collapsed = False
        section.update()
    yield widget
    for section in sections:
        section.run.cancel()
        section.button.collapsed = True


def run_until_done(section, limit=200.0) -> None:
    process_events(lambda: not section.run.running, limit=limit)


def test_markups_belong_to_the_volume_of_their_folder_or_of_their_name(scene):
    add_phantom(9, "case 1 b")
    add_points(9, "case 1 b F")
    add_points(9, "stray")
    found = {one.node.GetName(): one for one in marked_below(scene)}
    assert sorted(found) == ["case 0", "case 1", "case 1 b", *(f"case {seed}" for seed in range(2, 6))]
    assert [node.GetName() for node in found["case 1 b"].lists] == ["case 1 b F"] and not found["case 1 b"].rois
    assert [node.GetName() for node in found["case 1"].lists] == ["case 1 points"]
    points, boxes = read_marks(found["case 2"])
    truth = phantom(2)
    np.testing.assert_allclose(points.positions, truth[1].positions, atol=1e-6)
    np.testing.assert_allclose(boxes.sizes, truth[2].sizes, atol=1e-6)
    assert (points.labels, boxes.labels) == (NAMES, (BODY,))
    assert read_marks(found["case 0"])[1].labels == (BODY,)
    assert [(one.name, one.volumes) for one in folders_with_marks()] == [("Whole scene", 7)]


def test_one_volume_with_markups_is_too_few(clean):
    add_phantom(0)
    add_points(0, "case 0 F")
    with pytest.raises(ValueError, match="Two volumes with point lists or ROIs are needed"):
        train_verb.train_landmark_model(slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID(), name="x")


def test_markups_of_the_scene_become_a_model_that_finds_them(panel, tmp_path):
    section, training = panel.landmarks, panel.landmarks.training
    assert section.modelComboBox.count == 1 and training.dataComboBox.itemText(0) == (
        "Whole scene (6 volumes with markups)")
    training.keep("name", "My Balls")
    training.keepConfig(LandmarkTrainConfig(steps=150, spacing_mm=3.0))
    training.update()
    assert training.ui.applyButton.enabled, training.ui.stageLabel.text
    training.ui.applyButton.click()
    run_until_done(training)
    assert not host.errors()
    table = training._table
    errors = column(table, curve.ERROR)
    assert column(table, curve.STEP)[-1] == 150 and errors[0] > min(errors) > 0
    assert "Error on average" in training.resultLabel.text and "Cases held out: 2" in training.resultLabel.text
    figures = table.GetNodeReference(train_verb.FIGURES_ROLE)
    assert column(figures, train_verb.LANDMARK) == ["all", *NAMES, BODY]
    assert column(figures, "IoU")[1] == "-" and float(column(figures, "IoU")[3]) > 0.4
    assert ModelStore().card("my-balls").landmarks.names == (*NAMES, BODY)
    kept = [path for path in (tmp_path / "cache" / "Trainings").rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if "data" in path.parts]  # no copy of the volumes
    find_under_a_transform(panel, section)


def find_under_a_transform(panel, section) -> None:
    node = add_phantom(20)
    parent = add_linear_transform(turned(4))
    node.SetAndObserveTransformNodeID(parent.GetID())
    panel._parameterNode.inputVolume = node
    assert section.modelComboBox.currentText == "My Balls" and not section.alignButton.enabled
    section.ui.applyButton.click()
    run_until_done(section)
    assert not host.errors()
    (points,) = [one for one in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
                 if one.GetName() == "case 20 landmarks"]
    assert section.readingLabel.text == "2 points in 'case 20 landmarks'. Boxes: 1."
    truth = phantom(20)
    local = [np.array(points.GetNthControlPointPosition(number)) for number in range(2)]
    assert points.GetParentTransformNode() is parent
    assert np.linalg.norm(np.array(local) - truth[1].positions, axis=1).max() < 4
    assert points.GetNthControlPointDescription(0).startswith("confidence ")
    roi = points.GetNodeReference(BOXES_ROLE)
    assert roi.GetName() == f"case 20 {BODY}" and roi.GetParentTransformNode() is parent
    world = read_roi(roi, node)
    assert np.abs(world[:3, :3] - np.diag(np.diag(world[:3, :3]))).max() < 1e-6  # along R, A and S in the world
    assert verbs.report_of(points)["model"] == "my-balls"
    assert "case 20" not in {one.node.GetName() for one in marked_below(
        slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID())}  # what was found is not learned from
    again = panel.logic.findLandmarks(node, model="my-balls", markupsNode=points)
    assert again is points and points.GetNumberOfControlPoints() == 2

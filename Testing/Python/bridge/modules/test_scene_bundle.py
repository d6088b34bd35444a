"""A scene saved as a bundle (.mrb) and loaded again has the results, their companions and the panels' choices."""

import json

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, finished, opened
from registration_panel import lobes, pair  # noqa: F401
from registration_panel import widget as registerPanel  # noqa: F401
from segmentation_panel import head, thresholding  # noqa: F401
from segmentation_panel import widget as segPanel  # noqa: F401
from sequence_nodes import drifting
from superres_panel import thick  # noqa: F401
from superres_panel import widget as sharpPanel  # noqa: F401

import host
from meddl_slicer.mrml import registration_nodes
from meddl_slicer.mrml.nodes import affine_of_node, volume_from_node
from meddl_slicer.mrml.sequences import browser_of
from meddl_slicer.mrml.transforms import is_under
from meddl_slicer.runs import verbs


@pytest.fixture(params=["the panel open", "the panel left"])
def reload(request, tmp_path):
    """Saves the scene, closes it and loads it again; with another module in front meanwhile, or the same."""
    def saved_and_loaded(module):
        path = str(tmp_path / "scene.mrb")
        assert slicer.util.saveScene(path)
        if request.param == "the panel left":
            host.select_module("SegmentEditor")
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(path)
        return opened(module).widget

    return saved_and_loaded


def applied(widget):
    """Apply, to the end; the report of the run that the first output keeps."""
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()


def report_text(node) -> str:
    return node.GetAttribute(verbs.REPORT_ATTRIBUTE)


def described(node) -> dict:
    """All that a segmentation says of its segments."""
    content = node.GetSegmentation()
    segments = [content.GetNthSegment(index) for index in range(content.GetNumberOfSegments())]
    return {segment.GetName(): (segment.GetLabelValue(), np.round(segment.GetColor(), 2).tolist(),
                                segment.GetTerminology()) for segment in segments}


def label_arrays(node, volume) -> dict:
    content = node.GetSegmentation()
    return {content.GetNthSegment(index).GetName(): slicer.util.arrayFromSegmentBinaryLabelmap(
        node, content.GetNthSegmentID(index), volume).copy() for index in range(content.GetNumberOfSegments())}


def right_handed(node) -> tuple:
    """A volume's (I, J, K) voxels and affine; of a left-handed grid with k reversed, as Slicer's files keep it."""
    array, affine = volume_from_node(node).scalar_data.copy(), affine_of_node(node)
    if np.linalg.det(affine[:3, :3]) < 0:
        last = array.shape[2] - 1
        array, affine = array[:, :, ::-1], affine @ np.array(
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, last], [0, 0, 0, 1]])
    return array, affine


def cells(table) -> list:
    return [[table.GetCellText(row, column) for column in range(table.GetNumberOfColumns())]
            for row in range(table.GetNumberOfRows())]


def study_of(node) -> str:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    return hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)))


def test_a_segmentation_comes_back_with_all_that_belongs_to_it(segPanel, head, reload):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "the study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(head), study)
    ui = segPanel.ui
    ui.confidenceCheckBox.checked = ui.flipAveragingCheckBox.checked = True
    ui.show3DCheckBox.checked = True
    ui.structuresLineEdit.text = ""
    applied(segPanel)
    node = ui.outputSelector.currentNode()
    segments, labels, report = described(node), label_arrays(node, head), report_text(node)
    rows = cells(node.GetNodeReference(verbs.TABLE_ROLE))
    again = reload("MedDLSeg")
    loaded, volume = again.ui.outputSelector.currentNode(), again.ui.inputSelector.currentNode()
    assert (loaded.GetName(), volume.GetName()) == ("head segmentation", "head") and loaded is not node
    assert described(loaded) == segments
    assert report_text(loaded) == report and verbs.report_of(loaded)["volumes_ml"]
    found = label_arrays(loaded, volume)
    assert found.keys() == labels.keys() and all(np.array_equal(found[name], labels[name]) for name in labels)
    assert loaded.GetNodeReference(loaded.GetReferenceImageGeometryReferenceRole()) is volume
    table = loaded.GetNodeReference(verbs.TABLE_ROLE)
    assert cells(table) == rows and table.GetColumnUnitLabel("Volume [ml]") == "ml"
    assert loaded.GetNodeReference(verbs.CONFIDENCE_ROLE).GetName() == "head segmentation confidence"
    assert study_of(loaded) == study_of(volume) == "the study"
    assert again.ui.confidenceCheckBox.checked and again.ui.flipAveragingCheckBox.checked
    applied(again)  # the next run renews the loaded result and its companions
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    assert loaded.GetNodeReference(verbs.TABLE_ROLE) is table


def test_a_linear_registration_comes_back_and_can_be_undone(registerPanel, reload):
    ui = registerPanel.ui
    for name in ("inverse", "jacobian", "checkerboard", "difference", "place", "grid"):
        getattr(ui, f"{name}CheckBox").checked = True
    ui.presetComboBox.currentText = "Affine"
    applied(registerPanel)
    node = ui.outputSelector.currentNode()
    before = node.GetTransformFromParent().TransformPoint(11.0, -7.0, 5.0)
    companions = sorted(made.GetName() for made in registration_nodes.companions(node))
    report = report_text(node)
    again = reload("MedDLRegister")
    loaded, moving = again.ui.outputSelector.currentNode(), again.ui.movingSelector.currentNode()
    assert loaded.GetName() == "moving to fixed" and loaded is not node
    assert loaded.GetTransformFromParent().TransformPoint(11.0, -7.0, 5.0) == pytest.approx(before, abs=1e-4)
    assert sorted(made.GetName() for made in registration_nodes.companions(loaded)) == companions
    assert len(companions) == 5 and report_text(loaded) == report
    assert again.ui.warpedSelector.currentNode() is loaded.GetNodeReference(verbs.WARPED_ROLE)
    assert again.ui.presetComboBox.currentText == "Affine" and again.ui.inverseCheckBox.checked
    assert is_under(moving, loaded)
    registration_nodes.undo(loaded)
    assert moving.GetParentTransformNode() is None
    assert sorted(volume.GetName() for volume in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == [
        "fixed", "moving"]


def test_a_deformable_registration_comes_back_with_its_grid_and_its_helpers(registerPanel, reload,
                                                                            monkeypatch):
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:known_bend")
    points = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in ("here", "there")]
    for node in points:
        node.AddControlPoint(10.0, 0.0, 5.0, "tip")
    mask = add_volume((lobes() > 300).astype(np.uint8), centered(np.diag([2.0, 2.0, 2.0]), (48, 44, 40)), "mask",
                      "vtkMRMLLabelMapVolumeNode")
    ui = registerPanel.ui
    ui.fixedLandmarksSelector.setCurrentNode(points[0])
    ui.movingLandmarksSelector.setCurrentNode(points[1])
    ui.fixedMaskSelector.setCurrentNode(mask)
    ui.guideCheckBox.checked = False
    applied(registerPanel)
    node = ui.outputSelector.currentNode()
    places = np.random.default_rng(3).uniform(-25, 25, (20, 3))
    before = [node.GetTransformFromParent().TransformPoint(place) for place in places]
    assert not node.IsLinear()
    again = reload("MedDLRegister")
    loaded = again.ui.outputSelector.currentNode()
    assert not loaded.IsLinear() and report_text(loaded) and loaded is not node
    after = [loaded.GetTransformFromParent().TransformPoint(place) for place in places]
    assert np.abs(np.array(after) - before).max() < 0.02  # mm: a loaded grid is interpolated by cubics, ours linearly
    chosen = again.inputs()
    assert (chosen.fixedLandmarks.GetName(), chosen.movingLandmarks.GetName()) == ("here", "there")
    assert chosen.fixedMask.GetName() == "mask" and not chosen.landmarksGuide
    assert again.ui.applyButton.enabled


def test_a_super_resolved_volume_comes_back_with_its_report_and_what_was_invented(sharpPanel, thick, reload,
                                                                                  monkeypatch):
    monkeypatch.setattr(verbs, "SUPER_RESOLVE", "bridge_targets:inventing")
    sharpPanel.ui.methodComboBox.currentText = "SRGAN"
    sharpPanel.ui.strengthSlider.value = 0.25
    applied(sharpPanel)
    node = sharpPanel.ui.outputSelector.currentNode()
    values, report = right_handed(node), report_text(node)
    config = sharpPanel.config()
    again = reload("MedDLSuperRes")
    loaded = again.ui.outputSelector.currentNode()
    assert loaded.GetName() == node.GetName() and loaded is not node
    after = right_handed(loaded)
    assert np.array_equal(after[0], values[0]) and np.allclose(after[1], values[1], atol=1e-4)
    assert json.loads(report_text(loaded)) == json.loads(report)
    assert loaded.GetNodeReference(verbs.INVENTED_ROLE).GetName() == f"{loaded.GetName()} difference"
    assert again.config() == config and config.method == "srgan" and again.ui.strengthSlider.value == 0.25
    assert again.ui.inputSelector.currentNode().GetName() == "thick"


def test_the_motion_of_a_sequence_comes_back(clean, reload):
    widget = opened("MedDLRegister").widget
    drifting()
    widget.ui.presetComboBox.currentText = "Time series"
    widget.ui.referenceComboBox.currentText = "Mean"
    applied(widget)
    motion = widget.ui.motionSelector.currentNode()
    before = [motion.GetNthDataNode(n).GetTransformFromParent().TransformPoint(1.0, 2.0, 3.0) for n in range(3)]
    again = reload("MedDLRegister")
    loaded = again.ui.motionSelector.currentNode()
    assert loaded is not motion and loaded.GetNumberOfDataNodes() == 3
    after = [loaded.GetNthDataNode(n).GetTransformFromParent().TransformPoint(1.0, 2.0, 3.0) for n in range(3)]
    assert np.allclose(after, before, atol=1e-4)
    corrected = again.ui.correctedSelector.currentNode()
    assert loaded.GetNodeReference(verbs.WARPED_ROLE) is corrected and corrected.GetNumberOfDataNodes() == 3
    assert browser_of(again.ui.sequenceSelector.currentNode()).IsSynchronizedSequenceNode(loaded)
    assert report_text(loaded) and again.ui.referenceComboBox.currentText == "Mean"
    assert again.ui.presetComboBox.currentText == "Time series"


def test_a_bundle_that_is_added_to_an_open_scene_brings_its_choices(segPanel, head, tmp_path):
    applied(segPanel)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    other = add_volume(lobes(), np.eye(4), "other")
    segPanel.ui.inputSelector.setCurrentNode(other)
    segPanel.ui.outputSelector.addNode("vtkMRMLSegmentationNode")
    slicer.util.loadScene(path)
    assert segPanel.ui.inputSelector.currentNode().GetName() == "head"
    assert segPanel.ui.outputSelector.currentNode().GetName() == "head segmentation"
    assert slicer.mrmlScene.IsNodePresent(other)

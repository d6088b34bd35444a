"""Landmarks and regions are made and placed from the panels: a node of the selector, a place button beside it."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, opened, phantom
from segmentation_panel import head, thresholding  # noqa: F401
from segmentation_panel import widget as segPanel  # noqa: F401

import host


@pytest.fixture
def registerPanel(clean):
    for name in ("fixed", "moving"):
        add_volume(phantom(), centered(np.eye(3)), name)
    widget = opened("MedDLRegister").widget
    widget.initializeParameterNode()
    yield widget
    widget.run.cancel()


def interaction():
    return slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")


def placing() -> bool:
    return interaction().GetCurrentInteractionMode() == interaction().Place


def create(selector, label):
    """Choose "Create new ..." in a selector; returns the new node."""
    combo = selector.comboBox()
    (row,) = [row for row in range(combo.count) if combo.itemText(row) == f"Create new {label}"]
    combo.setCurrentIndex(row)
    combo.activated.emit(row)
    return selector.currentNode()


def test_a_new_region_is_placed_at_once_and_apply_waits_for_it(segPanel):
    ui = segPanel.ui
    assert not ui.regionPlaceWidget.placeButton().enabled
    roi = create(ui.regionSelector, "ROI")
    assert roi.GetName() == "Region" and roi.GetDisplayNode() is not None
    assert ui.regionPlaceWidget.currentNode() is roi and placing() and not interaction().GetPlaceModePersistence()
    assert not ui.applyButton.enabled and "no size yet" in ui.stageLabel.text
    roi.SetCenter(2.0, 0.0, -1.0)
    roi.SetSize(8.0, 8.0, 8.0)
    interaction().SetCurrentInteractionMode(interaction().ViewTransform)  # as after the last click
    assert ui.applyButton.enabled and "no size" not in ui.stageLabel.text


def test_the_place_button_places_the_chosen_region_anew(segPanel):
    ui = segPanel.ui
    create(ui.regionSelector, "ROI")
    button = ui.regionPlaceWidget.placeButton()
    assert button.isVisibleTo(segPanel.parent) and button.checked
    button.click()
    assert not placing() and not button.checked
    button.click()
    assert placing() and ui.regionPlaceWidget.placeModeEnabled


def test_another_module_is_entered_without_the_place_mode(segPanel):
    create(segPanel.ui.regionSelector, "ROI")
    opened("MedDLSuperRes")
    assert not placing()
    another = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
    slicer.modules.markups.logic().SetActiveList(another)
    interaction().SetCurrentInteractionMode(interaction().Place)  # begun elsewhere: not ours to end
    opened("MedDLSeg")
    opened("MedDLSuperRes")
    assert placing()
    interaction().SetCurrentInteractionMode(interaction().ViewTransform)


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_landmarks_are_placed_one_after_the_other(registerPanel, side):
    ui = registerPanel.ui
    selector, buttons = getattr(ui, f"{side}LandmarksSelector"), getattr(ui, f"{side}LandmarksPlaceWidget")
    node = create(selector, "Point List")
    assert node.GetName() == f"{side.capitalize()} landmarks"
    assert placing() and interaction().GetPlaceModePersistence()
    assert slicer.modules.markups.logic().GetActiveListID() == node.GetID()
    node.AddControlPoint(1.0, 2.0, 3.0)
    assert not buttons.deleteButton().isHidden() and buttons.deleteButton().enabled
    buttons.deleteButton().click()
    assert node.GetNumberOfControlPoints() == 0


def test_only_one_list_is_placed_at_a_time(registerPanel):
    ui = registerPanel.ui
    create(ui.fixedLandmarksSelector, "Point List")
    create(ui.movingLandmarksSelector, "Point List")
    assert ui.movingLandmarksPlaceWidget.placeModeEnabled and not ui.fixedLandmarksPlaceWidget.placeModeEnabled
    assert not ui.fixedLandmarksPlaceWidget.placeButton().checked


def test_apply_follows_the_points_as_they_come_and_go(registerPanel):
    ui = registerPanel.ui
    assert ui.applyButton.enabled
    lists = [create(getattr(ui, f"{side}LandmarksSelector"), "Point List") for side in ("fixed", "moving")]
    assert not ui.applyButton.enabled and "There are no landmarks" in ui.stageLabel.text
    for node in lists:
        node.AddControlPoint(1.0, 2.0, 3.0)
    assert ui.applyButton.enabled
    ui.movingLandmarksPlaceWidget.deleteButton().click()
    assert not ui.applyButton.enabled


def test_a_closed_scene_leaves_no_node_to_place(registerPanel):
    ui = registerPanel.ui
    create(ui.fixedLandmarksSelector, "Point List")
    slicer.mrmlScene.Clear(0)
    assert ui.fixedLandmarksPlaceWidget.currentNode() is None
    assert not ui.fixedLandmarksPlaceWidget.placeButton().enabled and not placing()


def test_a_reloaded_module_places_and_hears_points_as_before(clean):
    opened("MedDLRegister")
    widget = host.reload_module("MedDLRegister").widget
    host.select_module("MedDLRegister")
    widget.initializeParameterNode()
    node = create(widget.ui.fixedLandmarksSelector, "Point List")
    node.AddControlPoint(1.0, 2.0, 3.0)
    assert placing() and widget.ui.fixedLandmarksPlaceWidget.deleteButton().enabled

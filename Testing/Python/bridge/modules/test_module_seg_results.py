"""What can be done with a result in MedDLSeg: Slicer's own Show 3D button, and on to the Segment Editor."""

import numpy as np
import slicer
from bridge_scene import add_volume, centered, finished, opened, phantom  # noqa: F401
from segmentation_panel import head, segmentations, thresholding, widget  # noqa: F401

import host

SURFACE = "Closed surface"


def segmented(widget):
    """The result of Apply."""
    widget.ui.applyButton.click()
    finished(widget)
    (node,) = segmentations()
    return node


def test_show_3d_makes_surfaces_that_are_seen_and_takes_them_away(widget):
    node = segmented(widget)
    button, display = widget.ui.show3DButton, node.GetDisplayNode()
    assert button.isVisibleTo(widget.parent) and button.enabled and not button.checked
    button.click()
    assert node.GetSegmentation().ContainsRepresentation(SURFACE)
    assert display.GetVisibility() and display.GetVisibility3D()
    assert display.GetDisplayRepresentationName3D() == SURFACE
    button.click()
    assert not node.GetSegmentation().ContainsRepresentation(SURFACE)
    assert node.GetSegmentation().ContainsRepresentation("Binary labelmap")


def test_the_button_knows_the_surfaces_that_the_run_has_made(widget):
    widget.ui.show3DCheckBox.checked = True
    segmented(widget)
    assert widget.ui.show3DButton.checked
    widget.ui.show3DCheckBox.checked = False
    segmented(widget)
    assert not widget.ui.show3DButton.checked


def test_edit_goes_to_the_segment_editor_with_the_result_and_its_volume(widget, head):
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "another, before ours")
    widget.ui.applyButton.click()
    finished(widget)
    node = widget.ui.outputSelector.currentNode()
    widget.ui.editButton.click()
    assert not host.errors()
    assert slicer.util.selectedModule() == "SegmentEditor"
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    assert node is not other and editor.segmentationNode() is node
    assert editor.sourceVolumeNode() is head


def test_a_result_that_was_deleted_cannot_be_edited_and_that_is_told(widget):
    node = segmented(widget)
    slicer.mrmlScene.RemoveNode(node)
    widget.ui.editButton.click()
    assert "no longer in the scene" in host.errors()[0].text
    host.take_unhandled()
    assert slicer.util.selectedModule() == "MedDLSeg"


def test_after_the_scene_is_closed_nothing_of_the_result_is_held(widget):
    segmented(widget)
    slicer.mrmlScene.Clear(0)
    assert widget.ui.resultsCollapsibleButton.isHidden()
    assert widget.ui.show3DButton.segmentationNode() is None


def test_the_result_of_several_volumes_has_no_buttons_of_one_segmentation(widget, head):
    segmented(widget)
    add_volume(phantom(), centered(np.eye(3)), "second")
    widget.ui.inputSelector.setCurrentNode(head)
    widget.chooseFolder(slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID())
    widget.ui.applyButton.click()
    finished(widget, 60)
    assert not host.errors() and len(segmentations()) == 3
    assert not widget.ui.show3DButton.isVisibleTo(widget.parent)
    assert not widget.ui.editButton.isVisibleTo(widget.parent)
    assert widget.ui.resultsTable.isVisibleTo(widget.parent)

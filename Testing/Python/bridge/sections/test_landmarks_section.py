"""The section Landmarks of MedDL Segmentation, with the real model in the real worker."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, add_warp, finished, opened, phantom, turned

import host
import meddl.samples
from meddl.core.errors import InputError
from meddl.landmarks.find import CENTERS
from meddl.landmarks.structure_centers import structure_centers
from meddl_slicer.mrml.nodes import linear_parent_matrix, volume_from_node
from meddl_slicer.sections.landmarks.verb import ALIGNMENT_ROLE


def positions(node) -> dict[str, np.ndarray]:
    """Where the points of a point list lie in the world, by name."""
    found = {}
    for number in range(node.GetNumberOfControlPoints()):
        position = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(number, position)
        found[node.GetNthControlPointLabel(number)] = np.array(position)
    return found


def test_a_head_under_a_transform_is_aligned_in_one_click(clean):
    image, truth = meddl.samples.head("T1", 2.0)
    node = add_volume(image.scalar_data, image.affine, "head")
    parent = add_linear_transform(turned(12))
    node.SetAndObserveTransformNodeID(parent.GetID())
    widget = opened("MedDLSeg").widget
    widget.ui.inputSelector.setCurrentNode(node)
    section = widget.landmarks
    section.button.collapsed = False
    assert section.alignButton.enabled
    section.alignButton.click()
    finished(section, limit=240)
    assert not host.errors()
    (points,) = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    transform = points.GetNodeReference(ALIGNMENT_ROLE)
    assert points.GetName() == "head landmarks" and transform.GetName() == "head AC-PC"
    assert node.GetParentTransformNode() is transform and transform.GetParentTransformNode() is parent
    found = positions(points)
    np.testing.assert_allclose(found["AC"], 0, atol=1e-6)
    np.testing.assert_allclose(found["PC"][[0, 2]], 0, atol=1e-6)
    world = volume_from_node(node).affine  # the points lie over the structures, wherever the head is now
    centers = structure_centers(truth.labels, meddl.Grid(truth.labels.shape, world), CENTERS.values())
    errors = [np.linalg.norm(found[name] - centers[value].position_mm) for name, value in CENTERS.items()]
    assert np.mean(errors) < 2.5
    moved = linear_parent_matrix(node)[:3, :3]
    assert np.linalg.det(moved) == pytest.approx(1, abs=1e-6)
    assert points.GetNthControlPointDescription(0).startswith("confidence 0.")
    assert "12 points in 'head landmarks'" in section.readingLabel.text
    section.button.collapsed = True


def test_no_head_is_said_and_nothing_is_left(clean):
    node = add_volume(phantom(), np.diag([4.0, 4.0, 4.0, 1.0]), "ball")
    with pytest.raises(InputError, match="head"):
        slicer.util.getModuleLogic("MedDLSeg").findLandmarks(node)
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")


def test_what_cannot_be_aligned_is_refused_before_the_run(clean):
    node = add_volume(phantom(), np.eye(4), "ball")
    node.SetAndObserveTransformNodeID(add_warp().GetID())
    with pytest.raises(InputError, match="expected to be linear"):
        slicer.util.getModuleLogic("MedDLSeg").findLandmarks(node, align=True)
    widget = opened("MedDLSeg").widget
    widget.ui.inputSelector.setCurrentNode(None)
    assert not widget.landmarks.alignButton.enabled
    assert "Choose a volume" in widget.landmarks.alignButton.toolTip

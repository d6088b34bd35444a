"""MedDLRegister with masks, landmarks, segmentations and an initial transform."""

import numpy as np
import slicer
from bridge_scene import (
    add_volume,
    centered,
    finished,
)
from registration_panel import MOTION, check, from_parent, largest_error_mm, lobes, pair, widget  # noqa: F401

import host
from meddl_slicer.mrml import nodes
from meddl_slicer.mrml.registration_nodes import companions
from meddl_slicer.runs import verbs


def segmentation(volume, name):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    array = (lobes() > 300).astype(np.uint8)
    labels = add_volume(array, nodes.affine_of_node(volume), "labels", "vtkMRMLLabelMapVolumeNode")
    assert slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, node)
    slicer.mrmlScene.RemoveNode(labels)
    return node


def test_masks_landmarks_and_segmentations_are_used_and_reported(widget, pair):
    fixed, moving = (segmentation(node, node.GetName() + " parts") for node in pair)
    points = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name) for name in "ab"]
    for place in ((10.0, 0.0, 0.0), (-10.0, 5.0, 0.0), (0.0, 10.0, -8.0), (4.0, -9.0, 7.0)):
        points[0].AddControlPoint(*place)
        points[1].AddControlPoint(*(MOTION @ [*place, 1])[:3])
    for name, node in (("fixedMask", fixed), ("movingMask", moving), ("fixedSegmentation", fixed),
                       ("movingSegmentation", moving), ("fixedLandmarks", points[0]), ("movingLandmarks", points[1])):
        getattr(widget.ui, f"{name}Selector").setCurrentNode(node)
    check(widget, "warpSegmentation")
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()
    report = verbs.report_of(widget.ui.outputSelector.currentNode())
    assert report["dice"]["after"] > 0.9 > report["dice"]["before"]
    assert report["tre_mm"]["after"]["mean"] < 1.0 < report["tre_mm"]["before"]["mean"]
    text = widget.ui.reportBrowser.plainText
    assert "Dice" in text and "Target registration error" in text
    assert "moving parts on fixed" in {node.GetName() for node in companions(widget.ui.outputSelector.currentNode())}


def test_an_initial_transform_is_where_it_starts(widget, pair):
    start = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "start")
    start.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.linalg.inv(MOTION)))
    widget.ui.initialSelector.setCurrentNode(start)
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()
    node = widget.ui.outputSelector.currentNode()
    assert verbs.report_of(node)["start"] == "the initial transform"
    assert largest_error_mm(from_parent(node), MOTION) < 1.0
    widget.ui.outputSelector.setCurrentNode(start)
    assert not widget.ui.applyButton.enabled and "overwrite" in widget.ui.stageLabel.text


def test_what_cannot_be_used_is_told_before_apply(widget, pair):
    far = centered(np.diag([1.0, 1.0, 1.0]), (5, 5, 5))
    far[0, 3] += 500
    mask = add_volume(np.ones((5, 5, 5), np.uint8), far, "far", "vtkMRMLLabelMapVolumeNode")
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "a")
    points.AddControlPoint(0.0, 0.0, 0.0)
    for name, node, part in (("fixedMask", mask, "outside"), ("movingLandmarks", points, "pairs"),
                             ("fixedSegmentation", slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode"),
                              "both volumes")):
        selector = getattr(widget.ui, f"{name}Selector")
        selector.setCurrentNode(node)
        assert not widget.ui.applyButton.enabled and part in widget.ui.stageLabel.text
        selector.setCurrentNode(None)
        assert widget.ui.applyButton.enabled

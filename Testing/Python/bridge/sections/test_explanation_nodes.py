"""Explanation and uncertainty on nodes: maps over their volumes, by the logic and by the panel's section."""

import numpy as np
import pytest
import slicer
from bridge_scene import add_linear_transform, add_volume, opened, process_events, turned
from channel_images import blobs
from small_models import models  # noqa: F401
from volume_folders import networks  # noqa: F401

import host
from meddl.core.config import SegmentConfig
from meddl.explanation.config import ExplainConfig
from meddl.uncertainty.config import UncertaintyConfig
from meddl_slicer.mrml.nodes import volume_from_node
from meddl_slicer.runs import verbs
from meddl_slicer.sections.explanation.verb import RESIDUAL_ROLE, RESULT_ROLE

AFFINE = np.diag([-1.5, 1.5, 2.0, 1.0])
EXACT = SegmentConfig(float32=True, mirror_axes=0)


@pytest.fixture
def node(networks):
    volume = blobs((24, 22, 20), AFFINE)
    return add_volume(volume.data[0], volume.affine)


def logic(name: str):
    host.load_module(name)
    return slicer.util.getModuleLogic(name)


def test_a_map_of_an_explanation_lies_over_its_volume_with_a_color_table(node):
    node.SetAndObserveTransformNodeID(add_linear_transform(turned(20)).GetID())
    found = logic("MedDLSeg").explain(node, "one", "liver", ExplainConfig(method="grad-cam"), segmentConfig=EXACT)
    assert found.GetName() == f"{node.GetName()} grad-cam of liver"
    assert volume_from_node(found).grid.same_as(volume_from_node(node).grid)
    assert found.GetTransformNodeID() == node.GetTransformNodeID()
    low, high = found.GetDisplayNode().GetWindowLevelMin(), found.GetDisplayNode().GetWindowLevelMax()
    assert (low, high) == (0.0, 1.0) and slicer.util.arrayFromVolume(found).max() <= 1
    report = verbs.report_of(found)
    assert report["subject"] == "network" and "network of 'one'" in report["reading"]


def test_a_segmentation_with_uncertainty_has_both_nodes(node):
    found = logic("MedDLSeg").segmentWithUncertainty(node, "one", EXACT, uncertainty=UncertaintyConfig(runs=3))
    segmentation = found.GetNodeReference(RESULT_ROLE)
    assert segmentation.IsA("vtkMRMLSegmentationNode") and segmentation.GetSegmentation().GetNumberOfSegments() > 0
    assert found.GetName() == f"{segmentation.GetName()} uncertainty"
    assert 0 < slicer.util.arrayFromVolume(found).max() <= np.log(3) + 1e-5
    assert {row["structure"] for row in verbs.report_of(found)["structures"]} <= {"liver", "spleen"}


@pytest.mark.slow
def test_super_resolution_and_registration_have_maps_too(node):
    from meddl.core.config import RegisterConfig, SuperResolveConfig

    found = logic("MedDLSuperRes").uncertainty(node, SuperResolveConfig(method="cubic"),
                                               uncertainty=UncertaintyConfig(runs=2))
    sharp = found.GetNodeReference(RESULT_ROLE)
    assert found.GetImageData().GetDimensions() == sharp.GetImageData().GetDimensions()
    assert found.GetNodeReference(RESIDUAL_ROLE).GetImageData().GetDimensions() == node.GetImageData().GetDimensions()
    other = blobs((24, 22, 20), AFFINE)
    moving = add_volume(other.data[0], other.affine + np.pad(np.ones((3, 1)), ((0, 1), (3, 0))))
    spread = logic("MedDLRegister").uncertainty(node, moving, RegisterConfig(levels_mm=(4.0,)),
                                                uncertainty=UncertaintyConfig(runs=2))
    assert volume_from_node(spread).grid.same_as(volume_from_node(node).grid)
    assert "mm" in verbs.report_of(spread)["reading"]


@pytest.fixture
def section(node):
    widget = opened("MedDLSeg").widget
    widget.updateModels()
    widget.ui.inputSelector.setCurrentNode(node)
    widget._parameterNode.model = "one"
    widget.explain.button.collapsed = False
    return widget.explain


def test_the_section_of_the_panel_runs_shows_and_says_how_to_read(node, section):
    section.structureLineEdit.text = "liver"
    section.methodComboBox.currentIndex = 1
    assert section.method == "grad-cam" and not section.runsSpinBox.isVisibleTo(section.button)
    section.ui.applyButton.click()
    assert section.run.running and section.ui.applyButton.text == "Cancel"
    assert not section.finishButton.isVisibleTo(section.button)
    wait_for(section)
    assert "network of 'one'" in section.readingLabel.text and section.ui.applyButton.text == "Explain"
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    found = slicer.mrmlScene.GetNodeByID(composite[0].GetForegroundVolumeID())
    assert composite[0].GetBackgroundVolumeID() == node.GetID() and "grad-cam" in found.GetName()


@pytest.mark.slow
def test_an_occlusion_offers_to_finish_while_it_runs(section):
    section.methodComboBox.currentIndex = 0
    section.structureLineEdit.text = "spleen"
    section.ui.applyButton.click()
    assert section.finishButton.isVisibleTo(section.button)
    section.finishButton.click()
    wait_for(section)
    assert "spleen" in section.readingLabel.text and not section.finishButton.isVisibleTo(section.button)


@pytest.mark.parametrize(("text", "reason"), [("", "Name the structure"), ("kidney", "no structure 'kidney'")])
def test_a_structure_that_the_model_lacks_is_said_before_a_run(section, text, reason):
    section.methodComboBox.currentIndex = 0
    section.structureLineEdit.text = text
    assert reason in section.ui.stageLabel.text and not section.ui.applyButton.enabled
    section.methodComboBox.currentIndex = 2  # uncertainty is of all structures
    assert section.ui.applyButton.enabled


def test_choices_are_kept_with_the_scene(section):
    section.methodComboBox.currentIndex = 1
    section.structureLineEdit.text = "liver"
    node = section._parameterNode
    section.setParameterNode(None)
    section.setParameterNode(node)
    assert section.method == "grad-cam" and section.structureLineEdit.text == "liver"


def wait_for(section) -> None:
    for _ in range(600):
        process_events(seconds=0.1)
        if not section.run.running:
            return

"""MedDLSuperRes, clicked through, with the real interpolation in the real worker."""

import sys

import numpy as np
import pytest
import slicer
from bridge_scene import (
    add_linear_transform,
    add_volume,
    add_warp,
    centered,
    finished,
    opened,
    phantom,
    process_events,
    scene_contents,
    turned,
)
from superres_panel import THICK, thick, widget  # noqa: F401

import host
from meddl.core.config import SuperResolveConfig
from meddl_slicer.mrml import nodes
from meddl_slicer.panels.config_form import config_to_text
from meddl_slicer.panels.options import choices
from meddl_slicer.runs import verbs


def corners_mm(node):
    volume = nodes.volume_from_node(node)
    shape = np.array(volume.shape)
    ends = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * shape - 0.5
    return volume.grid.points_mm(ends)


def test_apply_makes_small_voxels_over_the_same_field_of_view(widget, thick):
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    sharp = widget.ui.outputSelector.currentNode()
    assert sharp.GetName() == "thick sharp"
    assert sharp.GetSpacing() == pytest.approx((1, 1, 1))
    assert np.allclose(corners_mm(sharp), corners_mm(thick))
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == thick.GetID()
    assert composite.GetForegroundVolumeID() == sharp.GetID()
    assert composite.GetForegroundOpacity() == 1


def test_the_wished_voxel_size_is_reached(widget):
    widget.ui.targetSpacingSpinBox.value = 2.0
    widget.ui.applyButton.click()
    finished(widget)
    assert widget.ui.outputSelector.currentNode().GetSpacing() == pytest.approx((1, 1, 2))


def test_an_automatic_voxel_size_is_told_in_words(widget):
    assert widget.ui.targetSpacingSpinBox.value == 0
    assert widget.ui.targetSpacingSpinBox.text == "Smallest of the volume"


def test_the_result_lies_under_the_transform_of_its_source(thick):
    transform = add_linear_transform(turned(40))
    thick.SetAndObserveTransformNodeID(transform.GetID())
    opened("MedDLSuperRes")
    sharp = slicer.util.getModuleLogic("MedDLSuperRes").superResolve(thick)
    assert sharp.GetTransformNodeID() == transform.GetID()
    assert np.allclose(corners_mm(sharp), corners_mm(thick))


def test_under_a_nonlinear_transform_the_result_lies_in_the_world(thick):
    thick.SetAndObserveTransformNodeID(add_warp((5.0, 3.0, 0.0), 5.0).GetID())
    opened("MedDLSuperRes")
    sharp = slicer.util.getModuleLogic("MedDLSuperRes").superResolve(thick)
    assert sharp.GetTransformNodeID() is None
    assert np.allclose(corners_mm(sharp), corners_mm(thick), atol=1e-3)


def test_the_input_is_never_the_output(widget, thick):
    widget.ui.outputSelector.setCurrentNode(thick)
    assert not widget.ui.applyButton.enabled
    assert "overwrite" in widget.ui.applyButton.toolTip


def test_the_input_is_unchanged(widget, thick):
    before = slicer.util.arrayFromVolume(thick).copy()
    widget.ui.applyButton.click()
    finished(widget)
    assert np.array_equal(slicer.util.arrayFromVolume(thick), before)


def test_an_impossible_target_is_told_and_the_scene_stays(thick):
    opened("MedDLSuperRes")
    before = scene_contents()
    with pytest.raises(ValueError):
        slicer.util.getModuleLogic("MedDLSuperRes").superResolve(
            thick, config=SuperResolveConfig(target_spacing_mm=-1.0))
    assert scene_contents() == before


def test_the_methods_are_offered_from_instant_to_strong_each_with_a_sentence(widget):
    box = widget.ui.methodComboBox
    names = [box.itemText(index) for index in range(box.count)]
    assert names[:4] == ["Cubic", "Back-projection", "Network", "Self-training"]
    told = set()
    for name in names:
        box.currentText = name
        told.add(widget.ui.methodTextLabel.text)
    assert len(told) == len(names) and "" not in told
    assert widget.ui.methodComboBox.count == len(choices(SuperResolveConfig)["method"])


@pytest.mark.parametrize("name", ["Cubic", "Back-projection"])
def test_a_quick_method_makes_its_volume(widget, name):
    widget.ui.methodComboBox.currentText = name
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    assert widget.ui.outputSelector.currentNode().GetSpacing() == pytest.approx((1, 1, 1))
    report = verbs.report_of(widget.ui.outputSelector.currentNode())
    assert report["method"] == name.lower() == widget.config().method
    text = widget.ui.reportBrowser.plainText
    assert name in text and "Residual to the measured slices" in text


def test_the_volume_is_looked_at_before_a_run_without_a_pause(widget, thick):
    header = widget.ui.detectedLabel.text
    assert "Axis k" in header and "4.00 mm apart" in header and "4.0 ×" in header
    process_events(lambda: "Noise (SD) about" in widget.ui.detectedLabel.text)
    widget.ui.axisComboBox.currentText = "i"
    assert "Noise" not in widget.ui.detectedLabel.text
    process_events(lambda: "Noise (SD) about" in widget.ui.detectedLabel.text)
    assert "Axis i" in widget.ui.detectedLabel.text
    widget.ui.inputSelector.setCurrentNode(None)
    assert widget.ui.detectedLabel.text == ""


def test_a_factor_and_a_voxel_size_exclude_each_other(widget):
    widget.ui.factorSpinBox.value = 2
    assert widget.config().factor == 2
    widget.ui.targetSpacingSpinBox.value = 1.5
    assert (widget.config().factor, widget.config().target_spacing_mm) == (None, 1.5)
    assert widget.ui.factorSpinBox.text == "Automatic"
    widget.ui.factorSpinBox.value = 2
    assert widget.ui.targetSpacingSpinBox.value == 0
    widget.ui.applyButton.click()
    finished(widget)
    assert widget.ui.outputSelector.currentNode().GetSpacing() == pytest.approx((1, 1, 2))


def test_what_cannot_be_is_told_before_apply(widget, thick):
    widget.ui.targetSpacingSpinBox.value = 5.0
    assert not widget.ui.applyButton.enabled and "already as small" in widget.ui.stageLabel.text
    widget.ui.factorSpinBox.value = 0.5
    assert not widget.ui.applyButton.enabled and "above 1" in widget.ui.stageLabel.text
    widget.ui.factorSpinBox.value = 0
    assert widget.ui.applyButton.enabled
    widget.ui.referenceSelector.setCurrentNode(thick)
    assert not widget.ui.applyButton.enabled and "reference" in widget.ui.stageLabel.text


def test_an_isotropic_volume_says_why_nothing_would_change(widget):
    cube = add_volume(phantom(), centered(np.eye(3)), "cube")
    widget.ui.inputSelector.setCurrentNode(cube)
    assert not widget.ui.applyButton.enabled and "nothing would change" in widget.ui.applyButton.toolTip
    for method, ready in (("3D isotropic (EDSR)", True), ("Denoise", True), ("Cubic", False)):
        widget.ui.methodComboBox.currentText = method
        assert widget.ui.applyButton.enabled == ready
    widget.ui.targetSpacingSpinBox.value = 0.5
    assert widget.ui.applyButton.enabled


def test_a_larger_result_is_expected_to_take_longer(widget):
    def seconds():
        process_events(lambda: "GB" in widget.ui.statusLabel.text)
        return widget.estimate()[0]

    cubic = seconds()
    widget.ui.targetSpacingSpinBox.value = 0.1
    assert seconds() > 2 * cubic
    widget.ui.targetSpacingSpinBox.value = widget.ui.targetSpacingSpinBox.minimum
    widget.ui.methodComboBox.currentText = "Self-training"
    assert seconds() > 60 and "About 6" in widget.ui.statusLabel.text


def test_with_a_reference_the_report_says_how_close_the_result_is(widget, thick):
    sharp = slicer.util.getModuleLogic("MedDLSuperRes").superResolve(thick)
    widget.ui.referenceSelector.setCurrentNode(sharp)
    widget.ui.outputSelector.setCurrentNode(None)
    widget.ui.methodComboBox.currentText = "Back-projection"
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    assert "PSNR" in widget.ui.reportBrowser.plainText and "SSIM" in widget.ui.reportBrowser.plainText


def test_what_an_adversarial_network_adds_is_called_invented(widget, thick, monkeypatch):
    assert widget.ui.inventedLabel.isHidden() and widget.ui.strengthSlider.isHidden()
    widget.ui.methodComboBox.currentText = "SRGAN"
    assert "not measured" in widget.ui.inventedLabel.text and not widget.ui.inventedLabel.isHidden()
    widget.ui.strengthSlider.value = 0.6
    assert widget.config().adversarial_strength == pytest.approx(0.6)
    monkeypatch.setattr(verbs, "SUPER_RESOLVE", "bridge_targets:inventing")
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    node = widget.ui.outputSelector.currentNode()
    difference = node.GetNodeReference(verbs.INVENTED_ROLE)
    assert node.GetName() == "thick SRGAN (texture invented)" and difference.GetName() == f"{node.GetName()} difference"
    assert np.allclose(corners_mm(difference), corners_mm(thick))
    assert "1.50 × the noise" in widget.ui.reportBrowser.plainText
    monkeypatch.undo()
    widget.ui.methodComboBox.currentText = "Cubic"
    assert widget.ui.outputSelector.currentNode() is None
    widget.ui.outputSelector.setCurrentNode(node)
    widget.ui.applyButton.click()
    finished(widget)
    assert node.GetNodeReference(verbs.INVENTED_ROLE) is None and not slicer.mrmlScene.IsNodePresent(difference)


def test_denoising_keeps_the_voxels_and_says_so(widget):
    widget.ui.methodComboBox.currentText = "Denoise"
    widget.ui.advancedCollapsibleButton.collapsed = False
    rows = (widget.ui.factorSpinBox, widget.ui.factorLabel, widget.ui.axisComboBox, widget.ui.thicknessSpinBox)
    assert [row.isHidden() for row in rows] == [True] * len(rows), widget.form._config
    widget.ui.methodComboBox.currentText = "Cubic"
    assert not widget.ui.factorSpinBox.isHidden()


def test_an_axis_is_offered_where_it_has_an_effect(widget, thick):
    ui = widget.ui
    assert not ui.axisComboBox.isHidden() and ui.axisComboBox.itemText(0) == "Thickest"
    ui.methodComboBox.currentText = "SRCNN"  # halves the voxels along every axis
    assert ui.axisComboBox.isHidden() and ui.axisLabel.isHidden()
    ui.targetSpacingSpinBox.value = 0.5  # of the axes that are coarser, or of one
    assert not ui.axisComboBox.isHidden() and ui.axisComboBox.itemText(0) == "All that are coarser"
    ui.axisComboBox.currentIndex = 3
    assert widget.config().axis == 2 and ui.axisComboBox.currentText == "k"


@pytest.mark.slow
def test_the_modules_own_test_passes(clean):
    loaded = opened("MedDLSuperRes")
    vars(sys.modules[type(loaded.widget).__module__])["MedDLSuperResTest"]().runTest()
    assert not host.errors()


@pytest.fixture
def slow(widget, thick, monkeypatch):
    """A run of a second or more that shows a slice, begun."""
    thick.CreateDefaultDisplayNodes()
    monkeypatch.setattr(verbs, "SUPER_RESOLVE", "bridge_targets:slow_sharpen")
    process_events(lambda: "Noise (SD) about" in widget.ui.detectedLabel.text)
    before = scene_contents()
    widget.ui.applyButton.click()
    process_events(lambda: not widget.ui.previewLabel.isHidden())
    return before


def test_a_slice_is_seen_while_it_is_made_and_vanishes(slow, widget):
    assert scene_contents() == slow
    finished(widget)
    assert widget.ui.previewLabel.isHidden() and not host.errors()
    assert widget.ui.outputSelector.currentNode() is not None


def test_cancel_in_mid_run_leaves_the_scene_and_apply_works_again(slow, widget):
    widget.ui.applyButton.click()
    process_events(seconds=0.5)
    assert scene_contents() == slow and widget.ui.previewLabel.isHidden()
    widget.ui.applyButton.click()
    finished(widget)
    assert widget.ui.outputSelector.currentNode() is not None


def test_the_scene_closed_in_mid_run_stays_empty_and_apply_works_again(slow, widget):
    host.clear_scene()
    process_events(seconds=0.5)
    assert not widget.run.running and widget.ui.previewLabel.isHidden()
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    add_volume(phantom(), centered(THICK), "another").CreateDefaultDisplayNodes()
    widget.initializeParameterNode()
    widget.ui.applyButton.click()
    finished(widget)
    assert widget.ui.outputSelector.currentNode().GetName() == "another sharp"


def test_stop_and_keep_makes_the_volume_with_the_best_network_so_far(widget):
    assert widget.ui.stopEarlyButton.isHidden()
    values = np.random.default_rng(0).random((40, 40, 10)).astype(np.float32)
    widget.ui.inputSelector.setCurrentNode(add_volume(values, centered(THICK), "large"))
    config = SuperResolveConfig(method="self-training", factor=3.0, seconds=600.0)
    widget._parameterNode.options = config_to_text(config)
    widget.ui.applyButton.click()
    process_events(lambda: "Learning" in widget.ui.stageLabel.text, limit=60.0)
    assert not widget.ui.stopEarlyButton.isHidden() and widget.ui.stopEarlyButton.enabled
    widget.ui.stopEarlyButton.click()
    assert not widget.ui.stopEarlyButton.enabled  # once is enough
    finished(widget, limit=60.0)
    assert not host.errors() and widget.ui.stopEarlyButton.isHidden()
    report = verbs.report_of(widget.ui.outputSelector.currentNode())
    assert report["method"] == "self-training" and report["training_seconds"] < 60
    assert report["held_out_psnr_db"]["after"] >= report["held_out_psnr_db"]["before"]


def test_what_does_not_learn_has_nothing_to_keep(slow, widget):
    assert widget.ui.stopEarlyButton.isHidden()
    finished(widget)


def test_before_and_after_fade_into_each_other(widget, thick):
    assert widget.ui.resultsCollapsibleButton.isHidden()
    widget.ui.applyButton.click()
    finished(widget)
    assert not widget.ui.resultsCollapsibleButton.isHidden()
    for percent in (0, 30, 100):
        widget.ui.fadeSlider.value = percent
        composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
        assert composite.GetForegroundOpacity() == percent / 100
        assert composite.GetBackgroundVolumeID() == thick.GetID()

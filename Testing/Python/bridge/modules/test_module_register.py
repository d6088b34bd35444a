"""MedDLRegister, clicked through, with the real registration in the real worker."""

import sys

import numpy as np
import pytest
import slicer
from bridge_scene import (  # noqa: F401
    add_volume,
    add_warp,
    centered,
    finished,
    opened,
    process_events,
    scene_contents,
    turned,
)
from registration_panel import MOTION, check, from_parent, largest_error_mm, lobes, pair, widget  # noqa: F401
from sequence_nodes import SHIFTS, drifting

import host
from meddl.core.config import REGISTER_PRESETS, RegisterConfig, field_help
from meddl_slicer.mrml import nodes
from meddl_slicer.mrml.registration_nodes import companions
from meddl_slicer.mrml.sequences import browser_of
from meddl_slicer.runs import tasks, verbs


def test_apply_carries_the_moving_volume_onto_the_fixed_one(widget, pair):
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()
    node = widget.ui.outputSelector.currentNode()
    assert node.GetName() == "moving to fixed"
    assert largest_error_mm(from_parent(node), MOTION) < 1.0
    warped = widget.ui.warpedSelector.currentNode()
    assert np.array_equal(nodes.affine_of_node(warped), nodes.affine_of_node(pair[0]))
    inside = (slice(4, -4),) * 3
    difference = nodes.volume_from_node(warped).data[0][inside].astype(float) - lobes()[inside]
    assert np.abs(difference).mean() < 0.05 * np.abs(lobes()[inside]).mean()
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == pair[0].GetID()
    assert composite.GetForegroundVolumeID() == warped.GetID()


def test_a_linear_result_is_a_linear_transform(widget):
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert widget.ui.outputSelector.currentNode().IsLinear()


def test_volumes_under_transforms_are_registered_where_they_are_seen(clean):
    affine = centered(np.diag([2.0, 2.0, 2.0]), (48, 44, 40))
    fixed, moving = add_volume(lobes(), affine, "fixed"), add_volume(lobes(), affine, "moving")
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(MOTION))
    moving.SetAndObserveTransformNodeID(parent.GetID())
    opened("MedDLRegister")
    node = slicer.util.getModuleLogic("MedDLRegister").register(fixed, moving)
    assert largest_error_mm(from_parent(node), MOTION) < 1.0
    assert moving.GetTransformNodeID() == parent.GetID()
    assert node.GetNodeReference(verbs.WARPED_ROLE) is None


def test_the_same_volume_twice_is_refused_with_the_reason(widget, pair):
    widget.ui.movingSelector.setCurrentNode(pair[0])
    assert not widget.ui.applyButton.enabled
    assert "are the same" in widget.ui.applyButton.toolTip


def test_the_warped_volume_never_overwrites_an_input(widget, pair):
    widget.ui.warpedSelector.setCurrentNode(pair[1])
    assert not widget.ui.applyButton.enabled
    assert "overwrite" in widget.ui.applyButton.toolTip
    widget.ui.warpCheckBox.checked = False
    assert widget.ui.applyButton.enabled


def test_a_transform_that_moves_an_input_is_no_output(widget, pair):
    outer = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "outer")
    inner = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "inner")
    inner.SetAndObserveTransformNodeID(outer.GetID())
    pair[1].SetAndObserveTransformNodeID(inner.GetID())
    widget.ui.outputSelector.setCurrentNode(outer)
    assert not widget.ui.applyButton.enabled
    assert "already moves an input" in widget.ui.applyButton.toolTip
    widget.ui.outputSelector.setCurrentNode(None)
    assert widget.ui.applyButton.enabled


@pytest.mark.parametrize("name", REGISTER_PRESETS)
def test_a_preset_fills_the_advanced_values(widget, name):
    widget.ui.presetComboBox.currentText = name
    assert widget.config() == widget.form.config == REGISTER_PRESETS[name]
    assert advanced(widget, "transform_type").currentText.lower() == REGISTER_PRESETS[name].transform_type
    assert advanced(widget, "iterations").value == REGISTER_PRESETS[name].iterations


def test_a_change_under_advanced_says_custom_and_back_says_the_preset(widget):
    widget.ui.presetComboBox.currentText = "Affine"
    steps = advanced(widget, "iterations")
    steps.value += 5
    assert widget.ui.presetComboBox.currentText == "Custom"
    assert widget.config().iterations == REGISTER_PRESETS["Affine"].iterations + 5
    widget.ui.presetComboBox.currentIndex = widget.ui.presetComboBox.count - 1
    assert widget.config().transform == "affine"
    steps.value -= 5
    assert widget.ui.presetComboBox.currentText == "Affine"


def test_the_chosen_options_stay_with_the_scene(widget):
    widget.ui.presetComboBox.currentText = "Affine"
    advanced(widget, "levels_mm").text = "6, 3"
    advanced(widget, "levels_mm").editingFinished.emit()
    widget.setParameterNode(None)
    widget.initializeParameterNode()
    assert widget.config().levels_mm == (6.0, 3.0)
    assert advanced(widget, "levels_mm").text == "6, 3"


def series_panel(widget):
    """The panel with three frames that drift, chosen as a time series."""
    source = drifting()
    widget.ui.presetComboBox.currentText = "Time series"
    return source


def test_a_time_series_asks_for_a_sequence_instead_of_two_volumes(widget, pair):
    rows = (widget.ui.sequenceSelector, widget.ui.referenceComboBox, widget.ui.motionSelector)
    of_pairs = (widget.ui.fixedSelector, widget.ui.movingSelector, widget.ui.outputSelector, widget.ui.warpedSelector,
                widget.ui.moreWidget, widget.ui.moreLabel, widget.ui.displayWidget, widget.ui.helpCollapsibleButton)
    assert all(row.isHidden() for row in rows) and not any(row.isHidden() for row in of_pairs)
    widget.ui.presetComboBox.currentText = "Time series"
    assert not any(row.isHidden() for row in rows)
    assert all(row.isHidden() for row in of_pairs)
    assert not widget.ui.applyButton.enabled and "Choose a sequence" in widget.ui.stageLabel.text
    source = drifting()
    widget.ui.sequenceSelector.setCurrentNode(source)
    assert widget.ui.applyButton.enabled and widget.chosenCount() == 2
    widget.ui.correctedSelector.setCurrentNode(source)
    assert not widget.ui.applyButton.enabled and "overwrite the sequence" in widget.ui.stageLabel.text
    advanced(widget, "iterations").value += 5
    assert widget.ui.presetComboBox.currentText == "Custom" and not widget.ui.sequenceSelector.isHidden()
    widget.ui.presetComboBox.currentText = "Rigid"
    assert all(row.isHidden() for row in rows) and not any(row.isHidden() for row in of_pairs)
    assert widget.ui.applyButton.enabled


def test_custom_opens_the_values_that_can_be_changed(widget):
    assert widget.ui.advancedCollapsibleButton.collapsed
    widget.ui.presetComboBox.currentText = "Custom"
    assert not widget.ui.advancedCollapsibleButton.collapsed


def test_the_motion_of_a_sequence_is_found_in_the_panel(widget):
    source = series_panel(widget)
    assert widget.ui.sequenceSelector.currentNode() is source
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()
    motion, corrected = widget.ui.motionSelector.currentNode(), widget.ui.correctedSelector.currentNode()
    assert motion.GetNodeReference(verbs.WARPED_ROLE) is corrected
    assert motion.GetNumberOfDataNodes() == corrected.GetNumberOfDataNodes() == 3
    for number, shift in enumerate(SHIFTS):
        assert motion.GetNthDataNode(number).GetTransformFromParent().TransformPoint(0.0, 0.0, 0.0) == pytest.approx(
            shift, abs=0.3)
    text = widget.ui.reportBrowser.plainText
    assert "Frames" in text and "Standard deviation over time" in text and "before" in text
    assert widget.ui.outputSelector.currentNode() is None
    widget.ui.fadeSlider.value = 100
    browser = browser_of(source)
    assert {layer[:2] for layer in layers()} == {
        tuple(browser.GetProxyNode(node).GetID() for node in (source, corrected))}
    widget.ui.sequenceSelector.setCurrentNode(None)
    assert widget.ui.motionSelector.currentNode() is None and widget.ui.correctedSelector.currentNode() is None


def test_the_chosen_reference_reaches_the_run(widget, monkeypatch):
    asked = []
    monkeypatch.setattr(type(widget.logic), "registerSequence", lambda self, node, **more: asked.append((node, more)))
    source = series_panel(widget)
    for name, expected in (("Mean", "mean"), ("First frame", 0)):
        widget.ui.referenceComboBox.currentText = name
        widget.startRun(None, None)
        assert asked[-1][0] is source and asked[-1][1]["reference"] == expected
        assert asked[-1][1]["config"] == REGISTER_PRESETS["Time series"]


def test_cancel_of_a_time_series_leaves_the_scene_as_it_was(widget):
    series_panel(widget)
    before = scene_contents()
    widget.ui.applyButton.click()
    process_events(lambda: widget.ui.progressBar.value > 0)
    widget.ui.applyButton.click()
    process_events(seconds=0.3)
    assert not widget.run.running and scene_contents() == before and not host.errors()


def test_every_option_has_its_help(widget):
    assert all(advanced(widget, name).toolTip == text for name, text in field_help(RegisterConfig).items())


def advanced(widget, name):
    import qt

    return widget.ui.advancedCollapsibleButton.findChild(qt.QWidget, f"{name}Widget")


def layers():
    return [(view.GetBackgroundVolumeID(), view.GetForegroundVolumeID(), view.GetForegroundOpacity())
            for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")]


@pytest.fixture
def slow(widget, pair, monkeypatch):
    """A run of a second or more that shows its alignment, its beginning in the slice views.

    Returns the scene's contents and the views' layers before it.
    """
    for node in pair:
        node.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=pair[1], foreground=pair[0], foregroundOpacity=0.25)
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:slow_shift")
    before = scene_contents(), layers()
    widget.ui.applyButton.click()
    process_events(preview_volumes)
    return before


def preview_volumes():
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in volumes if node.GetName() == "MedDL preview"]


def test_the_alignment_is_seen_while_it_is_found_and_nothing_of_it_remains(slow, widget, pair):
    (shown,) = preview_volumes()
    assert all(layer == (pair[0].GetID(), shown.GetID(), 0.5) for layer in layers())
    first = from_parent(shown.GetParentTransformNode())[0, 3]
    process_events(lambda: from_parent(shown.GetParentTransformNode())[0, 3] > first)
    process_events(lambda: not shown.GetParentTransformNode().IsLinear())
    assert pair[1].GetTransformNodeID() is None
    assert widget.ui.warpedSelector.currentNode() is None and shown.GetHideFromEditors()
    finished(widget)
    assert not preview_volumes() and not host.errors()
    added = {entry.split()[0] for entry in set(scene_contents()) - set(slow[0])}
    assert widget.ui.outputSelector.currentNode().GetID() in added
    assert len([name for name in added if "TransformNode" in name]) == 1


def test_cancel_in_mid_run_takes_the_preview_away(slow, widget):
    widget.ui.applyButton.click()
    process_events(seconds=0.5)
    assert (scene_contents(), layers()) == slow
    widget.ui.applyButton.click()
    process_events(preview_volumes)


def test_a_failure_in_mid_run_takes_the_preview_away(slow, widget):
    tasks.worker()._process.kill()
    finished(widget)
    assert (scene_contents(), layers()) == slow
    assert host.errors()


def test_the_scene_closed_in_mid_run_is_empty_and_apply_works_again(slow, widget, monkeypatch):
    host.clear_scene()
    process_events(seconds=0.5)
    assert not widget.run.running and not preview_volumes()
    assert "MedDL preview" not in " ".join(scene_contents())
    affine = centered(np.diag([2.0, 2.0, 2.0]), (48, 44, 40))
    add_volume(lobes(), affine, "fixed"), add_volume(lobes(), affine, "moving")
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    widget.initializeParameterNode()
    widget.ui.applyButton.click()
    finished(widget)
    assert widget.ui.outputSelector.currentNode() is not None


def test_after_the_run_the_report_is_read_and_the_volumes_fade_into_each_other(widget, pair):
    assert widget.ui.resultsCollapsibleButton.isHidden()
    widget.ui.applyButton.click()
    finished(widget, 120)
    text = widget.ui.reportBrowser.plainText
    assert "before" in text and "Similarity" in text and "degrees" in text
    assert not widget.ui.resultsCollapsibleButton.isHidden()
    for percent in (0, 70, 100):
        widget.ui.fadeSlider.value = percent
        assert {opacity for _, _, opacity in layers()} == {percent / 100}
    slicer.mrmlScene.RemoveNode(widget.ui.warpedSelector.currentNode())
    widget.ui.fadeSlider.value = 10


def test_the_reason_stands_under_the_button(widget, pair):
    widget.ui.movingSelector.setCurrentNode(pair[0])
    assert "are the same" in widget.ui.stageLabel.text
    widget.ui.movingSelector.setCurrentNode(pair[1])
    assert "are the same" not in widget.ui.stageLabel.text


def test_two_volumes_of_the_scene_are_chosen_to_begin_with(pair):
    widget = opened("MedDLRegister").widget
    widget.initializeParameterNode()
    chosen = {widget.ui.fixedSelector.currentNode(), widget.ui.movingSelector.currentNode()}
    assert chosen == set(pair)
    assert widget.ui.applyButton.enabled


def test_everything_that_can_be_made_is_made(widget, pair):
    check(widget, "inverse", "jacobian", "checkerboard", "difference", "place", "grid")
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()
    node = widget.ui.outputSelector.currentNode()
    made = {companion.GetName() for companion in companions(node)}
    assert made == {"moving on fixed", "fixed to moving", "moving to fixed Jacobian", "moving and fixed checkerboard",
                    "moving minus fixed"}
    assert pair[1].GetTransformNodeID() == node.GetID()
    assert node.GetDisplayNode().GetVisibility2D()


def test_a_moving_volume_under_its_own_result_is_registered_anew(widget, pair, monkeypatch):
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    check(widget, "place")
    widget.ui.applyButton.click()
    finished(widget)
    node = widget.ui.outputSelector.currentNode()
    first = from_parent(node)
    assert pair[1].GetTransformNodeID() == node.GetID() and widget.ui.applyButton.enabled
    widget.ui.applyButton.click()
    finished(widget)
    assert not host.errors()
    assert widget.ui.outputSelector.currentNode() is node and np.allclose(from_parent(node), first)
    assert pair[1].GetTransformNodeID() == node.GetID()


def test_cancel_leaves_a_moving_volume_under_its_earlier_result(widget, pair, monkeypatch):
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    check(widget, "place")
    widget.ui.applyButton.click()
    finished(widget)
    node = widget.ui.outputSelector.currentNode()
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:slow_shift")
    widget.ui.applyButton.click()
    process_events(lambda: widget.ui.progressBar.value > 0)
    widget.ui.applyButton.click()
    process_events(seconds=0.5)
    assert not widget.run.running and pair[1].GetTransformNodeID() == node.GetID()


@pytest.mark.slow
def test_the_modules_own_test_passes(clean):
    loaded = opened("MedDLRegister")
    vars(sys.modules[type(loaded.widget).__module__])["MedDLRegisterTest"]().runTest()
    assert not host.errors()

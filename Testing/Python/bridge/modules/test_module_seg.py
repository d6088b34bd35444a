"""MedDLSeg, clicked through: select, Apply, progress, Cancel, result; and what may go wrong in mid-run."""

import os

import bridge_targets
import numpy as np
import pytest
import slicer
from bridge_cards import install_card
from bridge_scene import (
    add_linear_transform,
    add_volume,
    centered,
    finished,
    longest_pause,
    opened,
    phantom,
    process_events,
    running,
    scene_contents,
    turned,
)
from nnunet_folder import write_nnunet
from segmentation_panel import choose, head, segmentations, slow, thresholding, widget  # noqa: F401

import host
from meddl.core.config import SegmentConfig
from meddl.models.store.store import ModelStore
from meddl_slicer.runs import sample_data, tasks, verbs


def test_the_panel_says_what_it_is(widget):
    module = slicer.modules.meddlseg
    assert module.title == "MedDL Segmentation"
    assert module.categories == ["Segmentation"]
    assert "For research only" in module.helpText
    assert widget.ui.advancedCollapsibleButton.collapsed
    assert widget.ui.applyButton.text == "Apply"


def test_loading_the_module_loads_no_torch():
    import subprocess
    import sys

    code = ("import sys; sys.path[:0] = ['Testing/Python', 'MedDLLib']; import host; host.install();"
            "host.load_module('MedDLSeg').widget; sys.exit('torch' in sys.modules or 'SimpleITK' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], cwd=host.repository, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_apply_makes_a_segmentation_over_the_volume(widget, head):
    widget.ui.applyButton.click()
    finished(widget)
    (node,) = segmentations()
    assert node.GetName() == "head segmentation"
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    assert widget.ui.outputSelector.currentNode() is node
    assert widget.ui.stageLabel.text.startswith("Done in ")
    assert widget.ui.resultsTable.model().rowCount() == 4
    assert not host.errors()


def test_without_a_volume_apply_is_off_and_says_why(widget, head):
    widget.ui.inputSelector.setCurrentNode(None)
    assert not widget.ui.applyButton.enabled
    assert widget.ui.applyButton.toolTip == "Choose a volume."
    widget.ui.inputSelector.setCurrentNode(head)
    assert widget.ui.applyButton.enabled
    assert widget.ui.applyButton.toolTip == "Segment the volume"


def test_a_volume_without_an_image_is_not_accepted(widget):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing in it")
    widget.ui.inputSelector.setCurrentNode(empty)
    assert not widget.ui.applyButton.enabled
    assert "has no image" in widget.ui.applyButton.toolTip


def test_before_a_run_device_license_time_and_memory_are_told(widget):
    process_events(lambda: "About 7 s and 1.5 GB" in widget.ui.statusLabel.text)
    text = widget.ui.statusLabel.text
    assert "Device: " in text
    assert "License: Apache-2.0" in text
    assert "estimate" in widget.ui.statusLabel.toolTip


def test_after_a_run_the_estimate_is_what_that_one_took(widget):
    process_events(lambda: "About 7 s" in widget.ui.statusLabel.text)
    widget.ui.applyButton.click()
    finished(widget)
    assert "About 1 s and" in widget.ui.statusLabel.text


def test_a_region_reaches_the_run_and_needs_a_size(widget, head, monkeypatch):
    seen, real = [], tasks.run
    monkeypatch.setattr(tasks, "run", lambda *words, roi=None, **more: seen.append(roi) or real(*words, **more))
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    widget.ui.regionSelector.setCurrentNode(region)
    assert widget.logic.getParameterNode().region is region
    assert not widget.ui.applyButton.enabled and "no size" in widget.ui.stageLabel.text
    region.SetCenter(1.0, 2.0, 3.0)
    region.SetSize(40.0, 30.0, 20.0)
    widget.ui.applyButton.click()
    finished(widget)
    expected = np.diag([40.0, 30.0, 20.0, 1.0])
    expected[:3, 3] = 1, 2, 3
    assert np.allclose(seen[-1], expected)
    widget.ui.regionSelector.setCurrentNode(None)
    widget.ui.applyButton.click()
    finished(widget)
    assert seen[-1] is None


def test_chosen_structures_reach_the_run_and_unknown_ones_are_told(widget, thresholding, monkeypatch):
    install_card(thresholding, "borrowed")
    ModelStore().accept_license("borrowed")
    widget.updateModels()
    choose(widget, "borrowed")
    widget.ui.structuresLineEdit.text = "tail"
    widget.ui.structuresLineEdit.editingFinished.emit()
    assert not widget.ui.applyButton.enabled
    assert "no structure 'tail'" in widget.ui.applyButton.toolTip
    widget.ui.structuresLineEdit.text = "DIM"
    widget.ui.structuresLineEdit.editingFinished.emit()
    configs = []
    monkeypatch.setattr(verbs, "segment_node", lambda *args, **more: configs.append(more.get("config", args[2])))
    assert widget.ui.applyButton.enabled
    widget.startRun(None, None)
    assert configs[0].structures == ("dim",)
    assert "dim" in widget.ui.structuresLineEdit.toolTip


def test_options_of_imported_models_reach_their_runs_alone(widget, thresholding, monkeypatch):
    widget.ui.advancedCollapsibleButton.collapsed = False
    assert widget.ui.importedGroupBox.isHidden() and not widget.ui.contrastAdaptationCheckBox.isHidden()
    widget._parameterNode.importedOptions = '{"float32": true, "overlap": 0.25, "mirror_axes": 0}'
    assert not widget._config().float32
    ModelStore().import_model(write_nnunet(thresholding / "model"), identifier="foreign")
    widget.updateModels()
    choose(widget, "foreign")
    assert not widget.ui.importedGroupBox.isHidden() and widget.ui.contrastAdaptationCheckBox.isHidden()
    config = widget._config()
    assert (config.float32, config.overlap, config.mirror_axes, config.skip_empty) == (True, 0.25, 0, False)
    group = widget.ui.importedGroupBox
    skip, half = group.findChild("QCheckBox", "skip_emptyWidget"), group.findChild("QDoubleSpinBox", "overlapWidget")
    assert half.value == 0.25
    skip.checked = True
    half.value = 0
    assert widget._config().skip_empty and widget._config().overlap is None
    assert "skip_empty" in widget._parameterNode.importedOptions


def test_what_is_found_is_shown_during_the_run_and_nothing_of_it_remains(widget, head, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold_with_previews")
    view = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    before = {line for line in scene_contents() if "preview" in line.lower()}
    widget.ui.applyButton.click()
    process_events(lambda: view.GetLabelVolumeID() is not None)
    labels = slicer.mrmlScene.GetNodeByID(view.GetLabelVolumeID())
    assert set(np.unique(slicer.util.arrayFromVolume(labels))) == {0, 1, 17, 53}
    assert labels.GetHideFromEditors() and not labels.GetSaveWithScene()
    assert view.GetBackgroundVolumeID() == head.GetID()
    finished(widget)
    assert view.GetLabelVolumeID() is None
    assert {line for line in scene_contents() if "preview" in line.lower()} == before
    assert len(segmentations()) == 1


def test_a_cancelled_run_takes_its_preview_away_and_previews_can_be_switched_off(widget, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold_with_previews")
    view = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    widget.ui.applyButton.click()
    process_events(lambda: view.GetLabelVolumeID() is not None)
    widget.ui.applyButton.click()
    assert view.GetLabelVolumeID() is None
    widget.ui.livePreviewCheckBox.checked = False
    widget.ui.applyButton.click()
    running(widget)
    process_events(seconds=0.6)
    assert widget.run.running and view.GetLabelVolumeID() is None
    finished(widget)


def test_the_next_apply_renews_the_result_and_another_input_gets_its_own(widget, head):
    widget.ui.applyButton.click()
    finished(widget)
    widget.ui.applyButton.click()
    finished(widget)
    (first,) = segmentations()
    other = add_volume(phantom(), centered(np.eye(3)), "other")
    widget.ui.inputSelector.setCurrentNode(other)
    assert widget.ui.outputSelector.currentNode() is None
    widget.ui.applyButton.click()
    finished(widget)
    assert {node.GetName() for node in segmentations()} == {"head segmentation", "other segmentation"}
    assert first.GetNodeReference(first.GetReferenceImageGeometryReferenceRole()) is head


def test_a_chosen_output_is_filled(widget):
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    widget.ui.outputSelector.setCurrentNode(chosen)
    widget.ui.applyButton.click()
    finished(widget)
    assert segmentations() == [chosen]
    assert chosen.GetSegmentation().GetNumberOfSegments() == 3


def test_options_reach_the_run(widget):
    widget.ui.confidenceCheckBox.checked = True
    widget.ui.show3DCheckBox.checked = True
    widget.ui.applyButton.click()
    finished(widget)
    (node,) = segmentations()
    assert node.GetNodeReference(verbs.CONFIDENCE_ROLE).GetName() == "head segmentation confidence"
    assert node.GetDisplayNode().GetVisibility3D()
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")


def test_the_device_is_chosen_in_words(widget):
    box = widget.ui.deviceComboBox
    for _ in range(2):  # also when the module is entered again
        assert [box.itemText(n) for n in range(box.count)] == ["Automatic", "CPU", "CUDA GPU", "Apple GPU"]
        widget.initializeParameterNode()
    box.currentText = "CPU"
    assert widget._parameterNode.device == "cpu"
    widget._parameterNode.device = "auto"
    assert box.currentText == "Automatic"


def test_the_modality_is_chosen_in_the_panel(widget):
    box = widget.ui.modalityComboBox
    assert [box.itemText(n) for n in range(box.count)] == ["Automatic", "CT", "MR"]
    assert widget._config().modality == "auto"
    box.currentText = "CT"
    assert widget._config().modality == "CT"
    assert "histogram" in box.toolTip


def test_the_widgets_show_the_defaults_of_the_config(widget):
    assert widget.ui.flipAveragingCheckBox.checked == SegmentConfig().flip_averaging
    assert widget.ui.contrastAdaptationCheckBox.checked == SegmentConfig().contrast_adaptation
    assert widget.ui.atlasLabelMapsSpinBox.value == SegmentConfig().atlas_label_maps
    assert widget.ui.largestComponentCheckBox.checked == SegmentConfig().largest_component
    assert widget.ui.confidenceCheckBox.checked == SegmentConfig().confidence
    assert "mirrored" in widget.ui.flipAveragingCheckBox.toolTip


def test_an_error_of_the_run_is_shown_in_its_own_words(widget, monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:bad_threshold")
    before = scene_contents()
    widget.ui.applyButton.click()
    finished(widget)
    assert scene_contents() == before
    assert [dialog.text for dialog in host.errors()] == ["The volume is empty. Load another one."]
    assert widget.ui.applyButton.enabled


def test_missing_packages_are_asked_for_at_apply_and_never_before(widget):
    assert not host.python_runs.runs
    assert not host.dialogs
    host.hide_package("safetensors")
    widget.ui.applyButton.click()  # the question is refused
    assert not widget.run.running
    assert segmentations() == []
    question = host.dialogs[0]
    assert question.title == "MedDL - Install Python Packages"
    assert "safetensors" in question.detailed_text
    assert "safetensors" in host.errors()[0].text
    host.take_unhandled()  # Slicer's own error display raises on, to the console


def test_the_choices_are_saved_with_the_scene(widget, head, tmp_path):
    widget.ui.flipAveragingCheckBox.checked = True
    parameters = widget.logic.getParameterNode()
    assert parameters.flipAveraging
    assert parameters.inputVolume is head
    assert parameters.model == "brain"


def test_the_verb_works_from_the_console(head):
    node = slicer.util.getModuleLogic("MedDLSeg").segment(head, model="brain")
    assert node.GetSegmentation().GetNumberOfSegments() == 3


def test_the_verb_without_waiting_gives_a_task_to_cancel(head, slow):
    task = slicer.util.getModuleLogic("MedDLSeg").segment(head, wait=False)
    process_events(lambda: task.progress[0] > 0)
    task.cancel()
    assert task.state == "cancelled"
    assert segmentations() == []


@pytest.mark.parametrize("directions", [np.diag([1.0, 1.0, 1.0]), np.diag([-1.0, 1.0, 3.0]),
                                        turned(25)[:3, :3] @ np.diag([-0.8, 0.9, 2.0])],
                         ids=["straight", "left-handed anisotropic", "oblique left-handed"])
def test_left_is_left_in_the_panel(directions, widget):
    affine = centered(directions)
    source = add_volume(phantom(), affine, "asymmetric")
    source.SetAndObserveTransformNodeID(add_linear_transform(turned(20, (0, 0, 9))).GetID())
    widget.ui.inputSelector.setCurrentNode(source)
    widget.ui.applyButton.click()
    finished(widget)
    (node,) = segmentations()
    expected = bridge_targets.threshold(verbs.read_node(source)[0])[0].labels
    for name, value in (("left hippocampus", 17), ("right hippocampus", 53)):
        segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, source).transpose(2, 1, 0)
        assert np.array_equal(array > 0, expected == value)


def test_the_interface_is_never_blocked_for_100_ms_in_a_run(widget, slow, head):
    def press_apply():
        widget.ui.applyButton.click()
        finished(widget)

    press_apply()  # the first Apply may start the worker
    assert longest_pause(press_apply) < 0.1
    assert len(segmentations()) == 1


def test_the_samples_are_registered_once():
    import SampleData

    opened("MedDLSeg")
    opened("MedDLSuperRes")
    names = [source.sampleName for source in slicer.modules.sampleDataSources["MedDL"]]
    assert names == list(sample_data.SAMPLES)
    assert SampleData.SampleDataLogic().sourceForSampleName("MedDLHeadT2") is not None


@pytest.mark.slow
def test_the_network_comes_by_the_same_path(clean, monkeypatch):
    """The model that ships, on the embedded head, with the panel's own worker and nothing in its place."""
    monkeypatch.setattr(verbs, "SEGMENT", "meddl_slicer.runs.remote:segment")
    if not ModelStore().is_shipped("brain"):
        pytest.skip("the model brain is not in Resources/MedDL/Models")
    head = sample_data.load("T1")
    widget = opened("MedDLSeg").widget
    widget.ui.inputSelector.setCurrentNode(head)
    widget.ui.applyButton.click()
    finished(widget, 120)
    assert not host.errors()
    node = widget.ui.outputSelector.currentNode()
    card = ModelStore().card("brain")
    segmentation = node.GetSegmentation()
    names = {segmentation.GetNthSegment(index).GetName() for index in range(segmentation.GetNumberOfSegments())}
    assert names and names <= {label.name for label in card.labels}
    assert verbs.report_of(node)["model"] == "brain"
    assert node.GetNodeReference(verbs.TABLE_ROLE).GetNumberOfRows() == len(card.labels)
    first = segmentation.GetNthSegment(0)
    assert "SCT^" in first.GetTerminology()


def test_in_developer_mode_the_module_finds_the_library_beside_its_folder():
    import subprocess
    import sys

    code = ("import sys; sys.path.insert(0, 'Testing/Python'); import host; host.install();"
            "sys.path[:] = [p for p in sys.path if not p.endswith('MedDLLib')];"
            "from host import loading, module_manager as m; m.import_file('MedDLSeg', 'MedDLSeg/MedDLSeg.py');"
            "import meddl_slicer; print(meddl_slicer.__file__)")
    done = subprocess.run([sys.executable, "-c", code], cwd=host.repository, capture_output=True, text=True,
                          check=False, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})
    assert done.returncode == 0, done.stderr
    assert str(host.repository / "MedDLLib") in done.stdout

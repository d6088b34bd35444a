"""MedDLSeg in mid-run: cancelled, reloaded, left, its scene closed, its worker killed."""

import os
import signal

import numpy as np
import slicer
from bridge_scene import (
    add_volume,
    centered,
    finished,
    opened,
    phantom,
    process_events,
    running,
    scene_contents,
)
from segmentation_panel import choose, head, segmentations, slow, thresholding, widget  # noqa: F401

import host
from meddl_slicer.panels.banner import FAILURE, note_style
from meddl_slicer.runs import tasks, verbs


def test_while_it_runs_apply_is_cancel_and_the_stage_is_told(widget, slow):
    widget.ui.applyButton.click()
    assert widget.ui.applyButton.text == "Cancel"
    running(widget)
    assert widget.ui.progressBar.isVisibleTo(widget.parent)
    assert widget.ui.stageLabel.text == "Thinking"
    widget.run._onProgress(0.5, "One stage")
    widget.run._onProgress(0.3, "Another stage")  # never back
    assert (widget.ui.progressBar.value, widget.ui.progressBar.maximum) == (500, 1000)
    assert widget.ui.stageLabel.text.startswith("Another stage")
    finished(widget)
    assert widget.ui.applyButton.text == "Apply"
    assert not widget.ui.progressBar.isVisibleTo(widget.parent)


def test_cancel_leaves_the_scene_and_the_next_apply_works(widget, slow, monkeypatch):
    before = scene_contents()
    widget.ui.applyButton.click()
    running(widget)
    widget.ui.applyButton.click()
    assert widget.ui.applyButton.text == "Apply"
    assert "cancelled" in widget.ui.stageLabel.text
    process_events(seconds=0.5)
    assert scene_contents() == before
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    widget.ui.applyButton.click()
    finished(widget)
    assert len(segmentations()) == 1
    assert not host.errors()


def test_closing_the_scene_in_mid_run_leaves_it_empty_and_the_next_apply_works(widget, slow, monkeypatch):
    widget.ui.applyButton.click()
    running(widget)
    slicer.mrmlScene.Clear(0)
    emptied = scene_contents()
    process_events(seconds=2.5)
    assert [line for line in scene_contents() if "egmentation" in line] == []
    assert not [line for line in emptied if "head" in line]
    assert widget.ui.applyButton.text == "Apply"
    assert not widget.ui.applyButton.enabled
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    head = add_volume(phantom(), centered(np.eye(3)), "second")
    widget.ui.inputSelector.setCurrentNode(head)
    assert widget.ui.applyButton.enabled
    widget.ui.applyButton.click()
    finished(widget)
    assert [node.GetName() for node in segmentations()] == ["second segmentation"]


def test_removing_the_input_in_mid_run_leaves_no_result_and_the_next_apply_works(widget, slow, head, monkeypatch):
    widget.ui.applyButton.click()
    running(widget)
    slicer.mrmlScene.RemoveNode(head)
    finished(widget)
    assert segmentations() == []
    assert "removed" in widget.ui.stageLabel.text
    assert not host.errors()
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    widget.ui.inputSelector.setCurrentNode(add_volume(phantom(), centered(np.eye(3)), "second"))
    widget.ui.applyButton.click()
    finished(widget)
    assert len(segmentations()) == 1


def test_a_killed_worker_is_told_once_and_the_next_apply_works(widget, slow, monkeypatch):
    before = scene_contents()
    widget.ui.applyButton.click()
    running(widget)
    os.kill(tasks.worker().pid, signal.SIGKILL)
    finished(widget)
    assert scene_contents() == before
    (error,) = host.errors()
    assert "worker" in error.text
    assert "failed" in widget.ui.stageLabel.text and widget.ui.stageLabel.styleSheet == note_style(FAILURE)
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    widget.ui.applyButton.click()
    assert widget.ui.stageLabel.styleSheet == ""
    finished(widget)
    assert len(segmentations()) == 1 and widget.ui.stageLabel.styleSheet == ""
    assert len(host.errors()) == 1


def test_reloading_the_module_in_mid_run_leaves_the_scene_and_the_next_apply_works(widget, slow, head, monkeypatch):
    before = {line for line in scene_contents() if "egmentation" in line}
    widget.ui.applyButton.click()
    running(widget)
    again = host.reload_module("MedDLSeg").widget
    assert again is not widget
    process_events(seconds=2.5)
    assert {line for line in scene_contents() if "egmentation" in line} == before
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    host.select_module("MedDLSeg")
    again.ui.inputSelector.setCurrentNode(head)
    again.ui.applyButton.click()
    finished(again)
    assert len(segmentations()) == 1


def test_leaving_the_module_in_mid_run_keeps_the_run(widget, slow):
    widget.ui.applyButton.click()
    running(widget)
    opened("MedDLSuperRes")
    finished(widget)
    assert len(segmentations()) == 1

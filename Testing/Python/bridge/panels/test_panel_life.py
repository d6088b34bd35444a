"""What outlives a panel, in a reload or a saved scene, and what goes with it, also where it never was complete."""

import numpy as np
import pytest
import qt
import slicer
from segmentation_panel import (  # noqa: F401
    add_volume,
    centered,
    finished,
    head,
    opened,
    phantom,
    process_events,
    segmentations,
    thresholding,
    widget,
)

import host


def test_the_tooltip_of_a_selector_has_the_whole_name_of_its_volume(widget, head):
    selector = widget.ui.inputSelector
    assert selector.toolTip.startswith("head\n") and len(selector.toolTip.splitlines()) > 1
    head.SetName("sub-0123_T1w")
    widget.enter()
    assert selector.toolTip.startswith("sub-0123_T1w\n")
    selector.setCurrentNode(None)
    assert "sub-0123" not in selector.toolTip and selector.toolTip


def test_how_the_last_run_ended_goes_with_its_scene(widget):
    widget.ui.applyButton.click()
    finished(widget)
    assert "Done in" in widget.ui.stageLabel.text
    slicer.mrmlScene.Clear(0)
    assert "Done in" not in widget.ui.stageLabel.text


def segmented_and_reloaded(widget):
    """The panel after a reload, which still shows the result of the run before it."""
    widget.ui.applyButton.click()
    finished(widget)
    again = host.reload_module("MedDLSeg").widget
    host.select_module("MedDLSeg")
    assert again.ui.outputSelector.currentNode() is segmentations()[0]
    return again


def test_after_a_reload_another_input_gets_its_own_result(widget):
    again = segmented_and_reloaded(widget)
    again.ui.inputSelector.setCurrentNode(add_volume(phantom(), centered(np.eye(3)), "other"))
    assert again.ui.outputSelector.currentNode() is None
    again.ui.applyButton.click()
    finished(again)
    assert {node.GetName() for node in segmentations()} == {"head segmentation", "other segmentation"}


def test_after_a_reload_the_next_apply_renews_the_result(widget):
    again = segmented_and_reloaded(widget)
    again.ui.applyButton.click()
    finished(again)
    assert len(segmentations()) == 1


def test_in_a_loaded_scene_another_input_gets_its_own_result(widget, tmp_path):
    widget.ui.applyButton.click()
    finished(widget)
    bundle = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(bundle)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(bundle)
    process_events(seconds=0.1)
    again = opened("MedDLSeg").widget
    assert again.ui.outputSelector.currentNode() is segmentations()[0]
    again.ui.inputSelector.setCurrentNode(add_volume(phantom(), centered(np.eye(3)), "other"))
    assert again.ui.outputSelector.currentNode() is None


class FailsAt:
    """Widgets of a panel by name, until so many were asked for."""

    def __init__(self, widgets, count: int):
        self._widgets, self._left = widgets, count

    def __getattr__(self, name):
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("a widget is missing")
        return getattr(self._widgets, name)


@pytest.mark.parametrize("asked", [0, 2, 5, 9])
@pytest.mark.parametrize("name", ["MedDLSeg", "MedDLRegister", "MedDLSuperRes"])
def test_a_panel_whose_setup_failed_can_be_left_and_cleaned_up(clean, monkeypatch, name, asked):
    kind, real = type(opened(name).widget), slicer.util.childWidgetVariables
    with monkeypatch.context() as patched:
        patched.setattr(slicer.util, "childWidgetVariables", lambda widget: FailsAt(real(widget), asked))
        parent = slicer.qMRMLWidget()
        parent.setLayout(qt.QVBoxLayout())
        parent.setMRMLScene(slicer.mrmlScene)
        half = kind(parent)
        with pytest.raises(RuntimeError, match="a widget is missing"):
            half.setup()
    half.enter()
    half.exit()
    half.cleanup()
    half.cleanup()

"""What a chosen volume looks like is asked of the worker, and said before Apply."""

import numpy as np
import pytest
from bridge_scene import add_volume, centered, opened, phantom, process_events

import meddl
from meddl.evaluation.recognition import turn_volume
from meddl.recognition.orientations import TURNS
from meddl_slicer.mrml import nodes
from meddl_slicer.panels.inputs.recognitions import Recognitions
from meddl_slicer.runs import tasks

UPSIDE_DOWN = TURNS.index(((0, 1, 2), (True, False, True)))


@pytest.fixture
def upside_down(clean, data_folder):
    head = meddl.load(data_folder / "brain" / "ecog_t1.nii.gz")
    return nodes.create_volume_node(turn_volume(head, UPSIDE_DOWN), "upside down")


def test_axes_that_do_not_fit_are_told_above_apply(upside_down, bridge_worker):
    tasks.warm_up()
    widget = opened("MedDLSeg").widget
    widget.ui.inputSelector.setCurrentNode(upside_down)
    process_events(lambda: "do not fit the anatomy" in widget.banner.label.text, limit=120)
    assert widget.ui.applyButton.enabled
    assert widget.metadataOf(upside_down).region == "head"


def test_a_volume_is_asked_about_once_and_anew_when_its_voxels_change(clean, bridge_worker):
    import slicer

    tasks.warm_up()
    head, answers = add_volume(phantom(), centered(np.eye(3))), []
    recognitions = Recognitions(lambda: answers.append(1))
    for count in (1, 2):
        assert recognitions.of(head, None) is None
        process_events(lambda wanted=count: len(answers) == wanted, limit=120)
        assert recognitions.of(head, None).describe() == "unknown"  # of 20 mm
        slicer.util.updateVolumeFromArray(head, np.zeros((20, 20, 20), np.int16))
    recognitions.close()


def test_who_has_never_run_anything_is_not_asked_for(clean, monkeypatch):
    monkeypatch.setattr(tasks, "may_ask", lambda: False)
    recognitions = Recognitions(pytest.fail)
    assert recognitions.of(add_volume(phantom(), centered(np.eye(3))), None) is None

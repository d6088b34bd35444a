"""What a chosen volume looks like is asked of the worker, and said before Apply."""

import numpy as np
import pytest
from bridge_scene import add_linear_transform, add_volume, add_warp, centered, opened, phantom, process_events, turned

import meddl
from meddl.evaluation.recognition import turn_volume
from meddl.recognition.orientations import TURNS
from meddl_slicer.mrml import nodes
from meddl_slicer.panels.inputs.recognitions import Recognitions, _to_send
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


def test_of_small_voxels_only_some_lines_are_sent(clean):
    random = np.random.default_rng(0)
    sent = _to_send(add_volume(random.integers(0, 900, (64, 60, 50)).astype(np.int16), np.diag([1.0, 0.5, 1.0, 1.0])))
    assert sent.shape == (64, 15, 25)  # voxels of 1, 2 and 2 mm
    sent = _to_send(add_volume(phantom(), centered(3 * np.eye(3))))
    assert sent.shape == phantom().shape


def test_under_a_transform_that_is_not_linear_it_is_not_asked(clean, monkeypatch):
    asked = []
    monkeypatch.setattr(tasks, "may_ask", lambda: True)
    monkeypatch.setattr(tasks, "run", lambda *args, **kwargs: asked.append(args))
    head = add_volume(phantom(), centered(np.eye(3)))
    head.SetAndObserveTransformNodeID(add_warp(bend_mm=1.0).GetID())
    recognitions = Recognitions(pytest.fail)
    assert recognitions.of(head, None) is None and not asked
    head.SetAndObserveTransformNodeID(add_linear_transform(turned()).GetID())
    assert recognitions.of(head, None) is None and len(asked) == 1

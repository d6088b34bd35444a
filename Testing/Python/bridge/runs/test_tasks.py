"""Runs go through the real worker; the scene is touched once, when all is well."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, longest_pause, phantom, process_events, scene_contents
from places import SUPPORT

from meddl.core.errors import Cancelled, InputError, WorkerError
from meddl.worker import Worker
from meddl_slicer.mrml import nodes
from meddl_slicer.runs import tasks, verbs


@pytest.fixture(autouse=True)
def empty_scene(bridge_worker, monkeypatch):
    slicer.mrmlScene.Clear(0)
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    yield
    slicer.mrmlScene.Clear(0)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:slow_threshold")


def started(task):
    """Wait until the job is really running in the worker."""
    process_events(lambda: task.state == "running" and task.progress[0] > 0)
    return task


def test_a_run_returns_what_was_made_of_the_result():
    head = add_volume(phantom(), centered(np.eye(3)))
    node = verbs.segment_node(head)
    assert node.IsA("vtkMRMLSegmentationNode")
    assert verbs.report_of(node)["device"] == "cpu"
    assert node.GetNodeReference(verbs.TABLE_ROLE).GetNumberOfRows() == 4


def test_without_waiting_a_task_comes_back_at_once_and_tells_its_progress(slow):
    seen, ended = [], []
    begin = time.monotonic()
    task = verbs.segment_node(add_volume(phantom(), centered(np.eye(3))), wait=False, onDone=ended.append,
                             onProgress=lambda fraction, stage: seen.append((fraction, stage)))
    assert time.monotonic() - begin < 1
    assert not task.done
    process_events(lambda: task.done)
    assert task.state == "done"
    assert ended == [task]
    assert task.result().GetName() == "head segmentation"
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert ("Thinking" in {stage for _, stage in seen})


def test_the_scene_is_the_same_until_the_result_is_complete(slow):
    head = add_volume(phantom(), centered(np.eye(3)))
    before = scene_contents()
    task = started(verbs.segment_node(head, wait=False))
    assert scene_contents() == before
    process_events(lambda: task.done)
    assert scene_contents() != before


def test_cancel_ends_within_a_second_and_leaves_the_scene(slow):
    head = add_volume(phantom(), centered(np.eye(3)))
    before = scene_contents()
    task = started(verbs.segment_node(head, wait=False))
    begin = time.monotonic()
    task.cancel()
    with pytest.raises(Cancelled):
        task.result()
    assert time.monotonic() - begin < 1
    process_events(seconds=0.3)
    assert scene_contents() == before


def test_a_computation_that_does_not_listen_is_killed_and_the_next_run_works(monkeypatch):
    head = add_volume(phantom(), centered(np.eye(3)))
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:stubborn_threshold")
    task = started(verbs.segment_node(head, wait=False))
    worker_id = tasks.worker().pid
    task.cancel()
    process_events(lambda: not alive(worker_id), limit=3)
    assert not alive(worker_id)
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    assert verbs.segment_node(head).GetSegmentation().GetNumberOfSegments() == 3


def alive(process_id):
    stat = Path(f"/proc/{process_id}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_killed_worker_is_a_clear_error_and_the_next_run_works(slow, monkeypatch):
    head = add_volume(phantom(), centered(np.eye(3)))
    before = scene_contents()
    task = started(verbs.segment_node(head, wait=False))
    os.kill(tasks.worker().pid, signal.SIGKILL)
    process_events(lambda: task.done, limit=5)
    assert task.state == "failed"
    with pytest.raises(WorkerError):
        task.result()
    assert scene_contents() == before
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    assert verbs.segment_node(head).GetSegmentation().GetNumberOfSegments() == 3


def test_closing_the_scene_in_mid_run_leaves_it_empty(slow, monkeypatch):
    task = started(verbs.segment_node(add_volume(phantom(), centered(np.eye(3))), wait=False))
    slicer.mrmlScene.Clear(0)
    emptied = scene_contents()
    process_events(lambda: task.done)
    assert task.state == "cancelled"
    process_events(seconds=2.5)
    assert scene_contents() == emptied
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:threshold")
    assert verbs.segment_node(add_volume(phantom(), centered(np.eye(3)))).GetSegmentation().GetNumberOfSegments() == 3


def test_removing_the_input_in_mid_run_leaves_no_result(slow):
    head = add_volume(phantom(), centered(np.eye(3)))
    task = started(verbs.segment_node(head, wait=False))
    slicer.mrmlScene.RemoveNode(head)
    before = scene_contents()
    process_events(lambda: task.done)
    with pytest.raises(Cancelled, match="input"):
        task.result()
    process_events(seconds=0.3)
    assert scene_contents() == before


def test_removing_the_chosen_output_in_mid_run_makes_a_new_one(slow):
    head = add_volume(phantom(), centered(np.eye(3)))
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    task = started(verbs.segment_node(head, segmentationNode=chosen, wait=False))
    slicer.mrmlScene.RemoveNode(chosen)
    process_events(lambda: task.done)
    assert task.result() is not chosen
    assert slicer.mrmlScene.IsNodePresent(task.result())


def test_an_error_of_the_computation_comes_back_as_it_was(monkeypatch):
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:bad_threshold")
    head = add_volume(phantom(), centered(np.eye(3)))
    before = scene_contents()
    with pytest.raises(InputError, match="The volume is empty. Load another one."):
        verbs.segment_node(head)
    assert scene_contents() == before


def test_an_error_while_the_nodes_are_made_removes_those_made_so_far(monkeypatch):
    head = add_volume(phantom(), centered(np.eye(3)))
    before = scene_contents()

    def broken(*args, **kwargs):
        raise RuntimeError("no table today")

    monkeypatch.setattr(verbs, "create_volume_table", broken)
    with pytest.raises(RuntimeError, match="no table today"):
        verbs.segment_node(head)
    assert scene_contents() == before


def test_events_that_run_while_the_nodes_are_made_do_not_make_them_twice():
    made = []

    def apply(process_id):
        made.append(process_id)
        process_events(seconds=0.2)
        return process_id

    assert tasks.run("bridge_targets:process_id", apply=apply) == made[0]
    assert len(made) == 1


def test_two_runs_go_one_after_the_other(slow):
    first = verbs.segment_node(add_volume(phantom(), centered(np.eye(3)), name="first"), wait=False)
    second = verbs.segment_node(add_volume(phantom(), centered(np.eye(3)), name="second"), wait=False)
    started(first)
    assert second.state == "queued"
    process_events(lambda: second.done, limit=10)
    assert first.result().GetName() == "first segmentation"
    assert second.result().GetName() == "second segmentation"


def test_the_worker_stays_warm_between_runs():
    first = tasks.run("bridge_targets:process_id")
    assert tasks.run("bridge_targets:process_id") == first
    assert first == tasks.worker().pid != os.getpid()


def test_inside_slicer_the_worker_runs_in_pythonslicer(monkeypatch, tmp_path):
    assert tasks.python_executable() == sys.executable
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert tasks.python_executable() == str(launcher)
    with Worker(tasks.python_executable(), allowed=("bridge_targets.",), paths=[SUPPORT]) as worker:
        assert worker.submit("bridge_targets:process_id").result(30) == worker.pid


def test_waiting_keeps_the_applications_events_running(slow):
    source = add_volume(phantom(), centered(np.eye(3)))
    assert longest_pause(lambda: verbs.segment_node(source)) < 0.1


def test_the_events_are_never_blocked_for_100_ms_with_a_large_volume(monkeypatch):
    """A 256x256x256 volume of 16-bit numbers, its segmentation and table, in an application that has run once."""
    head = add_volume(np.asfortranarray(np.tile(phantom((64, 64, 64)), (4, 4, 4))))
    verbs.segment_node(head)

    def segment():
        task = verbs.segment_node(head, wait=False)
        process_events(lambda: task.done, limit=30)
        assert task.state == "done"

    assert longest_pause(segment) < 0.1


def test_previews_come_in_order_while_it_runs_and_not_after_its_end():
    shown = []
    assert tasks.run("bridge_targets:counting", 10, onPreview=shown.append) == 10
    assert len(shown) >= 3 and shown == sorted(set(shown))
    task = tasks.run("bridge_targets:counting", 100, onPreview=shown.append, wait=False)
    process_events(lambda: task.state == "running" and len(shown) > 12)
    task.cancel()
    before = len(shown)
    process_events(seconds=0.3)
    assert len(shown) == before


def test_an_error_while_a_preview_is_shown_ends_the_previews_and_not_the_run(caplog):
    asked = []

    def clumsy(value):
        asked.append(value)
        raise ZeroDivisionError("clumsy")

    assert tasks.run("bridge_targets:counting", 5, onPreview=clumsy) == 5
    assert len(asked) == 1 and "clumsy" in caplog.text


def test_what_is_no_volume_never_reaches_the_worker():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "skull")
    with pytest.raises(InputError):
        verbs.segment_node(node, wait=False)


def test_registration_makes_the_transform_and_the_warped_volume(monkeypatch):
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
    fixed = add_volume(phantom(), centered(np.eye(3)), name="fixed")
    moving = add_volume(phantom(), centered(np.eye(3)), name="moving")
    origin = moving.GetOrigin()
    moving.SetOrigin(origin[0] + 6.0, origin[1], origin[2])
    node = verbs.register_nodes(fixed, moving, warp=True)
    assert node.GetName() == "moving to fixed"
    assert slicer.util.arrayFromTransformMatrix(node)[:3, 3] == pytest.approx([-6, 0, 0], abs=1e-6)
    warped = node.GetNodeReference(verbs.WARPED_ROLE)
    assert warped.GetName() == "moving on fixed"
    assert np.array_equal(nodes.affine_of_node(warped), nodes.affine_of_node(fixed))
    inside = (slice(2, -2),) * 3
    assert np.abs(nodes.volume_from_node(warped).data[0].astype(float) - phantom())[inside].max() <= 1


def test_super_resolution_keeps_the_place_of_the_volume():
    thick = add_volume(phantom((12, 10, 6)), np.diag([1.0, 1.0, 4.0, 1.0]), name="thick")
    sharp = verbs.super_resolve_node(thick)
    assert sharp.GetName() == "thick sharp"
    assert sharp.GetSpacing() == pytest.approx((1, 1, 1))
    before, after = [0.0] * 6, [0.0] * 6
    thick.GetRASBounds(before)
    sharp.GetRASBounds(after)
    assert after == pytest.approx(before, abs=1e-6)

"""What a run leaves behind: its result in the scene, and nothing else, by PythonQt's rules.

There a connection holds its callable strongly and unseen by the garbage collector: `host.connections`.
"""

import gc
import json
import os
import subprocess
import sys
import weakref

import applies
import numpy as np
import pytest
import slicer
import vtk
from applies import RESULT_MB, SHAPE, alive, apply, settle
from bridge_scene import opened, process_events
from places import LIBRARY, SUPPORT, TESTS

import host
from meddl.core.errors import InputError
from meddl.worker.blocks import Block
from meddl.worker.job import Job
from meddl_slicer.mrml.nodes import volume_from_node
from meddl_slicer.panels.module_widget import ModuleWidget
from meddl_slicer.panels.widgets import RunPanel
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.tasks import Task

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
PATHS = (LIBRARY, TESTS, SUPPORT)


@pytest.fixture(autouse=True)
def stubs(clean, monkeypatch, tmp_path):
    applies.stub_verbs(monkeypatch, tmp_path)
    yield
    applies.forget_settings()


@pytest.fixture
def volumes():
    return applies.volumes()


@pytest.mark.parametrize("name", [MODULES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in MODULES[1:])])
def test_thirty_applies_leave_one_result_and_no_object_of_a_run(name):
    """In a process of its own: what other tests left in this one's memory would be measured with it."""
    run = subprocess.run([sys.executable, applies.__file__, name], check=False, capture_output=True, text=True,
                         timeout=300, env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS))})
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.splitlines()[-1])
    print(f"{name}: {found['mb'][0]:.0f} MB after 5 Applies, {found['mb'][1]:.0f} MB after {applies.APPLIES}")
    assert found["alive"] == [[], []]
    assert found["connections"][0] == found["connections"][1], "connections pile up"
    assert len(found["mb"]) == 2
    if sys.platform.startswith("linux"):
        assert found["mb"][1] - found["mb"][0] < applies.RESULT_MB


@pytest.mark.parametrize("name", MODULES)
def test_after_a_reload_the_panel_before_it_is_gone(volumes, name):
    others = alive(ModuleWidget)  # what other tests left, or use no more after the reload
    host.reload_module(name)
    host.select_module(name)
    widget = opened(name).widget
    apply(widget)
    old = [weakref.ref(thing) for thing in (widget, widget.run, widget.ui.applyButton, widget.logic)]
    deleted = []
    widget.ui.applyButton.connect("destroyed()", lambda: deleted.append(1))
    del widget
    host.reload_module(name)
    settle()
    assert [reference() for reference in old] == [None] * len(old)
    assert [panel for panel in alive(ModuleWidget) if panel not in others] == [opened(name).widget]
    assert len([panel for panel in alive(RunPanel) if panel is opened(name).widget.run]) == 1
    assert deleted, "hidden widgets stay in the panel"


@pytest.mark.parametrize("name", MODULES)
def test_closing_the_scene_frees_inputs_and_results(volumes, name):
    widget = opened(name).widget
    apply(widget)
    gone, expected = [], []
    for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
        if node.GetSingletonTag() is None and not node.GetHideFromEditors():
            # Not the images: the slice views' own pipelines keep the one that they showed last.
            data = [getattr(node, getter)() for getter in ("GetSegmentation", "GetTable", "GetTransformFromParent")
                    if hasattr(node, getter)]
            for thing in (node, *(part for part in data if part is not None)):
                kind = thing.GetClassName()
                expected.append(kind)
                thing.AddObserver(vtk.vtkCommand.DeleteEvent, lambda caller, event, kind=kind: gone.append(kind))
    del node, data, thing
    volumes.clear()
    slicer.mrmlScene.Clear(0)
    settle()
    assert len(expected) > 2 and sorted(gone) == sorted(expected)


@pytest.mark.parametrize("how", ["done", "failed", "cancelled"])
def test_a_task_that_is_kept_holds_its_value_or_error_alone(volumes, how, monkeypatch):
    if how != "done":
        monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:" + (
            "bad_threshold" if how == "failed" else "slow_threshold"))
    watcher = Watcher()
    reference = weakref.ref(watcher)
    task = verbs.segment_node(volumes[0], wait=False, onDone=watcher.ended, onProgress=watcher.progress,
                             onPreview=watcher.preview)
    del watcher
    if how == "cancelled":
        process_events(lambda: task.state == "running")
        task.cancel()
    process_events(lambda: task.done)
    settle()
    assert task.state == how and reference() is None
    assert alive(Job, Block) == []
    with_error = [task.error.__traceback__] if task.error is not None else []
    for thing in [*vars(task).values(), *with_error]:
        assert not reaches_array(thing), thing


def test_a_result_that_could_not_be_put_into_the_scene_is_not_kept_by_its_error(volumes, monkeypatch):
    def broken(*args, **kwargs):
        raise InputError("no table today")

    monkeypatch.setattr(verbs, "create_volume_table", broken)
    task = verbs.segment_node(volumes[0], wait=False)
    process_events(lambda: task.done)
    settle()
    assert task.state == "failed" and alive(Job, Block) == []
    assert not reaches_array(task.error.__traceback__)


def test_a_batch_that_is_kept_holds_its_value_alone(volumes):
    task = slicer.util.getModuleLogic(opened("MedDLSeg").name).segmentBranch(
        slicer.mrmlScene.GetSubjectHierarchyNode().GetSceneItemID(), wait=False)
    process_events(lambda: task.done)
    settle()
    assert task.result().IsA("vtkMRMLTableNode") and alive(Task, Job, Block) == []
    assert not any(reaches_array(thing) for thing in vars(task).values())


def test_the_worker_lets_go_of_a_run_too(volumes, bridge_worker):
    figures = []
    for number in range(1, 13):
        tasks.run("bridge_targets:large_array")
        if number in (4, 12):
            figures.append(bridge_worker.call("bridge_targets:resident_mb"))
    assert figures[1] - figures[0] < RESULT_MB, figures
    assert volume_from_node(volumes[0]).data.shape == (1, *SHAPE)


class Watcher:
    def ended(self, task):
        self.task = task

    def progress(self, fraction, stage):
        self.stage = stage

    def preview(self, value):
        self.value = value


def reaches_array(start) -> bool:
    """Whether an array of more than 1000 bytes can be reached from an object through frames, closures, instances."""
    seen, left = set(), [start]
    while left:
        thing = left.pop()
        if id(thing) in seen or isinstance(thing, (type, type(sys))) or thing is sys.modules:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray) and thing.nbytes > 1000:
            return True
        if isinstance(thing, dict) and "__name__" in thing:  # the names of a module
            continue
        if type(thing).__module__.split(".")[0] not in ("PySide6", "host", "vtkmodules", "_pytest", "pluggy"):
            left += gc.get_referents(thing)
    return False

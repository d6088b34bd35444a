"""What a run leaves behind: its result in the scene, and nothing else, by PythonQt's rules.

There a connection holds its callable strongly and unseen by the garbage collector: `host.connections`.
"""

import gc
import os
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from bridge_cards import install_card
from bridge_scene import add_volume, bridge_worker, centered, clean, finished, opened, process_events  # noqa: F401

import host
from host import connections
from meddl.core.errors import InputError
from meddl.models.store.store import ModelStore
from meddl.worker.blocks import Block
from meddl.worker.job import Job
from meddl_slicer.mrml.nodes import volume_from_node
from meddl_slicer.panels.models import choices
from meddl_slicer.panels.module_widget import ModuleWidget
from meddl_slicer.panels.views.label_preview import LabelPreview
from meddl_slicer.panels.views.previews import AlignmentPreview, PicturePreview
from meddl_slicer.panels.widgets import RunPanel
from meddl_slicer.runs import batch, expected_runs, tasks, verbs
from meddl_slicer.runs.batch import Batch
from meddl_slicer.runs.tasks import Task

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
APPLIES, RESULT_MB = 30, 8
SHAPE = (160, 160, 160)  # 8 MB of 16-bit numbers
OF_A_RUN = (Task, Batch, Job, Block, AlignmentPreview, LabelPreview, PicturePreview)


@pytest.fixture(autouse=True)
def stubs(clean, monkeypatch, tmp_path):
    """Targets that make a result of some MB at once, in place of the verbs; everything around them is real."""
    import qt

    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:large_labels")
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:large_shift")
    monkeypatch.setattr(verbs, "SUPER_RESOLVE", "bridge_targets:large_copy")
    monkeypatch.setattr(expected_runs, "EXPECT", "bridge_targets:quick_estimate")
    monkeypatch.setenv("MEDDL_CACHE", str(tmp_path))
    if not choices.installed("segmentation"):
        install_card(tmp_path, "brain")
    ModelStore().accept_license("brain")
    yield
    qt.QSettings().remove("MedDL")


@pytest.fixture
def volumes():
    return [add_volume(np.full(SHAPE, 100 + number, np.int16), centered(np.eye(3), SHAPE), f"head {number}")
            for number in range(2)]


def settle():
    """Let everything end that is under way, deferred deletions too, as the application's event loop does."""
    import qt

    process_events(lambda: not tasks._running and not batch._running)
    process_events(seconds=0.1)
    qt.QCoreApplication.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    gc.collect()


def alive(*kinds):
    """What is alive of these classes; the small block of the worker's state lives with its process."""
    return [thing for thing in gc.get_objects() if isinstance(thing, kinds)
            and not (isinstance(thing, Block) and thing.size < 1000)]


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def apply(widget):
    widget.ui.applyButton.click()
    assert widget.run.running, widget.ui.stageLabel.text
    finished(widget, limit=120)
    assert not host.errors()


@pytest.mark.parametrize("name", MODULES)
def test_thirty_applies_leave_one_result_and_no_object_of_a_run(volumes, name):
    widget = opened(name).widget
    held, memory = [], {}
    for number in range(1, APPLIES + 1):
        apply(widget)
        if number in (5, APPLIES):
            settle()
            held.append(len(connections.held()))
            memory[number] = resident_mb()
            assert alive(*OF_A_RUN) == []
    assert held[0] == held[1], "connections pile up"
    grown = memory[APPLIES] - memory[5]
    print(f"{name}: {memory[5]:.0f} MB after 5 Applies, {memory[APPLIES]:.0f} MB after {APPLIES}")
    if sys.platform.startswith("linux"):
        assert grown < RESULT_MB


@pytest.mark.parametrize("name", MODULES)
def test_after_a_reload_the_panel_before_it_is_gone(volumes, name):
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
    assert [panel for panel in alive(ModuleWidget) if panel.moduleName == name] == [opened(name).widget]
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

"""Merely looking at a module: quick, nothing imported that Slicer does not ship, and no process started."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import slicer
from bridge_scene import add_volume, centered, finished, opened, phantom, process_events
from places import SUPPORT, TESTS

import host
from meddl.worker import Worker
from meddl_slicer.runs import estimates, tasks, verbs

MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")
NOT_SHIPPED = ("torch", "monai", "jsonschema", "safetensors", "nibabel")
ENTER = """
import json, sys, time
import host
host.install()
import numpy as np
import slicer
from bridge_scene import add_volume, process_events
slicer.util.mainWindow()
head = add_volume(np.zeros((40, 50, 60), np.int16))
seconds = {}
for name in sys.argv[1:]:
    host.load_module(name)
    begin = time.process_time()
    host.select_module(name)
    seconds[name] = time.process_time() - begin
    host.reload_module(name).widget  # a second look
process_events(seconds=0.5)
children = open("/proc/thread-self/children").read().split() if sys.platform.startswith("linux") else []
print(json.dumps([seconds, sorted(sys.modules), children, getattr(slicer.modules, "meddlWorker", None) is not None]))
"""


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """Each module entered once, in a program of its own with a volume in the scene and no installed model: seconds
    of the processor by module, names of the loaded modules, child processes, and whether there is a worker."""
    paths = [str(host.repository / "MedDLLib"), str(TESTS), str(SUPPORT)]
    done = subprocess.run([sys.executable, "-c", ENTER, *MODULES], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(paths),
                               "MEDDL_CACHE": str(tmp_path_factory.mktemp("cache"))})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_imports_nothing_that_slicer_does_not_ship(looked):
    assert not set(NOT_SHIPPED) & set(looked[1])


def test_it_starts_no_process(looked):
    _, _, children, has_worker = looked
    assert children == [] and not has_worker


@pytest.mark.parametrize("name", MODULES)
def test_it_takes_half_a_second_at_most(looked, name):
    print(f"{name}: {looked[0][name]:.2f} s")
    assert looked[0][name] < 0.5


@pytest.fixture
def no_worker(clean, monkeypatch):
    """As if the application had just started: no worker, and no run remembered unless the test does."""
    import qt

    monkeypatch.setattr(slicer.modules, "meddlWorker", None)
    monkeypatch.setattr(slicer.modules, "meddlDevice", None, raising=False)
    qt.QSettings().remove(tasks.HAS_RUN)
    yield
    qt.QSettings().remove(tasks.HAS_RUN)
    tasks.close_worker()


def enter(name):
    host.load_module(name)
    host.select_module("")
    module = opened(name)
    if not module.representation.isEntered:
        module.representation.enter()
    return module.widget


def test_who_has_never_run_anything_gets_no_worker(no_worker):
    enter("MedDLRegister").enter()
    assert getattr(slicer.modules, "meddlWorker", None) is None


def test_who_has_run_something_in_an_earlier_session_finds_it_warming_up(no_worker):
    tasks.remember_run()
    enter("MedDLRegister").enter()
    assert tasks.worker().started
    process_events(lambda: estimates.device() != "auto", limit=60)
    assert "Device: " in opened("MedDLRegister").widget.ui.statusLabel.text


def test_a_worker_that_runs_already_may_be_asked(no_worker):
    assert not tasks.may_ask()
    tasks.warm_up()
    assert tasks.may_ask()


def test_the_start_of_the_worker_is_told_as_stages(no_worker):
    stages = []
    tasks.run("meddl_slicer.runs.remote:describe_device", onProgress=lambda fraction, stage: stages.append(stage))
    assert stages[:2] == ["Starting the worker process", "Loading PyTorch"]


def test_a_complete_run_is_remembered(no_worker):
    slicer.modules.meddlWorker = Worker(allowed=(*tasks.ALLOWED, "bridge_targets."), paths=[SUPPORT])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "REGISTER", "bridge_targets:world_shift")
        for name in ("fixed", "moving"):
            add_volume(phantom(), centered(np.eye(3)), name)
        widget = enter("MedDLRegister")
        assert not tasks.may_ask()
        widget.ui.applyButton.click()
        finished(widget)
    tasks.close_worker()
    assert tasks.may_ask()

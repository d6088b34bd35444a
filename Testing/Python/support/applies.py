"""Many Applies of a panel whose verbs are quick stand-ins, and what they leave in memory.

As a program: `applies.py MODULE` presses Apply 30 times and prints as JSON what is there after the 5th and the last:
the connections held, the objects of a run that are alive, the memory in MB.
"""

import ctypes
import gc
import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bridge_cards import install_card
from bridge_scene import add_volume, centered, finished, opened, process_events, worker_for_tests

import host
from host import connections
from meddl.models.store.store import ModelStore
from meddl.worker.blocks import Block
from meddl.worker.job import Job
from meddl_slicer.panels.inputs import expected_runs, recognitions
from meddl_slicer.panels.models import choices
from meddl_slicer.panels.views.label_preview import LabelPreview
from meddl_slicer.panels.views.previews import AlignmentPreview, PicturePreview
from meddl_slicer.runs import batch, tasks, verbs
from meddl_slicer.runs.batch import Batch
from meddl_slicer.runs.tasks import Task

APPLIES, RESULT_MB = 30, 8
SHAPE = (160, 160, 160)  # 8 MB of 16-bit numbers
OF_A_RUN = (Task, Batch, Job, Block, AlignmentPreview, LabelPreview, PicturePreview)


def stub_verbs(monkeypatch, cache) -> None:
    """Targets that make a result of some MB at once, in place of the verbs; everything around them is real."""
    monkeypatch.setattr(verbs, "SEGMENT", "bridge_targets:large_labels")
    monkeypatch.setattr(verbs, "REGISTER", "bridge_targets:large_shift")
    monkeypatch.setattr(verbs, "SUPER_RESOLVE", "bridge_targets:large_copy")
    monkeypatch.setattr(expected_runs, "EXPECT", "bridge_targets:quick_estimate")
    monkeypatch.setattr(recognitions, "RECOGNIZE", "bridge_targets:unrecognized")
    monkeypatch.setenv("MEDDL_CACHE", str(cache))
    if not choices.list_installed("segmentation"):
        install_card(cache, "brain")
    ModelStore().accept_license("brain")


def forget_settings() -> None:
    """Take away the settings that the panels have written."""
    import qt

    qt.QSettings().remove("MedDL")


def volumes() -> list:
    """Two volumes of one result's size."""
    thick = np.diag([1.0, 1.0, 2.0])  # slices that super-resolution can make finer
    return [add_volume(np.full(SHAPE, 100 + number, np.int16), centered(thick, SHAPE), f"head {number}")
            for number in range(2)]


def settle() -> None:
    """Let everything end that is under way, deferred deletions too, as the application's event loop does."""
    import qt

    process_events(lambda: not tasks._running and not batch._running)
    process_events(seconds=0.1)
    qt.QCoreApplication.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    gc.collect()


def alive(*kinds) -> list:
    """What is alive of these classes; the small block of the worker's state lives with its process."""
    return [thing for thing in gc.get_objects() if isinstance(thing, kinds)
            and not (isinstance(thing, Block) and thing.size < 1000)]


def resident_mb() -> float:
    """This process's memory; 0 where the system has no /proc."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if status.exists() else 0.0


def lasting_mb() -> float:
    """The memory that stays: the least of several looks, between which what is on its way to the worker arrives.

    What is free counts as free: glibc keeps up to twice the largest block that was ever freed at the end of its heap.
    """
    looks = []
    for _ in range(5):
        process_events(seconds=0.1)
        gc.collect()
        if sys.platform.startswith("linux"):
            with suppress(AttributeError):  # another C library
                ctypes.CDLL(None).malloc_trim(0)
        looks.append(resident_mb())
    return min(looks)


def apply(widget) -> None:
    """Press Apply and wait for the result."""
    widget.ui.applyButton.click()
    assert widget.run.running, widget.ui.stageLabel.text
    finished(widget, limit=120)
    assert not host.errors()


def many(name: str) -> dict:
    """30 Applies of a module, and what is there after the 5th and the last."""
    found = {"connections": [], "alive": [], "mb": []}
    inputs = volumes()
    widget = opened(name).widget
    for number in range(1, APPLIES + 1):
        apply(widget)
        if number in (5, APPLIES):
            settle()
            found["connections"].append(len(connections.held()))
            found["alive"].append([type(thing).__name__ for thing in alive(*OF_A_RUN)])
            found["mb"].append(lasting_mb())
    assert len(inputs) == 2
    return found


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder, worker_for_tests():
        stub_verbs(patch, folder)
        print(json.dumps(many(sys.argv[1])))
        forget_settings()

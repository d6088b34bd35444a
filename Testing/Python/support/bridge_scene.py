"""Nodes for tests of the bridge, in the host's scene."""

import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import vtk

import host

host.install()

import slicer  # noqa: E402

from meddl.worker import Worker  # noqa: E402
from meddl_slicer.mrml import nodes  # noqa: E402
from meddl_slicer.runs import tasks  # noqa: E402

OBLIQUE = np.array([[0.1, -1.17, 0.3, 30.0], [0.88, 0.12, 0.2, -40.0], [-0.1, 0.2, 2.4, 7.0], [0, 0, 0, 1]])
LEFT_HANDED = OBLIQUE @ np.diag([-1.0, 1.0, 1.0, 1.0])
AFFINES = {"oblique": OBLIQUE, "left-handed": LEFT_HANDED, "anisotropic": np.diag([0.5, 0.5, 5.0, 1.0])}


def add_volume(array, affine=OBLIQUE, name="head", kind="vtkMRMLScalarVolumeNode"):
    node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.asarray(affine, float)))
    node.SetAndObserveImageData(nodes.image_from_array(array))
    return node


def ramp(shape=(5, 6, 7), dtype=np.int16):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def add_linear_transform(matrix):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.asarray(matrix, float)))
    return node


def turned(degrees=30.0, shift=(10.0, -20.0, 5.0)):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0, shift[0]], [s, c, 0, shift[1]], [0, 0, 1, shift[2]], [0, 0, 0, 1]])


def add_warp(shift_mm=(0.0, 0.0, 0.0), bend_mm=0.0):
    """A nonlinear transform: a constant shift with a bend that grows along R."""
    grid = vtk.vtkImageData()
    grid.SetDimensions(9, 9, 9)
    grid.SetOrigin(-200, -200, -200)
    grid.SetSpacing(50, 50, 50)
    grid.AllocateScalars(vtk.VTK_DOUBLE, 3)
    vectors = np.zeros((9, 9, 9, 3))
    vectors[...] = shift_mm
    vectors[..., 1] += bend_mm * np.linspace(-1, 1, 9)[None, None, :]
    vtk.util.numpy_support.vtk_to_numpy(grid.GetPointData().GetScalars())[:] = vectors.reshape(-1, 3)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(grid)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(transform)
    return node


def phantom(shape=(24, 20, 16)):
    """An asymmetric head: dim, with one bright block in the half of high i and one in that of low i, of other sizes.

    Returns the (I, J, K) int16 array; the larger block (5x4x3) lies at high i.
    """
    array = np.zeros(shape, np.int16)
    array[3:-3, 3:-3, 3:-3] = 100
    array[16:21, 5:9, 6:9] = 200
    array[4:6, 12:14, 10:12] = 200
    return array


def centered(directions, shape=(24, 20, 16)):
    """An affine with these 3x3 columns (mm a voxel) whose grid has its center at the world's origin."""
    affine = np.eye(4)
    affine[:3, :3] = directions
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return affine


@contextmanager
def worker_for_tests():
    """The application's worker, started, which may also run the functions of `bridge_targets`."""
    tasks.close_worker()
    worker = Worker(allowed=(*tasks.ALLOWED, "bridge_targets."), paths=[Path(__file__).parent])
    worker.start()
    slicer.modules.meddlWorker = worker
    yield worker
    tasks.close_worker()


@pytest.fixture(scope="session")
def bridge_worker():
    """As `worker_for_tests`, for all tests."""
    with worker_for_tests() as worker:
        yield worker


@pytest.fixture
def own_worker(bridge_worker):
    """The application without a worker, so that the next run starts one, with the environment of this test."""
    slicer.modules.meddlWorker = None
    yield
    tasks.close_worker()
    slicer.modules.meddlWorker = bridge_worker


def process_events(until=None, seconds: float = 0.0, limit: float = 20.0) -> None:
    """Let the application's events run for some seconds, or until a condition holds."""
    begin = time.monotonic()
    while time.monotonic() - begin < (limit if until is not None else seconds):
        slicer.app.processEvents()
        if until is not None and until():
            return
        time.sleep(0.001)
    if until is not None:
        raise TimeoutError(f"The awaited condition has not come true within {limit:g} s.")


def longest_pause(action, attempts: int = 8, asked_for: float = 0.1) -> float:
    """Seconds for which the application's events stood still while `action()` ran, at the longest.

    The least of several attempts, the last of which is as short as asked for, if one is: a busy machine pauses the
    process for reasons of its own, the code always.
    """
    import qt

    pauses = []
    for _ in range(attempts):
        ticks = []
        timer = qt.QTimer()
        timer.setInterval(5)
        timer.timeout.connect(lambda ticks=ticks: ticks.append(time.monotonic()))
        timer.start()
        process_events(seconds=0.05)
        action()
        process_events(seconds=0.05)
        timer.stop()
        pauses.append(max(after - before for before, after in zip(ticks, ticks[1:], strict=False)))
        if pauses[-1] < asked_for:
            break
    return min(pauses)


def scene_contents() -> list[str]:
    """The identifiers of all nodes, hidden ones too, with the segments of segmentation nodes."""
    scene, found = slicer.mrmlScene, []
    for index in range(scene.GetNumberOfNodes()):
        node = scene.GetNthNode(index)
        segments = node.GetSegmentation().GetNumberOfSegments() if node.IsA("vtkMRMLSegmentationNode") else ""
        found.append(f"{node.GetID()} {node.GetName()} {segments}")
    return sorted(found)


def opened(name: str):
    """A module of MedDL, shown in the host's application: host.LoadedModule."""
    module = host.load_module(name)
    host.select_module(name)
    return module


def finished(widget, limit: float = 30.0) -> None:
    """Let the application run until the panel's run has ended."""
    process_events(lambda: not widget.run.running, limit=limit)


def running(widget) -> None:
    """Let the application run until the panel's run has told some progress."""
    process_events(lambda: widget.run.running and widget.ui.progressBar.value > 0)


@pytest.fixture
def clean(bridge_worker):
    """An empty scene with no module shown, and nothing unhandled or shown in a dialog before or after, unless a test
    took it. No dialog is shown under a wait cursor.
    """
    host.select_module("")  # opening one enters it, whichever a test before has shown
    host.clear_scene()
    yield
    left, waiting = host.take_unhandled(), host.under_wait_cursor()
    host.clear_scene()
    assert not waiting, f"dialogs under a wait cursor: {waiting!r}"
    if left:
        raise left[0]

"""Registration panel for tests."""

import numpy as np
import pytest
import slicer
from bridge_scene import (  # noqa: F401
    add_volume,
    add_warp,
    centered,
    finished,
    opened,
    process_events,
    scene_contents,
    turned,
)

from meddl_slicer.runs import verbs

MOTION = turned(8, (6.0, -4.0, 3.0))


def lobes(shape=(48, 44, 40)):
    """A smooth asymmetric object, int16."""
    places = np.indices(shape).reshape(3, -1).T - (np.array(shape) - 1) / 2
    image = np.zeros(len(places))
    for center, width, height in (((0, 0, 0), 11, 600), ((8, -5, 3), 4, 500), ((-9, 6, -4), 5, -400),
                                  ((3, 9, 8), 3, 700)):
        image += height * np.exp(-((places - center) ** 2).sum(axis=1) / (2 * width**2))
    return image.clip(0).reshape(shape).astype(np.int16)


@pytest.fixture
def pair(clean):
    affine = centered(np.diag([2.0, 2.0, 2.0]), (48, 44, 40))
    return add_volume(lobes(), affine, "fixed"), add_volume(lobes(), MOTION @ affine, "moving")


@pytest.fixture
def widget(pair):
    widget = opened("MedDLRegister").widget
    widget.ui.fixedSelector.setCurrentNode(pair[0])
    widget.ui.movingSelector.setCurrentNode(pair[1])
    yield widget
    widget.run.cancel()
    process_events(seconds=0.1)


def registrations() -> dict:
    """The transforms that MedDL found, by name."""
    return {node.GetName(): node for node in slicer.util.getNodesByClass("vtkMRMLTransformNode")
            if verbs.report_of(node)}


def from_parent(node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetMatrixTransformFromParent(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def largest_error_mm(found, truth):
    corners = np.array([[x, y, z, 1] for x in (-30, 30) for y in (-30, 30) for z in (-30, 30)], float)
    return np.linalg.norm((corners @ (found - truth).T)[:, :3], axis=1).max()


def check(widget, *names):
    for name in names:
        getattr(widget.ui, f"{name}CheckBox").checked = True

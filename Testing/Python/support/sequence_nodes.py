"""Sequence nodes for tests."""

from dataclasses import replace

import numpy as np
import slicer
from bridge_scene import LEFT_HANDED, add_volume, opened, process_events, ramp, scene_contents  # noqa: F401
from shell import AFFINE, blobs

from meddl.core.config import REGISTER_PRESETS

SHIFTS = np.array([[0.0, 0, 0], [1.5, 0, -1.0], [3.0, 1.0, -2.0]])
QUICK = replace(REGISTER_PRESETS["Time series"], transform_type="translation", levels_mm=(8.0, 4.0), samples=20_000)


def sequence(arrays, affine=AFFINE, name="series"):
    """A sequence of volumes at 0, 2.5, 5 ... s."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    for number, array in enumerate(arrays):
        volume = add_volume(array, affine, "frame")
        node.SetDataNodeAtValue(volume, f"{2.5 * number:g}")
        slicer.mrmlScene.RemoveNode(volume)
    return node


def drifting():
    return sequence([blobs(shift).scalar_data for shift in SHIFTS])

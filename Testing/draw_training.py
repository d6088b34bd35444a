"""Follows docs/tutorials/train.md step by step, with the real training, and draws its pictures.

    python Testing/draw_training.py

What the page asks for is done on the real panels, over the stand-in for Slicer's application; the slices are painted
from what is known about the samples. Prints what each round says.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ["MEDDL_CACHE"] = tempfile.mkdtemp()  # the user's own models stay as they are

import draw_screenshots as screenshots

sys.path.insert(0, str(screenshots.ROOT / "Testing" / "Python" / "support"))

import numpy as np
import slicer
from painted_samples import paint_all, paint_three_slices, ventricles_of
from tutorial_steps import MODULES, Reader, steps_of

import host
from meddl.measures.overlap import dice
from meddl_slicer.mrml.nodes import volume_from_node

# After which press of which button a picture is drawn, and of what.
PICTURES = {("Predict", 1): "train-paint", ("Predict the rest", 1): "train-model"}


def draw(name: str, reader: Reader) -> None:
    """The panel beside the views, with the segmentation that was made last."""
    node = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[-1]
    volume = slicer.util.getNode(node.GetName()[:len("MedDLHeads1")])
    node.CreateClosedSurfaceRepresentation()
    grid = volume_from_node(volume).grid
    center = tuple(grid.points_mm(np.argwhere(ventricles_of(volume)).mean(axis=0)))
    shown = {"background": volume, "segmentation": node, "segmentation_opacity": 0.55, "zoom": 1.5,
             "position_ras": center}
    pictures = screenshots.views(
        lambda **options: host.render.slice_view(**shown, **options),
        lambda path: host.render.three_d_view(path, size=(screenshots.VIEW, screenshots.VIEW), segmentation=node))
    panel = host.screenshot(reader.panel, Path(tempfile.mkdtemp()) / "panel.png", width=screenshots.PANEL_WIDTH)
    screenshots.compose(panel, pictures, screenshots.FOLDER / f"{name}.png")


def accuracy() -> dict[str, float]:
    """Dice of each segmentation in the scene with the truth about its sample."""
    found = {}
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        volume = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
        if volume is not None and node.GetSegmentation().GetNumberOfSegments():
            labels = slicer.util.arrayFromSegmentBinaryLabelmap(node, node.GetSegmentation().GetNthSegmentID(0), volume)
            found[node.GetName()] = float(dice((labels > 0).transpose(2, 1, 0), ventricles_of(volume), [1])[0])
    return found


def main() -> None:
    """Do every step of the page."""
    for name in MODULES.values():
        host.load_module(name)
    reader, pressed = Reader(paint_three_slices, paint_all), {}
    for step in steps_of("train"):
        print(step, flush=True)
        reader.do(step)
        if step.action != "press":
            continue
        pressed[step.control] = pressed.get(step.control, 0) + 1
        section = slicer.util.getModuleWidget("MedDLSeg").train
        print("   ", section.resultLabel.text, accuracy(), flush=True)
        name = PICTURES.get((step.control, pressed[step.control]))
        if name is not None:
            draw(name, reader)
    host.clear_scene()


if __name__ == "__main__":
    main()

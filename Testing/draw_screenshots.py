"""Draws Resources/Screenshots: each module's panel beside the views, after a real run on its tutorial's sample.

    python Testing/draw_screenshots.py              all modules
    python Testing/draw_screenshots.py MedDLSeg     one of them
    python Testing/draw_screenshots.py Change       the section of MedDLRegister, on two dates with known lesions

The panels are the real ones, over the stand-in for Slicer's application; the views come from the real
displayable managers.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "Resources" / "Screenshots"
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Python")]

import host  # noqa: E402

host.install()

import numpy as np  # noqa: E402
import slicer  # noqa: E402
from PIL import Image  # noqa: E402
from PySide6.QtGui import QColor, QImage, QPainter  # noqa: E402

from meddl import samples  # noqa: E402
from meddl.results import Segment, Segmentation  # noqa: E402
from meddl.spatial.resample import resample  # noqa: E402
from meddl.spatial.volume import Volume  # noqa: E402
from meddl_slicer.mrml import nodes, segmentations  # noqa: E402
from meddl_slicer.runs import verbs  # noqa: E402

PANEL_WIDTH, VIEW, GAP = 460, 420, 4
COLORS = 256  # of a picture, so that its file stays small
RUN_SECONDS = 900


def add_head(name: str, contrast: str, spacing_mm=1.0, seed: int = 0):
    """A sample head as a volume node, shown with a window that suits its contrast."""
    volume, _truth = samples.head(contrast, spacing_mm, seed)
    node = nodes.create_volume_node(volume, name)
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    return node


def point_in_brain(node) -> tuple[float, float, float]:
    """A point above the center of a head, beside the midline, in RAS mm: slices through it show the ventricles."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    center = [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]
    return (center[0] + 9, center[1] + 5, center[2] + 32)


def apply(widget) -> None:
    """Presses Apply and waits for the result."""
    if not widget.ui.applyButton.enabled:
        raise RuntimeError(f"Apply cannot be pressed: {widget.ui.applyButton.toolTip}")
    widget.ui.applyButton.click()
    host.wait_until(lambda: not widget.run.running, RUN_SECONDS)
    if host.errors():
        raise RuntimeError(str(host.errors()))


def run_segmentation(widget) -> list[Path]:
    """Segments a T1-weighted head; views: three slices and the surfaces."""
    head = add_head("MedDLHeadT1", "T1")
    widget.ui.inputSelector.setCurrentNode(head)
    widget.ui.show3DCheckBox.checked = True
    apply(widget)
    node = widget.ui.outputSelector.currentNode()
    shown = {"background": head, "segmentation": node, "segmentation_opacity": 0.55, "zoom": 1.1,
             "position_ras": point_in_brain(head)}
    return views(lambda **options: host.render.slice_view(**shown, **options),
                 lambda path: host.render.three_d_view(path, size=(VIEW, VIEW), segmentation=node, zoom=1.0))


def run_registration(widget) -> list[Path]:
    """Registers a T2-weighted head to a T1-weighted one of another shape; views: the overlay, and before it."""
    fixed, moving = add_head("MedDLHeadPairFixedT1", "T1"), add_head("MedDLHeadPairMovingT2", "T2", seed=7)
    widget.ui.presetComboBox.setCurrentText("Affine")
    widget.ui.fixedSelector.setCurrentNode(fixed)
    widget.ui.movingSelector.setCurrentNode(moving)
    apply(widget)
    warped = widget.ui.outputSelector.currentNode().GetNodeReference(verbs.WARPED_ROLE)
    for node in (moving, warped):
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeCyan")
        display.SetThreshold(0.12 * np.max(slicer.util.arrayFromVolume(node)), np.inf)
        display.SetApplyThreshold(True)  # the air around the head stays clear
    shown = {"background": fixed, "foreground_opacity": 0.45, "zoom": 1.1, "position_ras": point_in_brain(fixed)}
    return views(lambda **options: host.render.slice_view(foreground=warped, **shown, **options),
                 lambda path: host.render.slice_view(path, foreground=moving, size=(VIEW, VIEW), **shown))


def run_super_resolution(widget) -> list[Path]:
    """Makes the voxels of a head in 5 mm slices small; views: the result, and before it."""
    thick = add_head("MedDLHeadT2Thick", "T2", (1.0, 1.0, 5.0))
    widget.ui.inputSelector.setCurrentNode(thick)
    apply(widget)
    sharp = widget.ui.outputSelector.currentNode()
    thick.GetDisplayNode().SetInterpolate(False)  # its voxels as they are
    shown = {"zoom": 1.1, "position_ras": point_in_brain(thick)}
    return views(lambda **options: host.render.slice_view(background=sharp, **shown, **options),
                 lambda path: host.render.slice_view(path, background=thick, orientation="Coronal",
                                                     size=(VIEW, VIEW), **shown))


def run_follow_ups(widget) -> list[Path]:
    """Registers the second visit of each of two subjects to the first; views: an overlay, and before it."""
    tree, heads = slicer.mrmlScene.GetSubjectHierarchyNode(), {}
    for number, subject in enumerate(("Subject 1", "Subject 2")):
        folder = tree.CreateFolderItem(tree.GetSceneItemID(), subject)
        for visit in (2019, 2021):
            node = add_head(f"{subject}, {visit}", "T1", 2.0, number)
            origin = node.GetOrigin()
            node.SetOrigin(origin[0] + (visit - 2019) * 4, origin[1] - (visit - 2019) * (1 + number), origin[2])
            tree.SetItemParent(tree.GetItemByDataNode(node), folder)
            heads[subject, visit] = node
    fixed, moving = heads["Subject 1", 2019], heads["Subject 1", 2021]
    widget.ui.fixedSelector.setCurrentNode(fixed)
    widget.ui.movingSelector.setCurrentNode(moving)
    widget._scope.combo.currentIndex = widget._scope.combo.findData("follow-ups")
    apply(widget)
    warped = slicer.util.getNode("Subject 1, 2021 on Subject 1, 2019")
    for node in (moving, warped):
        node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeCyan")
    shown = {"background": fixed, "foreground_opacity": 0.45, "zoom": 1.1, "position_ras": point_in_brain(fixed)}
    return views(lambda **options: host.render.slice_view(foreground=warped, **shown, **options),
                 lambda path: host.render.slice_view(path, foreground=moving, size=(VIEW, VIEW), **shown))


LESIONS = (((27, -12, 30), 7, 8), ((-26, 22, 26), 6, 6), ((-24, -28, 34), 0, 5), ((22, 30, 24), 5, 0))
MOVED = np.array([[0.998, -0.06, 0, 3.0], [0.06, 0.998, 0, -2.0], [0, 0, 1, 4.0], [0, 0, 0, 1]])


def add_date(number: int, name: str):
    """A FLAIR head with lesions of known radii at one of two dates, the second moved, darker and with another noise;
    the volume node, and the lesions as a segmentation node."""
    head, _truth = samples.head("FLAIR", 1.5)
    shift = head.grid.center_mm
    points = head.grid.points_mm(np.stack(np.meshgrid(*map(np.arange, head.shape), indexing="ij"), axis=-1)) - shift
    mask = np.zeros(head.shape, np.uint8)
    for center, *radii in LESIONS:
        mask[np.linalg.norm(points - center, axis=-1) < radii[number]] = 1
    data = np.where(mask > 0, 1.5 * np.percentile(head.data, 98), head.scalar_data)
    labels, image = Volume.scalar(mask, head.affine), Volume.scalar(data.astype(np.float32), head.affine)
    if number:
        back = np.linalg.inv(MOVED)
        labels, image = resample(labels, head.grid, "nearest", transform=back), resample(image, head.grid, "cubic",
                                                                                         transform=back)
    noise = np.random.default_rng(number).normal(size=head.shape) * 0.02 * np.percentile(data, 98)
    image = Volume.scalar((image.scalar_data + noise) * (0.8 if number else 1.0), head.affine)
    node = nodes.create_volume_node(image, name)
    found = Segmentation(labels.scalar_data, head.affine, (Segment(1, "Lesion", (1.0, 0.3, 0.2)),))
    return node, segmentations.create_segmentation_node(found, node, f"{name} lesions")


def run_change(widget) -> list[Path]:
    """What has changed between two dates; views: the map over the baseline, and the follow-up as it was."""
    section = widget.change
    for button in (widget.ui.inputsCollapsibleButton, widget.ui.outputsCollapsibleButton):
        button.collapsed = True
    section.button.collapsed = False
    (first, before), (second, after) = add_date(0, "Baseline"), add_date(1, "Follow-up")
    for key, node in (("baseline", first), ("followUp", second), ("baselineLabels", before), ("followUpLabels", after)):
        section._selectors[key].setCurrentNode(node)
    apply(section)
    for node in (before, after):
        node.GetDisplayNode().SetVisibility(False)  # the lesions by state are shown
    shown = {"foreground_opacity": 1.0, "zoom": 0.93, "position_ras": tuple(
        np.add(LESIONS[0][0], nodes.volume_from_node(first).grid.center_mm))}
    return views(lambda **options: host.render.slice_view(background=first, foreground=section._node, **shown,
                                                          **options),
                 lambda path: host.render.slice_view(path, background=second, size=(VIEW, VIEW), **shown))


# Each picture by its name: that of the module, and after a "-" what is done in it.
RUNS: dict[str, Callable] = {
    "MedDLSeg": run_segmentation,
    "MedDLRegister": run_registration,
    "MedDLRegister-follow-ups": run_follow_ups,
    "MedDLSuperRes": run_super_resolution,
    "Change": run_change,
}
SECTIONS = {"Change": "MedDLRegister"}  # of pictures that show a section of a module


def views(draw_slice: Callable, draw_other: Callable) -> list[Path]:
    """Four pictures in the order of Slicer's Four-Up layout: axial, other, coronal, sagittal."""
    folder = Path(tempfile.mkdtemp())
    paths = [folder / f"{index}.png" for index in range(4)]
    draw_other(paths[1])
    for index, orientation in ((0, "Axial"), (2, "Coronal"), (3, "Sagittal")):
        draw_slice(path=paths[index], orientation=orientation, size=(VIEW, VIEW))
    return paths


def compose(panel: Path, pictures: list[Path], path: Path) -> None:
    """One picture of the panel and the four views, as in Slicer's window."""
    left = QImage(str(panel))
    side = 2 * VIEW + GAP
    image = QImage(left.width() + GAP + side, max(side, left.height()), QImage.Format.Format_RGB888)
    image.fill(QColor("black"))
    painter = QPainter(image)
    painter.fillRect(0, 0, left.width(), image.height(), left.pixelColor(2, left.height() - 2))
    painter.drawImage(0, 0, left)
    for index, picture in enumerate(pictures):
        x = left.width() + GAP + (index % 2) * (VIEW + GAP)
        painter.drawImage(x, (index // 2) * (VIEW + GAP), QImage(str(picture)))
    painter.end()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not image.save(str(path)):
        raise OSError(f"The picture could not be written to {path}")
    Image.open(path).quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


def draw(name: str) -> None:
    """Runs a module on its samples and writes the picture of this name."""
    module = name.partition("-")[0]
    host.clear_scene()
    loaded = host.load_module(SECTIONS.get(module, module))
    host.select_module(SECTIONS.get(module, module))
    pictures = RUNS[name](loaded.widget)
    host.wait_until(lambda: "About" in loaded.widget.ui.statusLabel.text, RUN_SECONDS)  # the next run is estimated
    panel = host.screenshot(loaded.representation, Path(tempfile.mkdtemp()) / "panel.png", width=PANEL_WIDTH)
    compose(panel, pictures, FOLDER / f"{name}.png")
    node = loaded.widget.change._node if name == "Change" else loaded.widget.ui.outputSelector.currentNode()
    print(f"{name}: {verbs.report_of(node).get('seconds')}")


def main() -> None:
    """Draws the pictures named on the command line, or all."""
    parser = argparse.ArgumentParser(description="Draw the modules' panels and views again.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(RUNS)}; default: all")
    names = parser.parse_args().names or list(RUNS)
    unknown = sorted(set(names) - RUNS.keys())
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(RUNS)}")
    for name in names:
        draw(name)
    host.clear_scene()


if __name__ == "__main__":
    main()

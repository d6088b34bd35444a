"""Draws Resources/Screenshots/smaller-model.png: the section *Smaller model* after a real run, its table, its labels.

    python Testing/draw_smaller_model.py [--trained 3] [--minutes 2] [--cases 20]

A network for the hippocampus is trained on the first cases by name of the Medical Segmentation Decathlon (MEDDL_DATA)
for --trained minutes and made smaller in the panel with these as nodes of the scene, over the stand-in for Slicer's
application. Both networks then segment a case that neither has seen.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
CACHE = Path(tempfile.mkdtemp())
os.environ["MEDDL_CACHE"] = str(CACHE)  # the user's own models stay as they are
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Python"), str(ROOT / "Testing" / "Python" / "support"),
                str(ROOT / "Testing" / "Benchmarks")]

import host  # noqa: E402

host.install()

import slicer  # noqa: E402
from bench_train import cases_of  # noqa: E402
from drawn_page import draw_page, draw_section, html_table  # noqa: E402

import meddl  # noqa: E402
from meddl.core.paths import data_folder  # noqa: E402
from meddl.results import Segment, Segmentation  # noqa: E402
from meddl_slicer.mrml.nodes import create_volume_node  # noqa: E402
from meddl_slicer.mrml.segmentations import create_segmentation_node  # noqa: E402

PICTURE = ROOT / "Resources" / "Screenshots" / "smaller-model.png"
MODEL, LARGE_ID = "Hippocampus", "hippocampus"
SMALL, SMALL_ID = "Hippocampus small", "hippocampus-small"
STRUCTURES = Segment(1, "Anterior", (0.9, 0.6, 0.2)), Segment(2, "Posterior", (0.3, 0.7, 0.9))
PANEL_WIDTH, VIEW, WIDTH, RUN_SECONDS = 420, 250, 1000, 3000


def train(folder: Path, arguments: argparse.Namespace) -> str:
    """Train the large network, and put its cases into the scene; a case that is not among them."""
    names, others = cases_of(data_folder(), arguments.cases, 1)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for name in names:
        (folder / "images" / name).symlink_to(data_folder() / "hippocampus" / "images" / name)
        add_case(name, folder / "labels" / name.replace(".nii.gz", ".seg.nrrd"))
    meddl.train(folder / "images", folder / "labels", out=folder / "run", name=MODEL, device="cpu",
                config=meddl.TrainConfig(minutes=arguments.trained, width=1.0))
    return others[0]


def add_case(name: str, labels: Path) -> None:
    """A volume node with its segmentation, which is written, too: with the names of its segments."""
    folder, stem = data_folder() / "hippocampus", name.partition(".")[0]
    node = create_volume_node(meddl.load(folder / "images" / name), stem)
    found = meddl.load_segmentation(folder / "labels" / name)
    named = Segmentation(found.labels, found.affine, STRUCTURES)
    meddl.save_segmentation(named, labels)
    create_segmentation_node(named, node, f"{stem} labels")


def make_smaller(module, arguments: argparse.Namespace):
    """Run the section on the nodes of the scene; the table node of its figures."""
    widget = module.widget
    widget.updateModels()
    widget._parameterNode.model = LARGE_ID
    section = widget.train.smaller
    section.button.collapsed = False
    section.keep("name", SMALL)
    section.keepConfig(meddl.ShrinkConfig(minutes=arguments.minutes))
    section.update()
    if not section.ui.applyButton.enabled:
        raise RuntimeError(section.ui.stageLabel.text)
    section.ui.applyButton.click()
    host.wait_until(lambda: not section.run.running, RUN_SECONDS)
    print(section.resultLabel.text, flush=True)
    if host.errors():
        raise RuntimeError(str(host.errors()))
    return section._table


def rows_of(table) -> list[list[str]]:
    """The cells of a table node."""
    content = table.GetTable()
    return [[content.GetValue(row, column).ToString() for column in range(content.GetNumberOfColumns())]
            for row in range(content.GetNumberOfRows())]


def draw_labels(name: str, folder: Path) -> None:
    """A case by the labels of both networks, FOLDER/0.png and 1.png."""
    node = create_volume_node(meddl.load(data_folder() / "hippocampus" / "images" / name), name.partition(".")[0])
    logic = slicer.util.getModuleLogic("MedDLSeg")
    for number, model in enumerate((LARGE_ID, SMALL_ID)):
        found = logic.segment(node, model=model)
        host.render.slice_view(folder / f"{number}.png", orientation="Sagittal", background=node, segmentation=found,
                               size=(VIEW, VIEW), segmentation_opacity=0.5)


def main() -> None:
    """Train, make smaller and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", type=float, default=3.0, help="minutes of the large network's training")
    parser.add_argument("--minutes", type=float, default=2.0, help="of the distillation")
    parser.add_argument("--cases", type=int, default=20)
    arguments = parser.parse_args()
    other = train(CACHE, arguments)
    module = host.load_module("MedDLSeg")
    table = rows_of(make_smaller(module, arguments))
    module.widget._parameterNode.model = LARGE_ID  # the panel has chosen the small one
    draw_section(module, module.widget.train.smaller, CACHE / "panel.png", PANEL_WIDTH)
    draw_labels(other, CACHE)
    labels = "".join(f"<td>{model}<br><img src='{CACHE}/{number}.png'></td>"
                     for number, model in enumerate((MODEL, SMALL)))
    figures = html_table(("Figure", "Before", "After"), table)
    draw_page(f"<table><tr><td width='{PANEL_WIDTH + 20}'><p><img src='{CACHE}/panel.png'></p></td><td>{figures}"
              f"<p></p><table cellspacing='8'><tr>{labels}</tr></table></td></tr></table>", PICTURE, WIDTH)
    host.clear_scene()


if __name__ == "__main__":
    main()

"""Draws Resources/Screenshots/smaller-model.png: the section *Smaller model* after a real run, its table, its labels.

    python Testing/draw_smaller_model.py [--trained 200 | --model FOLDER] [--steps 200] [--speedup 1.3]
        [--dice-loss 0.02] [--cases 20]

A network for the hippocampus is trained on the first cases by name of the Medical Segmentation Decathlon (MEDDL_DATA),
or one that was trained before is installed, and is made smaller in the panel with these as nodes of the scene, over the
stand-in for Slicer's application. Both networks then segment a case that neither has seen.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
CACHE = Path(tempfile.mkdtemp())
os.environ["MEDDL_CACHE"] = str(CACHE)  # the user's own models stay as they are
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Python"), str(ROOT / "Testing" / "Python" / "support"),
                str(ROOT / "Testing" / "Benchmarks")]

import host  # noqa: E402

host.install()

import numpy as np  # noqa: E402
import slicer  # noqa: E402
from bench_train import cases_of  # noqa: E402
from drawn_page import draw_page, draw_section, html_table  # noqa: E402

import meddl  # noqa: E402
from meddl.core.paths import data_folder  # noqa: E402
from meddl.models.store.store import ModelStore  # noqa: E402
from meddl.results import Segment, Segmentation  # noqa: E402
from meddl_slicer.mrml.nodes import create_volume_node  # noqa: E402
from meddl_slicer.mrml.segmentations import create_segmentation_node  # noqa: E402
from meddl_slicer.runs import verbs  # noqa: E402

PICTURE = ROOT / "Resources" / "Screenshots" / "smaller-model.png"
STRUCTURE = Segment(1, "Hippocampus", (0.9, 0.6, 0.2))
SMALL, SMALL_ID = "Hippocampus small", "hippocampus-small"
PANEL_WIDTH, VIEW, WIDTH, RUN_SECONDS = 420, 250, 1000, 3000


def put_cases(folder: Path, count: int) -> str:
    """The first cases as nodes of the scene, and as files; the name of one that is not among them."""
    names, others = cases_of(data_folder(), count, 1)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for name in names:
        stem, source = name.partition(".")[0], data_folder() / "hippocampus"
        (folder / "images" / name).symlink_to(source / "images" / name)
        found = meddl.load_segmentation(source / "labels" / name)
        whole = Segmentation((found.labels > 0).astype(np.uint8), found.affine, (STRUCTURE,))
        meddl.save_segmentation(whole, folder / "labels" / f"{stem}.seg.nrrd")
        node = create_volume_node(meddl.load(source / "images" / name), stem)
        create_segmentation_node(whole, node, f"{stem} labels")
    return others[0]


def put_model(folder: Path, arguments: argparse.Namespace) -> str:
    """Install the large network; its identifier."""
    if arguments.model is not None:
        card = ModelStore().install(arguments.model)
        ModelStore().accept_license(card.id)
        return card.id
    return meddl.train(folder / "images", folder / "labels", out=folder / "run", name=STRUCTURE.name, device="cpu",
                       config=meddl.TrainConfig(steps=arguments.trained)).card.id


def make_smaller(module, large: str, arguments: argparse.Namespace):
    """Run the section on the nodes of the scene; the table node of its figures."""
    widget = module.widget
    widget.updateModels()
    widget._parameterNode.model = large
    section = widget.train.smaller
    section.button.collapsed = False
    section.keep("name", SMALL)
    section.keepConfig(meddl.ShrinkConfig(steps=arguments.steps, speedup=arguments.speedup,
                                            dice_loss=arguments.dice_loss))
    section.update()
    if not section.ui.applyButton.enabled:
        raise RuntimeError(section.ui.stageLabel.text)
    section.ui.applyButton.click()
    host.wait_until(lambda: time.sleep(0.5) or not section.run.running, RUN_SECONDS)
    if host.errors() or verbs.report_of(section._table)["model"] is None:
        raise RuntimeError(f"{host.errors()} {section.resultLabel.text}")
    return section._table


def rows_of(table) -> list[list[str]]:
    """The cells of a table node."""
    content = table.GetTable()
    return [[content.GetValue(row, column).ToString() for column in range(content.GetNumberOfColumns())]
            for row in range(content.GetNumberOfRows())]


def draw_labels(name: str, large: str, folder: Path) -> None:
    """A case by the labels of both networks, FOLDER/0.png and 1.png."""
    node = create_volume_node(meddl.load(data_folder() / "hippocampus" / "images" / name), name.partition(".")[0])
    logic = slicer.util.getModuleLogic("MedDLSeg")
    for number, model in enumerate((large, SMALL_ID)):
        found = logic.segment(node, model=model)
        host.render.slice_view(folder / f"{number}.png", orientation="Sagittal", background=node, segmentation=found,
                               size=(VIEW, VIEW), segmentation_opacity=0.5)


def main() -> None:
    """Train, make smaller and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", type=int, default=200, help="steps of the large network's training")
    parser.add_argument("--model", type=Path, help="folder of a large network that was trained before")
    parser.add_argument("--steps", type=int, default=200, help="of the distillation")
    parser.add_argument("--speedup", type=float, default=1.3)
    parser.add_argument("--dice-loss", type=float, default=0.02)
    parser.add_argument("--cases", type=int, default=20)
    arguments = parser.parse_args()
    other = put_cases(CACHE, arguments.cases)
    large, module = put_model(CACHE, arguments), host.load_module("MedDLSeg")
    table = rows_of(make_smaller(module, large, arguments))
    module.widget._parameterNode.model = large  # the panel has chosen the small one
    draw_section(module, module.widget.train.smaller, CACHE / "panel.png", PANEL_WIDTH)
    draw_labels(other, large, CACHE)
    labels = "".join(f"<td>{model}<br><img src='{CACHE}/{number}.png'></td>"
                     for number, model in enumerate((STRUCTURE.name, SMALL)))
    figures = html_table(("Figure", "Before", "After"), table)
    draw_page(f"<table><tr><td width='{PANEL_WIDTH + 20}'><p><img src='{CACHE}/panel.png'></p></td><td>{figures}"
              f"<p></p><table cellspacing='8'><tr>{labels}</tr></table></td></tr></table>", PICTURE, WIDTH)
    host.clear_scene()


if __name__ == "__main__":
    main()

"""The demo on MRML nodes: the three modules' jobs on the embedded head, or on a volume of your own.

    python Testing/demo.py [--input FILE] [-o demo-output] [--device auto] [--spacing 1.0]

The modules are the real ones, over the stand-in for Slicer's application; they run in the worker process, and the
pictures come from MRML's own slice and 3D views. What is shown and how it is judged is `meddl.demo`'s.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "MedDLLib"), str(ROOT / "Testing" / "Python")]

import host  # noqa: E402

host.install()

import slicer  # noqa: E402

from meddl import demo  # noqa: E402
from meddl.core.config import REGISTER_PRESETS  # noqa: E402
from meddl.core.errors import MedDLError  # noqa: E402
from meddl.results import SuperResolution  # noqa: E402
from meddl_slicer.mrml import nodes, transforms  # noqa: E402
from meddl_slicer.runs import tasks, verbs  # noqa: E402

VIEW = (400, 400)
MODULES = ("MedDLSeg", "MedDLRegister", "MedDLSuperRes")


def run_modules(story, device: str) -> tuple[dict, dict[str, float]]:
    """Run the three modules' logics on nodes of the story's volumes; returns nodes by name and seconds by verb."""
    for module in MODULES:
        host.load_module(module)
    scene = {name: nodes.create_volume_node(volume, title) for name, volume, title in (
        ("head", story.head, "Head"), ("moving", story.moving, "Moving head"), ("other", story.other, "Other head"),
        ("thick", story.thick, "Thick slices")) if volume is not None}
    tasks.warm_up()
    logics = [slicer.util.getModuleLogic(module) for module in MODULES]
    deform = {"config": REGISTER_PRESETS["Deformable"], "warp": True, "device": device}
    work = [
        ("segment", "segmentation", lambda: logics[0].segment(scene["head"], show3D=True, device=device)),
        ("register", "transform", lambda: logics[1].register(scene["head"], scene["moving"], warp=True, device=device)),
        ("deform", "deformation", lambda: logics[1].register(scene["head"], scene["other"], **deform)),
        ("super_resolve", "sharp", lambda: logics[2].superResolve(scene["thick"], device=device)),
    ]
    if story.other is None:
        del work[2]
    seconds = {}
    for verb, name, call in work:
        say({"segment": "Segmenting", "register": "Registering", "deform": "Registering with a deformation",
             "super_resolve": "Sharpening"}[verb])
        started = time.perf_counter()
        scene[name] = call()
        seconds[verb] = time.perf_counter() - started
    scene["warped"] = scene["transform"].GetNodeReference(verbs.WARPED_ROLE)
    if "deformation" in scene:
        scene["warped_other"] = scene["deformation"].GetNodeReference(verbs.WARPED_ROLE)
    return scene, seconds


def write_results(scene: dict, folder: Path) -> None:
    """Save the nodes as Slicer does."""
    files = {"head": "head.nii.gz", "segmentation": "head.seg.nrrd", "moving": "moving.nii.gz",
             "transform": "moving-to-head.tfm", "warped": "moving-on-head.nii.gz", "other": "other.nii.gz",
             "deformation": "other-to-head.nii.gz", "warped_other": "other-on-head.nii.gz", "thick": "thick.nii.gz",
             "sharp": "sharp.nii.gz"}
    for name, file in files.items():
        if name not in scene:
            continue
        (folder / file).unlink(missing_ok=True)
        if not slicer.util.saveNode(scene[name], str(folder / file)):
            raise OSError(f"'{folder / file}' could not be written.")


def judge(story, scene: dict, seconds: dict[str, float], folder: Path) -> dict:
    """The findings, from what the nodes hold (the segmentation from its file)."""
    from meddl.demo.report import findings
    from meddl.io import load_segmentation

    saved = load_segmentation(folder / "head.seg.nrrd")
    saved.report.update(verbs.report_of(scene["segmentation"]))
    registration = transforms.registration_from_node(scene["transform"], story.head.grid)
    registration.report.update(verbs.report_of(scene["transform"]))
    deformation = None
    if "deformation" in scene:
        deformation = transforms.registration_from_node(scene["deformation"], story.head.grid)
        deformation.report.update(verbs.report_of(scene["deformation"]))
    sharp = SuperResolution(nodes.volume_from_node(scene["sharp"]), verbs.report_of(scene["sharp"]))
    return findings(story, saved, registration, deformation, sharp, seconds)


def draw(story, scene: dict, folder: Path, found: dict) -> None:
    """Pictures from MRML's views, with captions and legends."""
    from meddl.demo.report import registration_texts
    from meddl.demo.sheets import cubic_volume
    from meddl.io import load_segmentation
    from meddl.pictures.lettering import caption, legend
    from meddl.pictures.sheet import legend_of
    from meddl.pictures.slices import stack, write

    render = host.render
    segmentation, head = scene["segmentation"], scene["head"]
    point = middle_of(segmentation)
    views = {"size": VIEW, "position_ras": point}
    picture = render.slice_views(None, head, segmentation, segmentation_opacity=0.55, **views)
    score = f"; mean Dice {found['segmentation']['mean_dice']:.2f}" if "mean_dice" in found["segmentation"] else ""
    key = legend(legend_of(load_segmentation(folder / "head.seg.nrrd")), picture.shape[1])
    write(stack(caption(picture, f"Segmentation of {story.name} by {found['segmentation']['model']}{score}"), key),
          folder / "segmentation-slices.png")
    render.three_d_view(folder / "segmentation-3d.png", (800, 800), segmentation, direction=(-0.8, 0.9, 0.5), zoom=1.4)
    segmentation.GetDisplayNode().SetVisibility(False)
    texts = registration_texts(found)
    draw_registration(scene, ("moving", "warped"), folder / "registration.png", views, texts[0])
    if "deformation" in scene:
        draw_registration(scene, ("other", "warped_other"), folder / "deformation.png", views, texts[1])
    scene["thick"].GetDisplayNode().SetInterpolate(False)  # its voxels as they are
    scene["cubic"] = nodes.create_volume_node(cubic_volume(story.thick), "Cubic interpolation")
    figures = found["super_resolution"]
    psnr = {name: f": {figures[key]:.1f} dB" if key in figures else ""
            for name, key in (("cubic", "cubic_psnr_db"), ("sharp", "psnr_db"))}
    rows = (("thick", "Measured slices, each voxel as a block"), ("cubic", f"Cubic interpolation{psnr['cubic']}"),
            ("sharp", f"MedDL, method {figures['method']}{psnr['sharp']}"))
    write(stack(*(caption(render.slice_views(None, scene[name], foreground_opacity=0.0,
                                             orientations=("Coronal", "Sagittal"), **views), text)
                  for name, text in rows)), folder / "super-resolution.png")


def draw_registration(scene: dict, moving: tuple[str, str], path: Path, views: dict, texts: tuple[str, str]) -> None:
    """Fixed in magenta plus moving in green, before and after: what agrees is gray."""
    from meddl.pictures.lettering import caption, legend
    from meddl.pictures.slices import GREEN, MAGENTA, stack, write

    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    colors = {"head": "Magenta", **dict.fromkeys(moving, "Green")}
    for name, color in colors.items():
        scene[name].GetDisplayNode().SetAndObserveColorNodeID(f"vtkMRMLColorTableNode{color}")
    for node in composites:
        node.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Add)
    rows = [caption(host.render.slice_views(None, scene["head"], foreground=scene[name], foreground_opacity=1.0,
                                            **views), text) for name, text in zip(moving, texts, strict=True)]
    for node in composites:
        node.SetCompositing(slicer.vtkMRMLSliceCompositeNode.Alpha)
    for name in colors:
        scene[name].GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    key = legend([("fixed volume", MAGENTA), ("moving volume", GREEN), ("both alike", (190, 190, 190))],
                 rows[0].shape[1])
    write(stack(*rows, key), path)


def middle_of(node) -> list[float]:
    """A point beside the midline and above the center of a segmented brain, RAS mm: the ventricles are near."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    center = [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]
    return [center[0] + 9, center[1], center[2] + 12]


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description="Run the three modules on a sample head, or on a volume of your own.")
    demo.add_arguments(parser)
    arguments = parser.parse_args()
    from meddl.demo.report import sizes_text, text
    from meddl.demo.run import write_report
    from meddl.demo.story import make_story

    started = time.perf_counter()
    folder = Path(arguments.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        say("Making the volumes")
        story = make_story(arguments.input, arguments.spacing)
        scene, seconds = run_modules(story, arguments.device)
        say("Writing results and pictures")
        write_results(scene, folder)
        findings = judge(story, scene, seconds, folder)
        write_report(findings, folder)
    except MedDLError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    finally:
        tasks.close_worker()
    if host.render.supported():
        draw(story, scene, folder, findings)
    else:
        say("No pictures: VTK needs Mesa's libegl1 or libosmesa6 to draw without a screen.")
    host.clear_scene()
    print(f"\n{text(findings)}, {time.perf_counter() - started:.0f} s in all\n\n{sizes_text(folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The demo without Slicer: run the three verbs, write results, pictures and a report."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from meddl.core.progress import ProgressCallback, report, span

OUTPUT = "demo-output"
REPORT_FILE = "report.json"


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `meddl demo`."""
    parser.add_argument("--input", metavar="FILE", help="a volume of your own; default: the embedded head, "
                        "whose true labels are known")
    parser.add_argument("-o", "--output", metavar="DIR", default=OUTPUT, help="folder for results (%(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    parser.add_argument("--spacing", metavar="MM", type=float, default=1.0,
                        help="voxel size of the embedded head in mm (%(default)s)")


def run(arguments: Namespace, on_progress: ProgressCallback | None = None) -> int:
    """`meddl demo`: run it and write the report to standard output. Returns the exit status."""
    from meddl.demo.report import sizes_text, text

    found = run_demo(arguments.output, arguments.input, arguments.device, arguments.spacing, on_progress=on_progress)
    sys.stdout.write(f"\n{text(found)}\n\n{sizes_text(arguments.output)}\n")
    return 0


def run_demo(output: str | Path = OUTPUT, path: str | Path | None = None, device: str = "auto",
             spacing_mm: float = 1.0, *, on_progress: ProgressCallback | None = None) -> dict:
    """Segment a head, register it after a known motion, deform another head to it, sharpen thick slices of it.

    Args:
        output: folder for result files (head.nii.gz, head.seg.nrrd, moving.nii.gz, moving-to-head.tfm,
            moving-on-head.nii.gz, thick.nii.gz, sharp.nii.gz; of the embedded head also other.nii.gz,
            other-to-head.nii.gz, other-on-head.nii.gz), pictures (PNG) and report.json; made if needed.
        path: a volume; None: the embedded head.
        spacing_mm: voxel size of the embedded head.

    Returns:
        The findings: see `meddl.demo.report.findings`.

    Raises:
        MedDLError: the volume cannot be read or used.
        Cancelled: from `on_progress`.
    """
    from meddl.core.config import REGISTER_PRESETS
    from meddl.demo.report import findings
    from meddl.demo.story import make_story
    from meddl.registration import register
    from meddl.segmentation import segment
    from meddl.superres import super_resolve

    report(on_progress, 0.0, "Making the volumes")
    story = make_story(path, spacing_mm)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}

    def measure_time(name: str, start: float, stop: float, verb, *arguments):
        started = time.perf_counter()
        result = verb(*arguments, device=device, on_progress=span(on_progress, start, stop))
        seconds[name] = time.perf_counter() - started
        return result

    segmentation = measure_time("segment", 0.1, 0.35, segment, story.head)
    registration = measure_time("register", 0.35, 0.45, register, story.head, story.moving)
    deformation = None
    if story.other is not None:
        deformation = measure_time("deform", 0.45, 0.7, register, story.head, story.other,
                                   REGISTER_PRESETS["Deformable"])
    sharp = measure_time("super_resolve", 0.7, 0.8, super_resolve, story.thick)
    report(on_progress, 0.8, "Writing results and pictures")
    found = findings(story, segmentation, registration, deformation, sharp, seconds)
    write_report(found, folder)
    _write_results(folder, story, segmentation, registration, deformation, sharp)
    _write_pictures(folder, story, segmentation, registration, deformation, sharp, found)
    report(on_progress, 1.0, "Done")
    return found


def write_report(found: dict, folder: Path) -> None:
    """The findings as `report.json`."""
    (folder / REPORT_FILE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _write_results(folder: Path, story, segmentation, registration, deformation, sharp) -> None:
    from meddl.io import save, save_segmentation

    save(story.head, folder / "head.nii.gz")
    save_segmentation(segmentation, folder / "head.seg.nrrd")
    save(story.moving, folder / "moving.nii.gz")
    registration.save(folder / "moving-to-head.tfm")
    save(registration.warp(story.moving).astype(story.moving.data.dtype), folder / "moving-on-head.nii.gz")
    if deformation is not None:
        save(story.other, folder / "other.nii.gz")
        deformation.save(folder / "other-to-head.nii.gz")
        save(deformation.warp(story.other).astype(story.other.data.dtype), folder / "other-on-head.nii.gz")
    save(story.thick, folder / "thick.nii.gz")
    save(sharp.volume, folder / "sharp.nii.gz")


def _write_pictures(folder: Path, story, segmentation, registration, deformation, sharp, found: dict) -> None:
    from meddl.demo.report import registration_texts
    from meddl.demo.sheets import registration_sheet, segmentation_sheet, super_resolution_sheet
    from meddl.pictures.slices import middle

    point = middle(story.head, segmentation)
    segmentation_sheet(story, segmentation, found["segmentation"]).save(folder / "segmentation.png")
    texts = registration_texts(found)
    registration_sheet(story, story.moving, registration, point, texts[0]).save(folder / "registration.png")
    if deformation is not None:
        registration_sheet(story, story.other, deformation, point, texts[1]).save(folder / "deformation.png")
    super_resolution_sheet(story, sharp, found["super_resolution"]).save(folder / "super-resolution.png")

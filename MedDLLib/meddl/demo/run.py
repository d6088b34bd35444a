"""The demo without Slicer: run the three verbs, write results, pictures and a report."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from meddl.progress import ProgressCallback, report, span

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
    from meddl.demo.report import text

    found = run_demo(arguments.output, arguments.input, arguments.device, arguments.spacing, on_progress=on_progress)
    sys.stdout.write(f"\n{text(found)}\nResults and pictures: {arguments.output}\n")
    return 0


def run_demo(output: str | Path = OUTPUT, path: str | Path | None = None, device: str = "auto",
             spacing_mm: float = 1.0, *, on_progress: ProgressCallback | None = None) -> dict:
    """Segment a head, register it to itself after a known motion, sharpen thick slices of it.

    Args:
        output: folder for result files (head.nii.gz, head.seg.nrrd, moving.nii.gz, moving-to-head.tfm,
            moving-on-head.nii.gz, thick.nii.gz, sharp.nii.gz), pictures (PNG) and report.json; made if needed.
        path: a volume; None: the embedded head.
        spacing_mm: voxel size of the embedded head.

    Returns:
        The findings: see `meddl.demo.report.findings`.

    Raises:
        MedDLError: the volume cannot be read or used.
        Cancelled: from `on_progress`.
    """
    from meddl.demo.report import findings
    from meddl.demo.story import make_story
    from meddl.registration import register
    from meddl.segmentation import segment
    from meddl.superres import super_resolve

    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    report(on_progress, 0.0, "Making the volumes")
    story = make_story(path, spacing_mm)
    seconds: dict[str, float] = {}

    def timed(start: float, stop: float, verb, *arguments):
        started = time.perf_counter()
        result = verb(*arguments, device=device, on_progress=span(on_progress, start, stop))
        seconds[verb.__name__] = time.perf_counter() - started
        return result

    segmentation = timed(0.1, 0.5, segment, story.head)
    registration = timed(0.5, 0.75, register, story.head, story.moving)
    sharp = timed(0.75, 0.8, super_resolve, story.thick)
    report(on_progress, 0.8, "Writing results and pictures")
    found = findings(story, segmentation, registration, sharp, seconds)
    write_report(found, folder)
    _write_results(folder, story, segmentation, registration, sharp)
    _write_pictures(folder, story, segmentation, registration, sharp)
    report(on_progress, 1.0, "Done")
    return found


def write_report(found: dict, folder: Path) -> None:
    """The findings as `report.json`."""
    (folder / REPORT_FILE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _write_results(folder: Path, story, segmentation, registration, sharp) -> None:
    from meddl.io import save, save_segmentation

    save(story.head, folder / "head.nii.gz")
    save_segmentation(segmentation, folder / "head.seg.nrrd")
    save(story.moving, folder / "moving.nii.gz")
    registration.save(folder / "moving-to-head.tfm")
    save(registration.warp(story.moving), folder / "moving-on-head.nii.gz")
    save(story.thick, folder / "thick.nii.gz")
    save(sharp.volume, folder / "sharp.nii.gz")


def _write_pictures(folder: Path, story, segmentation, registration, sharp) -> None:
    from meddl.demo.pictures import beside, middle, slices, stacked, write

    point = middle(story.head, segmentation)
    write(stacked(slices(story.head, point_mm=point), slices(story.head, segmentation, point)),
          folder / "segmentation.png")
    before = slices(story.head, point_mm=point, over=story.moving)
    after = slices(story.head, point_mm=point, over=registration.warp(story.moving))
    write(stacked(before, after), folder / "registration.png")
    volumes = [story.thick, sharp.volume, *([story.fine] if story.fine is not None else [])]
    write(beside(*(slices(volume, views=("coronal",), size=400, nearest=volume is story.thick)
                   for volume in volumes)), folder / "super-resolution.png")

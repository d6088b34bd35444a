"""The demo without Slicer: run the three verbs, write results, pictures and a report."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

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


def run(arguments: Namespace) -> int:
    """`meddl demo`; returns the exit status."""
    from meddl.demo.report import text

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    report = run_demo(arguments.output, arguments.input, arguments.device, arguments.spacing, say)
    sys.stdout.write(f"\n{text(report)}\nResults and pictures: {arguments.output}\n")
    return 0


def run_demo(output: str | Path = OUTPUT, path: str | Path | None = None, device: str = "auto",
             spacing_mm: float = 1.0, say: Callable[[str], None] | None = None) -> dict:
    """Segment a head, register it to itself after a known motion, sharpen thick slices of it.

    Args:
        output: folder for result files (head.nii.gz, head.seg.nrrd, moving.nii.gz, moving-to-head.tfm,
            moving-on-head.nii.gz, thick.nii.gz, sharp.nii.gz), pictures (PNG) and report.json; made if needed.
        path: a volume; None: the embedded head.
        spacing_mm: voxel size of the embedded head.
        say: called with a line before each step.

    Returns:
        The findings: see `meddl.demo.report.findings`.
    """
    from meddl.demo.report import findings
    from meddl.demo.story import make_story
    from meddl.registration import register
    from meddl.segmentation import segment
    from meddl.superres import super_resolve

    say = say or (lambda line: None)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    say("Making the volumes")
    story = make_story(path, spacing_mm)
    seconds: dict[str, float] = {}

    def timed(verb, *arguments):
        started = time.perf_counter()
        result = verb(*arguments, device=device)
        seconds[verb.__name__] = time.perf_counter() - started
        return result

    say("Segmenting")
    segmentation = timed(segment, story.head)
    say("Registering")
    registration = timed(register, story.head, story.moving)
    say("Sharpening")
    sharp = timed(super_resolve, story.thick)
    say("Writing results and pictures")
    report = findings(story, segmentation, registration, sharp, seconds)
    write_report(report, folder)
    _write_results(folder, story, segmentation, registration, sharp)
    _write_pictures(folder, story, segmentation, registration, sharp)
    return report


def write_report(report: dict, folder: Path) -> None:
    """The findings as `report.json`."""
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


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

"""`meddl info`: what a file says of its volume, and what the volume looks like."""

import argparse
import json
import textwrap
import warnings
from pathlib import Path

from meddl.core.errors import FileWarning
from meddl.core.progress import ProgressCallback


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("input", metavar="FILE", type=Path,
                        help="a volume: NIfTI, NRRD, MetaImage, or DICOM: a folder, or a file of a series")
    parser.add_argument("--component", metavar="N", type=int, default=None,
                        help="which time point, echo, b-value or component to look at, from 0 (default: the first)")
    parser.add_argument("--series", metavar="S", default=None,
                        help="which series of a DICOM folder: its UID, or its place from 0")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> int:
    """Print it; what speaks against the file goes to standard error. Raises as `meddl.load`."""
    from meddl.recognition.info import info

    series = arguments.series
    found = info(arguments.input, arguments.component,
                 int(series) if series is not None and series.isdecimal() else series)
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    for label, text in lines_of(found):
        print(textwrap.fill(text, 110, initial_indent=f"{label:<12}", subsequent_indent=" " * 12))
    for text in found["warnings"]:
        warnings.warn(text, FileWarning, stacklevel=2)
    return 0


def lines_of(found: dict) -> list[tuple[str, str]]:
    """Label and text of each line about what `info` has found."""
    spaces = found["space"]
    values = ("no finite number" if found["minimum"] is None else
              f"{found['minimum']:g} to {found['maximum']:g} (in a sample of the voxels)")
    if found["invalid_fraction"]:
        values += f"; {100 * found['invalid_fraction']:.1f} % not finite"
    oblique = f", {found['oblique_deg']:g} degrees oblique" if found["oblique_deg"] else ""
    shown = found["display_range"]
    lines = [
        ("file", found["file"]), ("voxels", f"{_by(found['voxels'])}, {found['type']}"),
        ("voxel size", f"{_by(found['spacing_mm'])} mm"), ("extent", f"{_by(found['extent_mm'])} mm"),
        ("axes", f"{found['axes']}{oblique}"),
        ("components", str(found["components"]) if found["components"] > 1 else ""), ("values", values),
        ("shown", f"{shown[0]:g} to {shown[1]:g}" if shown else ""), ("description", found["description"]),
        ("space", f"qform: {spaces[0]}; sform: {spaces[1]}" if spaces else ""), ("looks like", found["looks_like"])]
    return [(label, text) for label, text in lines if text]


def _by(numbers: list) -> str:
    return " x ".join(f"{number:g}" for number in numbers)

"""Options that several commands share: volumes to read, device, report."""

import argparse
from pathlib import Path

import meddl


def add_volume(parser: argparse.ArgumentParser, name: str, text: str, prefix: str = "",
               several: bool = False) -> None:
    """A volume (or several) to read, and which part of it: `meddl.load`'s arguments."""
    parser.add_argument(name, metavar=name.upper(), type=Path, nargs="+" if several else None,
                        help=f"{text}: NIfTI, NRRD, MetaImage, or DICOM: a folder, or a file of a series")
    parser.add_argument(f"--{prefix}component", metavar="N", type=int, default=None,
                        help=f"which time point, echo, b-value or component of {name.upper()}, from 0, where it has "
                        "several")
    parser.add_argument(f"--{prefix}series", metavar="S", default=None,
                        help=f"which series of the DICOM folder {name.upper()}: its UID, or its place from 0")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Device and report."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument("--report", metavar="FILE.json", type=Path,
                        help="write the report (settings, timings, measures) to this file")


def load_volume(arguments: argparse.Namespace, name: str = "input", prefix: str = ""):
    """The volume that `add_volume` asked for."""
    return meddl.load(getattr(arguments, name), getattr(arguments, f"{prefix}component"), series_of(arguments, prefix))


def series_of(arguments: argparse.Namespace, prefix: str = "") -> str | int | None:
    """The DICOM series that `add_volume` asked for: its UID, its place, or None."""
    series = getattr(arguments, f"{prefix}series")
    return int(series) if series is not None and series.isdecimal() else series

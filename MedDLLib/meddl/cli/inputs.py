"""Options that several commands share: volumes to read, device, report."""

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import meddl
from meddl.core.errors import InputError

_PRECISIONS = ("auto", "float32", "bfloat16")
_PRECISION_VARIABLE = "MEDDL_PRECISION"  # of `meddl.core.device`, which imports torch


def add_volume(parser: argparse.ArgumentParser, name: str, text: str, prefix: str = "",
               nargs: str | None = None) -> None:
    """A volume (or several) to read, and which part of it: `meddl.load`'s arguments; `nargs` as of `argparse`."""
    parser.add_argument(name, metavar=name.upper(), type=Path, nargs=nargs,
                        help=f"{text}: NIfTI, NRRD, MetaImage, or DICOM: a folder, or a file of a series")
    parser.add_argument(f"--{prefix}component", metavar="N", type=int, default=None,
                        help=f"which time point, echo, b-value or component of {name.upper()}, from 0, where it has "
                        "several")
    parser.add_argument(f"--{prefix}series", metavar="S", default=None,
                        help=f"which series of the DICOM folder {name.upper()}: its UID, or its place from 0")


def add_common(parser: argparse.ArgumentParser, *, inputs: tuple[str, ...], options: tuple[str, ...] = (),
               device: bool = True, precision: bool = False) -> None:
    """Device, report, and what the terminal shows.

    Args:
        inputs: the arguments that name what is read: the report has their SHA-256.
        options: the arguments beside the configuration that rule the result: the report has their values.
        device: False for a command that computes on the CPU alone.
        precision: True for a command whose networks run in other precisions than float32, too.
    """
    machine = parser.add_argument_group("machine")
    if device:
        machine.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    if precision:
        machine.add_argument("--precision", choices=_PRECISIONS, default=None, help="of networks (default: the "
                             f"environment variable {_PRECISION_VARIABLE}, else what the device computes fastest)")
    machine.add_argument("--threads", metavar="N", type=int, default=None,
                         help="of the CPU (default: as many as PyTorch takes)")
    files = parser.add_argument_group("report and files")
    files.add_argument("--report", metavar="FILE", type=Path, help="write a report to this file: .json, or .html with "
                       "pictures; inputs are named by their SHA-256 alone")
    files.add_argument("--report-inputs", action="store_true", help="with names and paths of the files, date and "
                       "command line in the report")
    files.add_argument("--config", metavar="REPORT.json", type=Path, help="a report whose configuration, model, "
                       "device, precision and threads stand for the options that are not given")
    files.add_argument("--overwrite", action="store_true", help="replace files that exist; without it they are "
                       "refused")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("-q", "--quiet", action="store_true", help="show errors alone")
    shown.add_argument("-v", "--verbose", action="store_true", help="show each stage with its time")
    parser.set_defaults(report_roles=inputs, report_options=options)


@contextlib.contextmanager
def machine_options(arguments: argparse.Namespace) -> Iterator[None]:
    """Within it, networks and tensors use the precision and the threads that were asked for."""
    threads, precision = getattr(arguments, "threads", None), getattr(arguments, "precision", None)
    if threads is not None and threads < 1:
        raise InputError(f"--threads is 1 or more; got {threads}.")
    before: tuple[str | None, int | None] = os.environ.get(_PRECISION_VARIABLE), None
    if precision in _PRECISIONS:
        os.environ[_PRECISION_VARIABLE] = precision
    if threads is not None:
        import torch

        before = before[0], torch.get_num_threads()
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if precision in _PRECISIONS:
            os.environ.pop(_PRECISION_VARIABLE)
            os.environ.update({} if before[0] is None else {_PRECISION_VARIABLE: before[0]})
        if before[1] is not None:
            torch.set_num_threads(before[1])


def load_volume(arguments: argparse.Namespace, name: str = "input", prefix: str = ""):
    """The volume that `add_volume` asked for."""
    return meddl.load(getattr(arguments, name), getattr(arguments, f"{prefix}component"), series_of(arguments, prefix))


def series_of(arguments: argparse.Namespace, prefix: str = "") -> str | int | None:
    """The DICOM series that `add_volume` asked for: its UID, its place, or None."""
    series = getattr(arguments, f"{prefix}series", None)
    return int(series) if series is not None and series.isdecimal() else series

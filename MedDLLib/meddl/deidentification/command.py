"""`meddl deidentify`: files without the patient in their headers."""

import argparse
import csv
import warnings
from collections.abc import Sequence
from pathlib import Path

from meddl.core.errors import FileWarning, InputError
from meddl.core.progress import ProgressCallback
from meddl.deidentification.deidentify import DeidentifiedFile, deidentify
from meddl.io.files import check_place, replacing

EXIT_SOME_LEFT_OUT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("input", metavar="INPUT", type=Path,
                        help="a volume, segmentation or DICOM file, or a folder with files in it and below it")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True,
                        help="the new file, or a new folder for the files of INPUT")
    parser.add_argument("--keep-names", action="store_true",
                        help="keep the names of files and folders (default: case_0001, series_0001/0001.dcm, ...)")
    parser.add_argument("--table", metavar="FILE.csv", type=Path,
                        help="write which file became which; it names the patients where the files do: keep it apart")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def run(arguments: argparse.Namespace, on_progress: ProgressCallback | None = None) -> int:
    """De-identify, warn of what was left out and of what to look at; gives the exit status.

    Raises:
        InputError, FileFormatError, GeometryError, DependencyError: as of `deidentify`.
    """
    _check_outputs(arguments)
    rows = deidentify(arguments.input, arguments.output, keep_names=arguments.keep_names, on_progress=on_progress)
    for row in rows:
        for text in filter(None, (row.reason, *row.notes)):
            warnings.warn(f"{row.source}: {text}", FileWarning, stacklevel=2)
    if arguments.table is not None:
        _write_table(arguments.table, rows)
    done = sum(row.target is not None for row in rows)
    print(f"{done} of {len(rows)} files de-identified: {arguments.output}")
    return 0 if done == len(rows) else EXIT_SOME_LEFT_OUT


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse before the work what could not, or must not, be written after it."""
    table, outputs = arguments.table, [arguments.table]
    if table is not None and table.suffix.lower() != ".csv":
        raise InputError(f"'{table.name}' cannot be written; the name of a table ends with .csv.")
    if table is not None and table.resolve() in (arguments.input.resolve(), arguments.output.resolve()):
        raise InputError("The table would replace the file that is read, or the new one. Give it another name.")
    if arguments.input.is_file():
        outputs.append(arguments.output)
    for path in outputs:
        if path is not None and check_place(path).exists() and not arguments.overwrite:
            raise InputError(f"'{path}' exists. Choose another name, or give --overwrite to replace it.")


def _write_table(path: Path, rows: Sequence[DeidentifiedFile]) -> None:
    with replacing(path, ".csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["source", "target", "left out", "notes"])
        writer.writerows([row.source, row.target or "", row.reason, " ".join(row.notes)] for row in rows)

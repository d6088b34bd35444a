"""De-identification of the files of a folder, from Slicer."""

import contextlib
from pathlib import Path

from slicer.i18n import tr as _

from meddl.core.errors import DependencyError
from meddl_slicer.mrml.tables import Column, fill_table
from meddl_slicer.runs import tasks, verbs
from meddl_slicer.runs.packages import dependencies

DEIDENTIFY = "meddl_slicer.sections.deidentification.remote:deidentify"
DICOM_PACKAGE = "dicom-anonymizer>=2.1"
_MOST_WARNINGS = 10


def deidentify_files(source, target, *, keepNames: bool = False, tableNode=None, wait: bool = True, onProgress=None,
                     onDone=None):
    """Write the volumes, segmentations and DICOM images of a folder without the patient: `meddl.deidentify`.

    Works on files on disk, not on nodes. DICOM files need the package dicom-anonymizer, which is offered once.

    Args:
        source: a folder, read with all below it; it stays as it is.
        target: a new or empty folder.
        keepNames: keep the names of files and folders.
        tableNode: a table node to fill instead of a new one.
        wait, onProgress, onDone: as of `meddl_slicer.runs.verbs`.

    Returns:
        The table node, or the Task: a row for each file. It holds the old names: it belongs to the patients' data.

    Raises:
        InputError, DependencyError: as of `meddl.deidentify`.
    """
    dependencies.ensure()
    with contextlib.suppress(DependencyError):  # files that are no DICOM do not need it; others say so
        dependencies.ensure_optional(DICOM_PACKAGE)

    def apply(found):
        rows, seconds = found
        node = fill_table(_("De-identified files"), [
            Column(title, [row[number] for row in rows]) for number, title in enumerate(
                (_("File"), _("New file"), _("Left out because"), _("Look at")))], verbs._if_present(tableNode))
        verbs.keep_report(node, _report(rows, seconds))
        return node

    places = (str(Path(place).expanduser().absolute()) for place in (source, target))  # the worker has another folder
    return tasks.run(DEIDENTIFY, *places, keepNames, wait=wait, apply=apply, onProgress=onProgress,
                     onDone=onDone)


def _report(rows: list[tuple], seconds: float) -> dict:
    doubts = [f"{row[0]}: {text}" for row in rows for text in row[2:] if text]
    if len(doubts) > _MOST_WARNINGS:
        doubts[_MOST_WARNINGS:] = [_("And {count} more: see the table.").format(count=len(doubts) - _MOST_WARNINGS)]
    done = sum(bool(row[1]) for row in rows)
    text = _("{done} of {count} files were written without the patient.").format(done=done, count=len(rows))
    return {"reading": text, "files": len(rows), "written": done, "warnings": doubts, "seconds": {"total": seconds},
            "device": "cpu"}
